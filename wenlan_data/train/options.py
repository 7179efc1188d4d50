"""Where and how a training runs: everything of the command line that is not the config."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The command line of `train`, validated."""

    shards: tuple[Path, ...]
    out: Path
    val_shards: tuple[Path, ...] = ()
    resume: str = "no"
    """`no`: the run must be new. `auto`: from its newest sound checkpoint, or anew. Otherwise a checkpoint's path."""
    init: Path | None = None
    """A checkpoint, a run or released weights to start from; step 0, new optimizer, empty queues."""
    workers: int = 2
    grown_corpus: bool = False
    changed_corpus: bool = False
    examples: int = 6
    """Pictures in the report's retrieval examples."""
    report: bool = field(default=True)
