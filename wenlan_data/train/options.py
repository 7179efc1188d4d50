"""Where and how a training runs: everything on the command line that is not in the config."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.model.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The validated command line of `train`."""

    out: Path
    shards: tuple[Path, ...] = ()
    """The corpus, where the config names none."""
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

    def absolute(self) -> "TrainOptions":
        """The same paths for another working folder."""
        resume = self.resume if self.resume in ("no", "auto") else str(Path(self.resume).absolute())
        return replace(
            self,
            shards=tuple(path.absolute() for path in self.shards),
            out=self.out.absolute(),
            val_shards=tuple(path.absolute() for path in self.val_shards),
            resume=resume,
            init=self.init and self.init.absolute(),
        )

    def words(self) -> Iterator[str]:
        """Yields these options as words of the command line."""
        for path in self.shards:
            yield f"--shards={path}"
        for path in self.val_shards:
            yield f"--val-shards={path}"
        yield from (f"--out={self.out}", f"--resume={self.resume}", f"--workers={self.workers}")
        if self.init is not None:
            yield f"--init={self.init}"
        if self.grown_corpus:
            yield "--grown-corpus"
        if self.changed_corpus:
            yield "--changed-corpus"

    def training_shards(self, config: TrainConfig) -> tuple[Path, ...]:
        """The paths of the corpora that train, in order.

        Raises `UsageError` unless they are given once, here or by `data.corpora`.
        """
        named = tuple(Path(path) for corpus in config.data.corpora for path in corpus.paths)
        if named and self.shards:
            raise UsageError("--shards and data.corpora both name what trains: give one of them")
        if not named and not self.shards:
            raise UsageError("nothing to train on: give --shards, or data.corpora in the config")
        return named or self.shards
