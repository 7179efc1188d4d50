"""Captions that only repeat the page's title."""

from wenlan_data.clean.titles import demote_title_repeats, repeats_title, title_forms
from wenlan_data.records import Text

TITLE = "春游黄山的三天 - 旅行笔记 | 某某网"


def _alts(*alts: str) -> list[list[Text]]:
    return [
        [Text("alt", alt), Text("surrounding", f"第{place}段文字")]
        for place, alt in enumerate(alts)
    ]


def _types(images: list[tuple[Text, ...]]) -> list[str]:
    return [texts[0].type for texts in images]


def test_a_title_is_repeated_whole_by_a_part_or_with_a_number() -> None:
    forms = title_forms(TITLE)
    for text in (
        TITLE,
        "春游黄山的三天",
        "《春游黄山的三天》",
        "春游黄山的三天 2",
        "春游黄山的三天（3）",
        "旅行笔记",
    ):
        assert repeats_title(text, forms), text
    for text in ("黄山", "春游黄山的三天看到的迎客松", "", "12"):
        assert not repeats_title(text, forms), text


def test_an_alt_on_most_images_counts_as_a_title() -> None:
    page = _alts("春游黄山的三天1", "春游黄山的三天2", "云海中的迎客松", "春游黄山的三天3")
    assert _types(demote_title_repeats(page, [TITLE])) == ["title", "title", "alt", "title"]


def test_an_alt_on_few_images_or_on_a_page_of_two_stays_what_it_is() -> None:
    half = _alts("春游黄山的三天", "迎客松", "春游黄山的三天", "光明顶")
    assert _types(demote_title_repeats(half, [TITLE])) == ["alt"] * 4
    two = _alts("春游黄山的三天", "春游黄山的三天")
    assert _types(demote_title_repeats(two, [TITLE])) == ["alt"] * 2


def test_without_a_title_and_for_other_types_nothing_changes() -> None:
    page = _alts("首日", "首日", "首日")
    assert demote_title_repeats(page, []) == [tuple(texts) for texts in page]
    captions = [[Text("figcaption", "春游黄山的三天")] for _ in range(4)]
    assert _types(demote_title_repeats(captions, [TITLE])) == ["figcaption"] * 4
