"""The text rules of a recipe on candidates."""

from collections.abc import Sequence

from wenlan_data.extract.candidate_tables import CandidateRow
from wenlan_data.extract.cleaner import CleaningDecision, TextCleaner, page_batches
from wenlan_data.reasons import Reason
from wenlan_data.recipe import TitleRepeats, load_recipe
from wenlan_data.records import Candidate, Drop, Remark, Text

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


def test_alts_that_repeat_the_title_of_a_page_become_titles() -> None:
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


def _decision(*texts: Text, **changes: object) -> CleaningDecision:
    candidate = Candidate(url="https://example.org/a.jpg", texts=texts)
    row = CandidateRow(0, bytes(16), candidate, candidate.url)
    cleaner = TextCleaner.of(TEXT.model_copy(update=changes))
    ((_, decision),) = cleaner([row])
    return decision


def test_relation_and_confidence_survive_the_rules() -> None:
    texts = (
        Text("figcaption", "<b>雨后</b>的黄山云海", "figcaption", 0.95),
        Text("surrounding", "黄山的云海在雨后最美。第二句。", "below", 0.4),
    )
    found = _decision(*texts).candidate.texts
    assert [(one.type, one.text, one.relation, one.confidence) for one in found] == [
        ("figcaption", "雨后的黄山云海", "figcaption", 0.95),
        ("surrounding", "黄山的云海在雨后最美。第二句。", "below", 0.4),
        ("easy", "黄山的云海在雨后最美。第二句。", "below", 0.4),
        ("first", "黄山的云海在雨后最美", "below", 0.4),
    ]


def test_texts_that_are_equal_once_cleaned_keep_the_highest_confidence() -> None:
    texts = (
        Text("alt", "<b>黄山云海</b>", "shared", 0.6),
        Text("alt", "黄山云海", "attribute", 0.9),
    )
    (found,) = _decision(*texts).candidate.texts
    assert (found.text, found.relation, found.confidence) == ("黄山云海", "attribute", 0.9)


def test_texts_below_the_confidence_of_the_recipe_are_rejected() -> None:
    sure, low = (
        Text("alt", "雨后的黄山", "attribute", 0.7),
        Text("figcaption", "别的图", "below", 0.69),
    )
    decision = _decision(low, sure, min_confidence=0.7)
    assert decision.candidate.texts == (sure,)
    assert decision.cleaned.rejected == ((low, Drop(Reason.LOW_CONFIDENCE, "below 0.69")),)
    assert ("figcaption", Remark("rejected", "low_confidence")) in decision.cleaned.remarks
    alone = _decision(low, min_confidence=0.7)
    assert (alone.step, alone.drop) == ("clean", Drop("low_confidence", "below 0.69"))


def test_an_image_with_doubtful_texts_alone_is_dropped_though_nothing_is_rejected() -> None:
    texts = (Text("alt", "黄山云海", "shared", 0.3), Text("figcaption", "迎客松", "below", 0.49))
    decision = _decision(*texts)
    assert (decision.step, decision.drop) == ("clean", Drop("low_confidence", "below 0.49"))
    kept = _decision(*texts, Text("title", "黄山的石阶", "attribute", 0.5))
    assert kept.drop is None
    assert len(kept.candidate.texts) == 3


def test_the_best_type_names_the_reason_whether_rejected_or_doubtful() -> None:
    doubtful = Text("alt", "黄山云海", "shared", 0.3)
    rejected = _decision(Text("figcaption", "IMG_2034.JPG"), doubtful).drop
    assert rejected is not None
    assert rejected.reason == "file_name"
    low = _decision(
        Text("title", "IMG_2034.JPG"), doubtful, Text("keywords", "黄山", "page", 0.2)
    ).drop
    assert low == Drop("low_confidence", "shared 0.30")
    assert _decision(Text("keywords", "黄山", "page", 0.2)).drop == Drop("no_text")


def test_an_alt_of_an_advertisement_condemns_the_image() -> None:
    shop, casino = ("surrounding", "窗边的红色摩托车"), ("alt", "澳门赌场在线开户，注册就送彩金")
    rows = [
        _row(0, ("alt", "低价出售摩托车，联系电话13800138000"), shop),
        _row(1, shop, casino),
        # Other texts may speak of something else, and other rules say nothing about the image.
        _row(2, ("alt", "窗边的摩托车"), ("surrounding", "出售，联系电话13800138000")),
        _row(3, ("alt", "IMG_2034.JPG"), shop),
    ]
    drops = [decision.drop for decision in _decisions(rows)]
    assert [drop and drop.reason for drop in drops] == ["contact_info", "blocklist", None, None]


def test_a_doubtful_credit_names_no_author() -> None:
    alt, credit = Text("alt", "雨后的黄山云海"), ("figcaption", "雨后的黄山。新华社记者 李明 摄")
    assert _decision(alt, Text(*credit, "below", 0.4)).candidate.author == ""
    assert _decision(alt, Text(*credit, "below", 0.6)).candidate.author == "新华社记者 李明"


def test_an_alt_that_becomes_an_equal_title_keeps_the_highest_confidence() -> None:
    title = ("page_title", "春游黃山的三天 | 某某网")
    rows = [
        CandidateRow(
            place,
            bytes(16),
            Candidate(
                url=f"https://example.org/{place}.jpg",
                page_url="https://example.org/",
                texts=(
                    Text("title", "春游黄山的三天", "page", 0.6),
                    Text("alt", "春游黄山的三天", "attribute", 0.9),
                    Text(*title, "page", 0.2),
                ),
            ),
            f"https://example.org/{place}.jpg",
        )
        for place in range(3)
    ]
    for decision in _decisions(rows):
        first = decision.candidate.texts[0]
        assert (first.type, first.relation, first.confidence) == ("title", "attribute", 0.9)
