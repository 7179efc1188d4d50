"""What steps report, kept on the device until it is logged: reading a value waits for the GPU."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields

import torch
from torch import Tensor

from wenlan_data.train.batches import Batch, DataCounts, sum_counts
from wenlan_data.train.distributed import Distributed, max_over_ranks, sum_over_ranks

AFTER_OBJECTIVE = ("gradient_norm", "temperature", "is_skipped")
"""Names of the values of a step that follow those of the objective."""


@dataclass(frozen=True, slots=True)
class StepFigures:
    """The figures of one step, means over all ranks."""

    values: Tensor
    """float64: those of the objective, then `AFTER_OBJECTIVE`."""
    others: float
    """Entries that could be negatives of a query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFigures:
    """The figures of the steps since the last line of the log, the same on all ranks."""

    figures: dict[str, float]
    """Means over the steps that were not skipped, if there are any; sums of `DataCounts` over steps
    and ranks; `negatives_share`, of the entries that could be negatives, where there are any."""
    skipped: list[bool]
    """Of each step, whether it was not finite."""
    steps: int
    epoch: int
    bad_example: str
    """Of this rank; see `Batch.bad_example`."""
    wait_s: float
    """That the slowest rank waited for data."""


@dataclass(slots=True)
class StepWindow:
    """The steps since the last line of the log."""

    names: tuple[str, ...]
    """Of the objective's figures."""
    _steps: list[StepFigures] = field(default_factory=list)
    _counts: list[DataCounts] = field(default_factory=list)
    _epoch: int = 0
    _wait_s: float = 0.0
    _bad_example: str = ""

    def add(self, step: StepFigures, micro_batches: Sequence[Batch]) -> None:
        """Adds a step. Waits for nothing."""
        self._steps.append(step)
        self._counts.append(sum_counts([one.counts for one in micro_batches]))
        self._epoch = micro_batches[-1].next_position.epoch
        self._wait_s += sum(batch.wait_s for batch in micro_batches)
        self._bad_example = self._bad_example or next(
            (one.bad_example for one in micro_batches if one.bad_example), ""
        )

    def read(self, distributed: Distributed) -> WindowFigures:
        """Waits for the device, returns the figures and empties the window; a collective."""
        rows = torch.stack([step.values for step in self._steps]).tolist()
        names = (*self.names, *AFTER_OBJECTIVE)
        skipped = [bool(row[-1]) for row in rows]
        # A step that is not finite would make the means of all not finite.
        counted = [row for row in rows if not row[-1]] or rows
        means = {
            name: sum(column) / len(counted)
            for name, column in zip(names, zip(*counted, strict=True), strict=True)
        }
        del means["is_skipped"]
        others = sum(step.others for step in self._steps) / len(rows)
        share = {"negatives_share": means["negatives"] / others} if others else {}
        totals = sum_over_ranks(astuple(sum_counts(self._counts)), distributed)
        counts = {one.name: total for one, total in zip(fields(DataCounts), totals, strict=True)}
        [wait_s] = max_over_ranks([self._wait_s], distributed)
        found = WindowFigures(
            figures={**means, **counts, **share},
            skipped=skipped,
            steps=len(rows),
            epoch=self._epoch,
            bad_example=self._bad_example,
            wait_s=wait_s,
        )
        self._steps.clear()
        self._counts.clear()
        self._wait_s, self._bad_example = 0.0, ""
        return found
