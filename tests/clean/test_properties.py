"""What every rule of every recipe keeps, whatever the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.build.attacks import UNITS
from wenlan_data import plugins
from wenlan_data.clean.chain import apply_rules, apply_stepwise, apply_with_remarks
from wenlan_data.plugins import RULES
from wenlan_data.protocols import Rule
from wenlan_data.recipe import load_recipe, recipe_names
from wenlan_data.records import Drop

EVERY = [
    found.load()() for found in plugins.plug_ins(RULES).values() if found.origin == "wenlan-data"
]
CHANGING = ("ContactInfo", "Boilerplate")
"""What these cut off or mask can uncover a second credit or number; all others change a text
once."""
ANY = st.text(st.characters(codec=None), max_size=60)
WEB = st.lists(st.one_of(st.sampled_from(UNITS), ANY), max_size=12).map("".join)
"""Pieces that rules look for, in any order, with anything between them."""
RECIPES = {
    name: tuple(spec.load() for spec in load_recipe(name).text.rules) for name in recipe_names()
}


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: type(rule).__name__)
@settings(max_examples=150, deadline=None)
@given(text=st.one_of(ANY, WEB))
def test_a_rule_takes_any_text_says_the_same_twice_and_leaves_utf8(rule: Rule, text: str) -> None:
    result = rule(text)
    assert rule(text) == result
    if isinstance(result, Drop):
        assert result.reason
        return
    if not any("\ud800" <= character <= "\udfff" for character in text):
        result.encode()
    if type(rule).__name__ not in CHANGING and type(rule).__name__ not in ("Unescape", "Markup"):
        assert rule(result) == result


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(ANY, WEB))
def test_the_chain_gives_the_same_step_by_step_and_with_remarks(text: str) -> None:
    rules = RECIPES["wenlan"]
    result = apply_rules(rules, text)
    assert apply_with_remarks(rules, text)[0] == result
    assert list(apply_stepwise(rules, text))[-1].after == result
    if isinstance(result, str):
        result.encode()
        assert result == result.strip()


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=60, deadline=None)
@given(text=WEB)
def test_every_recipe_takes_any_text(name: str, text: str) -> None:
    assert isinstance(apply_rules(RECIPES[name], text), str | Drop)
