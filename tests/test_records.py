"""Texts with their relation and confidence."""

import math

import pytest

from wenlan_data.records import MIN_CAPTION_CONFIDENCE, Text, merge_equal_texts, parse_text


def test_a_confidence_is_rounded_to_hundredths() -> None:
    assert Text("alt", "猫", "attribute", 0.9 * 0.8).confidence == 0.72
    assert Text("alt", "猫", "attribute", 0.495).confidence in (0.49, 0.5)
    assert Text("alt", "猫").confidence == 1.0


@pytest.mark.parametrize("confidence", [-0.01, 1.01, math.nan, math.inf])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Text("alt", "猫", "attribute", confidence)


def test_a_text_is_doubtful_below_the_confidence_of_captions() -> None:
    found = [Text("alt", "猫", "below", c).is_doubtful for c in (0.0, 0.49, 0.494, 0.5, 1.0)]
    assert found == [True, True, True, False, False]
    assert MIN_CAPTION_CONFIDENCE == 0.5


def test_texts_that_differ_in_relation_or_confidence_are_equal() -> None:
    assert Text("alt", "猫", "below", 0.3) == Text("alt", "猫")
    assert len({Text("alt", "猫", "below", 0.3), Text("alt", "猫"), Text("title", "猫")}) == 2


def test_of_equal_texts_the_first_of_the_highest_confidence_stays_in_its_place() -> None:
    texts = [
        Text("alt", "猫", "shared", 0.3),
        Text("title", "狗", "page", 0.2),
        Text("alt", "猫", "attribute", 0.9),
        Text("alt", "猫", "below", 0.9),
    ]
    found = [(one.text, one.relation, one.confidence) for one in merge_equal_texts(texts)]
    assert found == [("猫", "attribute", 0.9), ("狗", "page", 0.2)]


@pytest.mark.parametrize("missing", [{}, {"relation": None, "confidence": None}])
def test_a_row_before_format_1_1_has_the_defaults(missing: dict[str, None]) -> None:
    text = parse_text({"type": "alt", "text": "猫", **missing})
    assert (text.type, text.text, text.relation, text.confidence) == ("alt", "猫", "given", 1.0)
