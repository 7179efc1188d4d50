"""Traces single texts through the rules, rule by rule, for people who tune recipes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wenlan_data.clean.chain import RuleStep, apply_stepwise, low_confidence, step_remarks
from wenlan_data.protocols import Rule
from wenlan_data.records import Drop, Remark, Text

VISIBLE_CHECK = "visible"
"""Name of the check before all rules, which drops a text as `empty`."""

CONFIDENCE_CHECK = "min_confidence"
"""Name of the check before it, which drops a text as `low_confidence`."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that changed or rejected a text."""

    rule: str
    before: str
    after: str | Drop


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """A text, its result, and the rules that had an effect on it."""

    text: str
    result: str | Drop
    changes: tuple[RuleChange, ...]
    """In order. If the text was rejected, the last one is of the rule that rejected it."""
    remarks: tuple[Remark, ...]

    def as_json(self) -> dict[str, object]:
        """Returns `text`, `script` and `flags`; of a rejected text `text` as it was read, `reason`,
        `detail` and `rule`."""
        if isinstance(self.result, Drop):
            rule = self.changes[-1].rule
            drop = self.result
            return {"text": self.text, "reason": drop.reason, "detail": drop.detail, "rule": rule}
        script = next((one.value for one in self.remarks if one.kind == "script"), "")
        flags = [one.value for one in self.remarks if one.kind == "flag"]
        return {"text": self.result, "script": script, "flags": list(dict.fromkeys(flags))}


@dataclass(frozen=True, slots=True)
class RuleTracer:
    """Loaded rules with their names, in the recipe's order."""

    names: Sequence[str]
    rules: Sequence[Rule]

    def __call__(self, text: str) -> RuleTrace:
        """Traces the text through all rules, up to the one that rejects it."""
        steps = list(apply_stepwise(self.rules, text))
        # The check before the rules is a step only where it rejects, and then it is the only one.
        names = [VISIBLE_CHECK] if steps and steps[0].rule is None else self.names
        return RuleTrace(
            text=text,
            # Without rules there is no step, and the text stays as it is.
            result=steps[-1].after if steps else text,
            changes=tuple(_changes(names, steps)),
            remarks=tuple(remark for step in steps for remark in step_remarks(step)),
        )


def low_confidence_trace(text: Text) -> RuleTrace:
    """Returns the trace of a text that is rejected before all rules for its confidence."""
    drop = low_confidence(text)
    change = RuleChange(CONFIDENCE_CHECK, text.text, drop)
    return RuleTrace(text=text.text, result=drop, changes=(change,), remarks=())


def _changes(names: Sequence[str], steps: Sequence[RuleStep]) -> Iterator[RuleChange]:
    for name, step in zip(names, steps, strict=False):
        if step.after != step.before:
            yield RuleChange(name, step.before, step.after)


def count_changes(traces: Iterable[RuleTrace]) -> dict[str, Counter[str]]:
    """Returns, for each rule, how many texts it `changed` and how many it `rejected`.

    Consumes `traces`.
    """
    counts: dict[str, Counter[str]] = {}
    for trace in traces:
        for change in trace.changes:
            effect = "rejected" if isinstance(change.after, Drop) else "changed"
            counts.setdefault(change.rule, Counter())[effect] += 1
    return counts
