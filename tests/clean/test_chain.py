import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlan_data.clean.chain import apply_rules, clean_texts
from wenlan_data.clean.rules.fold import Fold
from wenlan_data.clean.rules.length import Length
from wenlan_data.clean.rules.markup import Markup
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Drop, Remark, Text

RULES = (Fold(), Markup(), Length(min=2, max=8))
DEFAULT = tuple(spec.load() for spec in load_recipe("wenlan").text.rules)


def test_rules_apply_in_order_each_to_what_the_last_one_left() -> None:
    assert apply_rules(RULES, "<b>Ｇ２０</b>峰会") == "G20峰会"


def test_the_first_rule_that_rejects_names_the_reason() -> None:
    assert apply_rules(RULES, "<br>") == Drop("markup")
    assert apply_rules(RULES, "猫") == Drop("too_short", "1 characters")


@pytest.mark.parametrize(
    "text", ["", " \u3000\n", "\ufeff\u200b", "\U000e0041\u2060", "\ud800\udc00"[:0]]
)
def test_text_with_nothing_visible_is_empty_whatever_the_rules(text: str) -> None:
    assert apply_rules((), text) == Drop("empty")
    assert apply_rules(DEFAULT, text) == Drop("empty")


def test_entities_for_spaces_alone_are_empty() -> None:
    assert apply_rules(DEFAULT, "&nbsp;&nbsp;") == Drop("empty")


def test_lone_surrogates_do_not_leave_the_chain() -> None:
    assert apply_rules((), "图\ud800片") == "图\ufffd片"
    assert apply_rules((), "\ud83d\ude00") == "😀"


def test_texts_come_back_clean_in_order_and_once_each_and_the_rejected_as_they_were() -> None:
    texts = (
        Text("alt", "<b>雪山</b>"),
        Text("title", "雪山"),
        Text("alt", " 雪山 "),
        Text("surrounding", "<hr>"),
    )
    cleaned = clean_texts(RULES, texts)
    assert cleaned.texts == (Text("alt", "雪山"), Text("title", "雪山"))
    assert cleaned.rejected == ((Text("surrounding", "<hr>"), Drop("markup")),)
    assert cleaned.remarks == (
        ("alt", Remark("flag", "html")),
        ("surrounding", Remark("flag", "html")),
        ("surrounding", Remark("rejected", "markup")),
    )


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None), max_size=80))
def test_the_default_chain_takes_any_unicode(text: str) -> None:
    result = apply_rules(DEFAULT, text)
    if isinstance(result, str):
        result.encode()
        assert 2 <= len(result) <= 512
