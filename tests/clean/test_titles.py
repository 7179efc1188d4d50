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


def test_a_title_that_an_ellipsis_cuts_off_is_repeated() -> None:
    forms = title_forms("春游黄山的三天看到的云海和日出")
    assert repeats_title("春游黄山的三天看到…", forms)
    assert repeats_title("春游黄山的三天看到...", forms)
    assert not repeats_title("春游…", forms)
    assert not repeats_title("春游黄山的三天看到", forms)


def test_an_alt_that_repeats_the_title_counts_as_a_title_from_the_first_image_on() -> None:
    page = _alts("春游黄山的三天1", "云海中的迎客松", "春游黄山的三天（3）", "光明顶")
    assert _types(demote_title_repeats(page, [TITLE])) == ["title", "alt", "title", "alt"]
    assert _types(demote_title_repeats(_alts("春游黄山的三天"), [TITLE])) == ["title"]
    assert _types(demote_title_repeats(_alts("榕树"), ["榕树_知园百科"])) == ["title"]


def test_a_heading_that_all_images_share_counts_as_a_title() -> None:
    def under(heading: str, alt: str) -> list[Text]:
        return [Text("alt", alt), Text("heading", heading)]

    shared = [under("春游黄山", "春游黄山"), under("春游黄山", "迎客松")]
    assert _types(demote_title_repeats(shared, ["某某网"])) == ["title", "alt"]
    cards = [under("迎客松", "迎客松"), under("光明顶", "光明顶")]
    assert _types(demote_title_repeats(cards, ["某某网"])) == ["alt", "alt"]
    assert _types(demote_title_repeats(cards[:1], ["某某网"])) == ["alt"]


def test_a_part_before_a_colon_counts_only_on_most_images() -> None:
    title = ["迎客松：黄山的名片 - 某某网"]
    page = _alts("迎客松", "光明顶", "飞来石")
    assert _types(demote_title_repeats(page, title)) == ["alt"] * 3
    page = _alts("迎客松1", "迎客松2", "飞来石")
    assert _types(demote_title_repeats(page, title)) == ["title", "title", "alt"]


def test_an_alt_that_three_images_share_counts_as_a_title() -> None:
    page = _alts("某某网", "某某网", "光明顶")
    assert _types(demote_title_repeats(page, [])) == ["alt"] * 3
    page = _alts("某某网", "光明顶", "某某网", "某某网")
    assert _types(demote_title_repeats(page, [])) == ["title", "alt", "title", "title"]


def test_alts_that_only_count_the_images_count_as_titles() -> None:
    page = _alts("以换盆第1步为题的图片", "以换盆第2步为题的图片", "松土", "以换盆第3步为题的图片")
    assert _types(demote_title_repeats(page, [])) == ["title", "title", "alt", "title"]
    for alts in (
        ("1950年的外滩", "1960年的外滩", "1980年的外滩"),  # a number that says something
        ("第三代手机12", "第三代手机13", "第三代手机14"),
        ("换盆第1步", "换盆第2步"),
        ("青团-预览图-1", "青团-预览图-2", "青团-预览图-3"),
        ("1升装电饭煲", "3升装电饭煲", "5升装电饭煲"),
        ("1元硬币", "5元硬币", "10元硬币"),
        ("1号楼2层", "1号楼3层", "2号楼1层"),
    ):
        assert _types(demote_title_repeats(_alts(*alts), [])) == ["alt"] * len(alts), alts


def test_without_a_title_and_for_other_types_nothing_changes() -> None:
    page = _alts("首日", "次日", "末日")
    assert demote_title_repeats(page, []) == [tuple(texts) for texts in page]
    assert demote_title_repeats([], [TITLE]) == []
    captions = [[Text("figcaption", "春游黄山的三天")] for _ in range(4)]
    assert _types(demote_title_repeats(captions, [TITLE])) == ["figcaption"] * 4
