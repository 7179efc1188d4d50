"""What a recipe's rules do to single texts, rule by rule, for people who tune recipes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wenlan_data.clean.chain import RuleStep, apply_stepwise, step_remarks
from wenlan_data.protocols import Rule
from wenlan_data.recipe import Recipe
from wenlan_data.records import Drop, Remark

CHECK = "visible"
"""The name of the check before all rules, which drops as `empty`."""


@dataclass(frozen=True, slots=True)
class Change:
    """A rule that changed or rejected a text."""

    rule: str
    before: str
    after: str | Drop


@dataclass(frozen=True, slots=True)
class Tried:
    """A text through the whole chain."""

    text: str
    result: str | Drop
    changes: tuple[Change, ...]
    """Of the rules that did something, in order; the last is the one that rejected, if any did."""
    remarks: tuple[Remark, ...]

    def as_json(self) -> dict[str, object]:
        """`text`, `script` and `flags`, or `reason`, `detail` and `rule`."""
        if isinstance(self.result, Drop):
            rule = self.changes[-1].rule
            return {"reason": self.result.reason, "detail": self.result.detail, "rule": rule}
        script = next((one.value for one in self.remarks if one.kind == "script"), "")
        flags = [one.value for one in self.remarks if one.kind == "flag"]
        return {"text": self.result, "script": script, "flags": list(dict.fromkeys(flags))}


class Trial:
    """A recipe's rules by name."""

    def __init__(self, recipe: Recipe) -> None:
        self._rules: list[Rule] = [spec.load() for spec in recipe.text.rules]
        self._names = [spec.rule for spec in recipe.text.rules]

    def __call__(self, text: str) -> Tried:
        """The text through all rules."""
        done = list(apply_stepwise(self._rules, text))
        # With no rule at all, and for an empty text, the steps do not begin with the first rule.
        names = [CHECK] if done and done[0].rule is None else self._names
        result = done[-1].after if done else text
        return Tried(
            text,
            result,
            tuple(_changes(names, done)),
            tuple(one for step in done for one in step_remarks(step)),
        )


def _changes(names: Sequence[str], done: Sequence[RuleStep]) -> Iterator[Change]:
    for name, step in zip(names, done, strict=False):
        if step.after != step.before:
            yield Change(name, step.before, step.after)


def counts(tried: Iterable[Tried]) -> dict[str, Counter[str]]:
    """Rule to how many texts it `changed` and how many it `rejected`; each text is looked at once."""
    found: dict[str, Counter[str]] = {}
    for one in tried:
        for change in one.changes:
            found.setdefault(change.rule, Counter())[
                "rejected" if isinstance(change.after, Drop) else "changed"
            ] += 1
    return found
