"""The default recipe on captions, credits and boilerplate of Chinese sites."""

import pytest

from tests.clean.caption_strings import CLEANED, REJECTED, UNCHANGED
from wenlan_data.clean.chain import apply_rules, apply_with_remarks
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Drop

RULES = [spec.load() for spec in load_recipe("wenlan").text.rules]


@pytest.mark.parametrize("text", UNCHANGED)
def test_captions_stay_as_they_are(text: str) -> None:
    assert apply_rules(RULES, text) == text


@pytest.mark.parametrize(("text", "clean", "author"), CLEANED)
def test_only_the_caption_is_left_and_the_author_is_recorded(
    text: str, clean: str, author: str
) -> None:
    result, remarks = apply_with_remarks(RULES, text)
    assert result == clean
    authors = [remark.value for remark in remarks if remark.kind == "author"]
    assert authors == ([author] if author else [])


@pytest.mark.parametrize("text", REJECTED)
def test_nothing_is_left_of_boilerplate(text: str) -> None:
    assert isinstance(apply_rules(RULES, text), Drop)


@pytest.mark.parametrize("clean", [clean for _, clean, _ in CLEANED])
def test_a_cleaned_caption_stays_as_it_is(clean: str) -> None:
    assert apply_rules(RULES, clean) == clean


def test_the_set_is_large() -> None:
    assert len(UNCHANGED) + len(CLEANED) + len(REJECTED) >= 250
