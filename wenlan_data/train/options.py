"""Where and how a training runs: everything on the command line that is not in the config."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The validated command line of `train`."""

    shards: tuple[Path, ...]
    out: Path
    val_shards: tuple[Path, ...] = ()
    resume: str = "no"
    """`no`: the run must be new. `auto`: from its newest intact checkpoint, or from step 0 where
    there is none. Otherwise the path of a checkpoint."""
    init: Path | None = None
    """A checkpoint, a run or released weights to start from, at step 0 with a new optimizer and
    empty queues."""
    workers: int = 2
    """Loader processes of each rank."""
    grown_corpus: bool = False
    """Permits to resume where shards were added."""
    changed_corpus: bool = False
    """Permits to resume on another corpus."""
