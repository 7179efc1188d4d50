from tests.conformance import check_rule
from wenlan_data.clean.rules.simplify import Simplify


def test_simplify_is_a_rule() -> None:
    check_rule(Simplify())


def test_traditional_characters_become_simplified_by_context() -> None:
    assert Simplify()("乾隆皇帝南巡時喝乾了一壺茶") == "乾隆皇帝南巡时喝干了一壶茶"


def test_simplified_and_latin_text_stays() -> None:
    assert Simplify()("三只小猪 and a wolf") == "三只小猪 and a wolf"


def test_the_profile_with_words_changes_words_too() -> None:
    assert Simplify("t2s")("滑鼠與軟體") == "滑鼠与软体"
    assert Simplify("tw2sp")("滑鼠與軟體") == "鼠标与软件"


def test_a_japanese_text_is_no_traditional_chinese() -> None:
    assert Simplify()("京都の紅葉") == "京都の紅葉"
    assert Simplify()("日本動漫《鬼滅の刃》電影海報") == "日本动漫《鬼灭の刃》电影海报"
