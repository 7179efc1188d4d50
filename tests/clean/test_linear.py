"""Rules on 100 KB texts that mean to make them slow.

A pattern that looks at a stretch of text for each of its characters takes minutes on these, and
meets the time limit; for figures see `benchmarks/build/text.py --attacks`.
"""

from typing import cast

import pytest

from benchmarks.build.attacks import attacks
from wenlan_data.clean.chain import apply_rules
from wenlan_data.clean.rules.contact_info import ContactInfo
from wenlan_data.protocols import RemarkingRule
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Drop

RULES = {spec.rule: spec.load() for spec in load_recipe("wenlan").text.rules}
RULES["contact_info, masking"] = ContactInfo(action="mask")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", RULES)
def test_no_attack_of_100_kb_holds_a_rule_up(name: str) -> None:
    rule = RULES[name]
    for _, text in attacks(100_000, pairs=20, seed=1):
        result = rule(text)
        if hasattr(rule, "remarks"):
            cast("RemarkingRule", rule).remarks(text, result)
        assert isinstance(result, str | Drop)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_mixture_of_two_attacks_holds_the_chain_up() -> None:
    for _, text in attacks(100_000, pairs=400, seed=2):
        assert isinstance(apply_rules(tuple(RULES.values()), text), str | Drop)
