import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.language import Language
from wenlan_data.records import Drop


def test_language_is_a_rule() -> None:
    check_rule(Language())


@pytest.mark.parametrize(
    "text",
    [
        "送料無料でお届けします",
        "新幹線の車内で食べる駅弁",
        "京都の紅葉",
        "富士山と桜",
        "대한민국 大韓民國 수도 서울",
    ],
)
def test_kana_and_hangul_are_rejected(text: str) -> None:
    result = Language()(text)
    assert isinstance(result, Drop)
    assert result.reason == "language"


@pytest.mark.parametrize(
    "text",
    [
        "一只猫",
        "优の良品零食店",
        "可爱の猫咪",
        "阿部ねね主演的电影海报",
        "约翰・史密斯",
        "iPhone 15 手机壳",
        "呢間舖頭賣咗四十年雞蛋仔",
    ],
)
def test_chinese_stays_even_with_one_kana(text: str) -> None:
    assert Language()(text) == text


def test_a_long_text_that_is_surely_english_is_rejected_by_the_bundled_model() -> None:
    english = "The old tea house stands beside the river, and visitors come here every spring to see the flowers. "
    assert Language()(english * 2 + "茶馆") == Drop("language", "en")


def test_a_long_chinese_text_is_never_shown_to_the_model() -> None:
    text = "从县城坐班车往北走四十多公里，就到了我们要住的村子，村口有一棵老槐树。" * 5
    assert Language(model_score=0.0)(text) == text
