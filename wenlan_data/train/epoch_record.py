"""What the loaders of all ranks counted in an epoch."""

from dataclasses import dataclass

from wenlan_data.load.metrics import LoaderMetrics
from wenlan_data.train.distributed import Distributed, max_over_ranks, sum_over_ranks

STAGES = ("read", "decode", "text", "pack", "copy", "augment")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """What is logged of an epoch, or of the part of it since the run was resumed. The field names
    are keys of `log.jsonl`."""

    step: int
    """The last one of the epoch."""
    epoch: int
    samples: int
    """Rows of all batches, repeated ones included."""
    bad: int
    workers_lost: int
    wait_s: float
    """Seconds that the slowest rank waited for the loader, without its first batch."""
    elapsed_s: float
    """Seconds from the first batch to the last one."""
    stage_s: dict[str, float]
    """Seconds by stage, summed over the loading workers of all ranks."""
    sources: dict[str, int]
    """Samples by corpus."""


def epoch_record(
    step: int, epoch: int, metrics: LoaderMetrics, distributed: Distributed
) -> EpochRecord:
    """Sums up the metrics of all ranks; a collective."""
    counts = [metrics.samples, metrics.bad.total(), metrics.workers_lost]
    stages = [metrics.stage_s[stage] for stage in STAGES]
    sums = sum_over_ranks([*counts, *stages, *metrics.sources.values()], distributed)
    samples, bad, lost = (round(value) for value in sums[: len(counts)])
    sources = map(round, sums[len(counts) + len(stages) :])
    wait_s, elapsed_s = max_over_ranks([metrics.wait_s, metrics.elapsed_s], distributed)
    return EpochRecord(
        step=step,
        epoch=epoch,
        samples=samples,
        bad=bad,
        workers_lost=lost,
        wait_s=wait_s,
        elapsed_s=elapsed_s,
        stage_s=dict(zip(STAGES, sums[len(counts) :], strict=False)),
        sources=dict(zip(metrics.sources, sources, strict=True)),
    )
