import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance import check_rule
from wenlan_data.clean.rules.fold import Fold


def test_fold_is_a_rule() -> None:
    check_rule(Fold())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("２０２３年，Ｇ２０峰会！", "2023年，G20峰会！"),
        ("　南京路 \u00a0 步行街\t", "南京路 步行街"),
        ("景德镇\n手工拉坯", "景德镇 手工拉坯"),
        ("清\u200b蒸\u200b石斑鱼\ufeff", "清蒸石斑鱼"),
        ("\u202d天坛\u202c\u2066祈年殿\u2069", "天坛祈年殿"),
        ("\U000e0041白鹭\U000e007f", "白鹭"),
        ("一家👨\u200d👩\u200d👧合影", "一家👨\u200d👩\u200d👧合影"),
        ("雪\u200d山⛰\ufe0f", "雪山⛰\ufe0f"),
        ("第1\ufe0f\u20e3名", "第1\ufe0f\u20e3名"),
        ("\x1b[1;31m红\x1b[0m灯\x07", "红灯"),
        ("字\ue000体\ud800", "字体"),
        ("cafe\u0301", "café"),
        ("z" + "\u0300\u0316" * 20, "z\u0316\u0300"),
        ("春 天 的 田 野", "春天的田野"),
        ("牡丹 花会", "牡丹 花会"),
        ("葛󠄀城", "葛城"),
        ("\u200b\u3000", ""),
    ],
)
def test_characters_get_one_form(text: str, clean: str) -> None:
    assert Fold()(text) == clean


@given(st.text(st.characters(codec=None)))
def test_folding_twice_is_folding_once_and_always_gives_utf8(text: str) -> None:
    folded = Fold()(text)
    assert isinstance(folded, str)
    assert Fold()(folded) == folded
    assert unicodedata.is_normalized("NFC", folded)
    folded.encode()
