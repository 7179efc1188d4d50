"""Tells the operator where a training does not get what its corpus seems to hold."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields

from wenlan_data.errors import UsageError
from wenlan_data.train.batches import DataCounts
from wenlan_data.train.step_figures import WindowFigures

LOW_SHARE = 0.5
"""Of the entries that could be negatives; below it a warning is due."""
WARN_EVERY_STEPS = 100


class DataWatch:
    """Looks at the figures of each step; reports bad samples and missing negatives.

    Bad samples are reported when the first one comes, and all counts at the end of an epoch.
    """

    def __init__(self, message: Callable[[str], None]) -> None:
        self._message = message
        self._totals: Counter[str] = Counter()
        self._epoch = -1
        self._has_bad = False
        self._warned_at = -WARN_EVERY_STEPS

    def look(self, step: int, window: WindowFigures) -> None:
        """Reports what is due after a step, by the figures of all ranks.

        Raises `UsageError` where no query has a negative although there are other samples: the loss
        is 0 then, and nothing is learned. All ranks do so.
        """
        figures = window.figures
        if window.epoch != self._epoch:
            self._report_epoch()
            self._epoch = window.epoch
        self._totals.update({name: round(figures[name]) for name in _NAMES})
        if figures["bad"] and not self._has_bad:
            self._has_bad = True
            self._message(
                f"step {step}: {figures['bad']:.0f} samples cannot be used and were replaced "
                f"({window.bad_example or 'on another rank'}): see `shards verify`"
            )
        if figures["workers_lost"]:
            self._message(
                f"step {step}: loading workers were lost {figures['workers_lost']:.0f} times and "
                "replaced: is memory short?"
            )
        self._check_negatives(step, figures)

    def _report_epoch(self) -> None:
        counted = ", ".join(
            f"{count} {_NAMES[name]}" for name, count in self._totals.items() if count
        )
        if counted:
            self._message(f"epoch {self._epoch}: {counted}")
        self._totals.clear()

    def _check_negatives(self, step: int, figures: Mapping[str, float]) -> None:
        share = figures.get("negatives_share")
        if share is None:
            return
        if not figures["negatives"]:
            raise UsageError(
                f"step {step}: no sample is a negative of another one, since all have one page or "
                "one key: mix shards of several pages, or set negatives.mask=[id]"
            )
        if share < LOW_SHARE and step - self._warned_at >= WARN_EVERY_STEPS:
            self._warned_at = step
            self._message(
                f"step {step}: only {share:.0%} of the other samples are negatives "
                f"({figures['negatives']:.0f} a query): many have the same page or key"
            )


_NAMES = {
    "bad": "samples that cannot be used",
    "repeated": "rows repeated in their place or at the end of an epoch",
    "texts_cut": "texts truncated to text.max_tokens",
    "texts_other": "samples without the requested text, with their caption instead",
    "workers_lost": "times loading workers were lost and replaced",
}
assert _NAMES.keys() == {one.name for one in fields(DataCounts)}
