"""What every plug-in of a role must keep; a plug-in's own test calls the check in one line."""

import copy
from dataclasses import is_dataclass

import pytest

from wenlan_data.protocols import Rule
from wenlan_data.records import Drop

ODD_TEXTS = (
    "",
    " ",
    "猫",
    "窗台上的三花猫",
    "a\x00b\x1b[31m红\x1b[0m",
    "\ud83d\ude00",  # a surrogate pair in two halves
    "图\ud800片",
    "\udfff",
    "👨‍👩‍👧 ⛰️ 1️⃣ \u200d\ufe0f",
    "\u202e倒\u2066着\u2069",
    "é" + "\u0301\u0316" * 50,
    "\ufeff\u2060\U000e0041\U000e007f",
    "&#0;&#xD800;&#" + "9" * 5000 + ";&amp;amp;lt;",
    "é›ªåœ°é‡Œçš„çº¢ç‹",
    "<a <b <!-- <script {{ ${ [x]( # ## @ ` ** __",
    "0" * 300 + " 1 " * 100,
    "微信" * 100 + "@" * 100,
    "\U0010ffff\ufdd0\ue000\U0002a6d6",
    "한국어 日本語 の русский ไทย",
)


def check_rule(rule: Rule, *, idempotent: bool = True) -> None:
    """A frozen, slotted value that takes any text, gives the same again, and leaves encodable text encodable.

    `idempotent`: what it lets pass, it lets pass unchanged the second time.
    """
    kind: type = type(rule)
    name = "surely_no_field"
    assert is_dataclass(kind)
    assert "__slots__" in vars(kind)
    assert hash(rule) == hash(copy.deepcopy(rule))
    with pytest.raises((AttributeError, TypeError)):  # Python 3.11 raises the latter for a frozen, slotted class
        setattr(rule, name, 1)
    for text in ODD_TEXTS:
        result = rule(text)
        assert rule(text) == result
        if isinstance(result, Drop):
            assert result.reason.replace("_", "").isalpha()
            assert not result.retryable
        else:
            _check_text(rule, text, result, idempotent=idempotent)


def _check_text(rule: Rule, text: str, result: str, *, idempotent: bool) -> None:
    if not any("\ud800" <= character <= "\udfff" for character in text):
        result.encode()
    if idempotent:
        assert rule(result) == result
