"""The text rules of a recipe on candidates."""

from collections.abc import Sequence

from wenlan_data.extract.candidate_tables import CandidateRow
from wenlan_data.extract.cleaner import CleaningDecision, TextCleaner, page_batches
from wenlan_data.recipe import TitleRepeats, load_recipe
from wenlan_data.records import Candidate, Remark, Text

TEXT = load_recipe("wenlan").text


def _row(place: int, *texts: tuple[str, str], page: str = "", author: str = "") -> CandidateRow:
    typed = tuple(Text(kind, text) for kind, text in texts)
    candidate = Candidate(
        url=f"https://example.org/{place}.jpg", texts=typed, page_url=page, author=author
    )
    return CandidateRow(place, place.to_bytes(16, "big"), candidate, candidate.url)


def _decisions(
    rows: Sequence[CandidateRow], title_repeats: TitleRepeats = "title"
) -> list[CleaningDecision]:
    cleaner = TextCleaner.of(TEXT.model_copy(update={"title_repeats": title_repeats}))
    return [decision for _, decision in cleaner(rows)]


def test_a_credit_becomes_the_author_unless_the_page_names_one() -> None:
    text = ("figcaption", "雨后的黄山云海。新华社记者 李明 摄")
    own, named = _decisions([_row(0, text), _row(1, text, author="王五")])
    assert own.candidate.texts == (Text("figcaption", "雨后的黄山云海。"),)
    assert (own.candidate.author, named.candidate.author) == ("新华社记者 李明", "王五")


def test_a_text_that_is_only_a_credit_names_the_author() -> None:
    [decision] = _decisions([_row(0, ("alt", "雨后的黄山云海"), ("figcaption", "图/视觉中国"))])
    assert decision.candidate.author == "视觉中国"
    assert ("figcaption", Remark("rejected", "boilerplate")) in decision.cleaned.remarks


def test_script_and_flags_are_remarked_by_type() -> None:
    [decision] = _decisions([_row(0, ("alt", "臺灣的<b>夜市</b>"), ("title", "夜市里的小吃摊"))])
    assert [pair for pair in decision.cleaned.remarks if pair[1].kind in ("script", "flag")] == [
        ("alt", Remark("script", "hant")),
        ("alt", Remark("flag", "html")),
        ("title", Remark("script", "hans")),
    ]


def _page(page: str) -> list[CandidateRow]:
    title = ("page_title", "春游黃山的三天 | 某某网")
    alts = ("春游黄山的三天1", "云海中的迎客松", "春游黄山的三天2", "春游黄山的三天3")
    return [_row(place, ("alt", alt), title, page=page) for place, alt in enumerate(alts)]


def test_alts_that_repeat_the_title_on_most_images_of_a_page_become_titles() -> None:
    decisions = _decisions(_page("https://example.org/"))
    assert [decision.candidate.texts[0].type for decision in decisions] == [
        "title",
        "alt",
        "title",
        "title",
    ]
    assert ("alt", Remark("repeats", "title")) in decisions[0].cleaned.remarks
    assert ("alt", Remark("repeats", "title")) not in decisions[1].cleaned.remarks


def test_they_stay_alts_with_title_repeats_keep_and_without_a_page() -> None:
    for decisions in (_decisions(_page("https://example.org/"), "keep"), _decisions(_page(""))):
        assert {decision.candidate.texts[0].type for decision in decisions} == {"alt"}


def test_batches_end_between_pages() -> None:
    pages = ["a", "a", "b", "b", "b", "", ""]
    rows = [_row(place, page=page) for place, page in enumerate(pages)]
    batches = [[row.candidate.page_url for row in batch] for batch in page_batches(iter(rows), 1)]
    assert batches == [["a", "a"], ["b", "b", "b"], [""], [""]]
    assert list(page_batches(iter(()), 1)) == []


def test_a_page_without_end_is_split_into_batches() -> None:
    rows = [_row(place, page="a") for place in range(5000)]
    assert [len(batch) for batch in page_batches(iter(rows), 100)] == [4196, 804]
