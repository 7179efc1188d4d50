"""Applies a recipe's text rules in order; the first that rejects names the reason."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

from wenlan_data.clean.characters import INVISIBLE, well_formed
from wenlan_data.protocols import RemarkingRule, Rule
from wenlan_data.records import Drop, Remark, Text

_VISIBLE = re.compile(rf"[^\s{INVISIBLE}\u200d\ufe0f]")


@dataclass(frozen=True, slots=True)
class RuleStep:
    """What one rule made of a text."""

    rule: Rule | None
    """None for the check that comes before the rules: whether anything is visible at all."""
    before: str
    after: str | Drop


@dataclass(frozen=True, slots=True)
class CleanedTexts:
    """What the rules left of the texts by one picture."""

    texts: tuple[Text, ...]
    """Those that survive, cleaned, in order; texts of one type that are equal once cleaned come once."""
    rejected: tuple[tuple[Text, Drop], ...]
    """Those rejected, as they were, with the reason; in order."""
    remarks: tuple[tuple[str, Remark], ...]
    """What the rules saw, each with the text's type; rejected texts are among them."""


def apply_rules(rules: Sequence[Rule], text: str) -> str | Drop:
    """The cleaned text, or the first rule's reason against it; `empty` where nothing visible is left.

    What comes back can always be encoded as UTF-8.
    """
    text = well_formed(text)
    if not _VISIBLE.search(text):
        return Drop("empty")
    for rule in rules:
        result = rule(text)
        if isinstance(result, Drop):
            return result
        if result is not text and not _VISIBLE.search(result):
            return Drop("empty")
        text = result
    return text


def apply_stepwise(rules: Sequence[Rule], text: str) -> Iterator[RuleStep]:
    """The same, one step a rule until one rejects."""
    text = well_formed(text)
    if not _VISIBLE.search(text):
        yield RuleStep(None, text, Drop("empty"))
        return
    for rule in rules:
        result = rule(text)
        if result is not text and isinstance(result, str) and not _VISIBLE.search(result):
            result = Drop("empty")
        yield RuleStep(rule, text, result)
        if isinstance(result, Drop):
            return
        text = result


def apply_with_remarks(rules: Sequence[Rule], text: str) -> tuple[str | Drop, tuple[Remark, ...]]:
    """What `apply` gives, and what the rules remark on the way."""
    text = well_formed(text)
    if not _VISIBLE.search(text):
        return Drop("empty"), ()
    remarks: tuple[Remark, ...] = ()
    for rule in rules:
        result = rule(text)
        if result is not text and isinstance(result, str) and not _VISIBLE.search(result):
            result = Drop("empty")
        if _can_remark(type(rule)):
            remarks += cast("RemarkingRule", rule).remarks(text, result)
        if isinstance(result, Drop):
            return result, remarks
        text = result
    return text, remarks


def step_remarks(step: RuleStep) -> tuple[Remark, ...]:
    """What the step's rule has to say of it."""
    if step.rule is None or not _can_remark(type(step.rule)):
        return ()
    return cast("RemarkingRule", step.rule).remarks(step.before, step.after)


@cache
def _can_remark(kind: type) -> bool:
    # A check against a runtime protocol takes longer than most rules do.
    return hasattr(kind, "remarks")


def clean_texts(rules: Sequence[Rule], texts: Sequence[Text]) -> CleanedTexts:
    """The texts by one picture through the rules."""
    kept: dict[Text, None] = {}
    rejected: list[tuple[Text, Drop]] = []
    remarks: list[tuple[str, Remark]] = []
    for text in texts:
        result, seen = apply_with_remarks(rules, text.text)
        remarks.extend((text.type, remark) for remark in seen)
        if isinstance(result, Drop):
            rejected.append((text, result))
            remarks.append((text.type, Remark("rejected", result.reason)))
        else:
            kept.setdefault(Text(text.type, result))
    return CleanedTexts(tuple(kept), tuple(rejected), tuple(remarks))
