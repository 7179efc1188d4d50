"""The shards that a loader reads: those of paths, or of several corpora with weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.load.shard_index import Shard, find_shards
from wenlan_data.load.shuffle import CorpusQuota

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedCorpus:
    """One corpus of a mix, with its share of every epoch."""

    name: str
    paths: Paths
    weight: float = 1.0
    """Relative to the weights of the others."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The shards of all corpora, numbered across them, and the quota of each corpus."""

    shards: tuple[Shard, ...]
    quotas: tuple[CorpusQuota, ...]
    names: tuple[str, ...]
    """Of the corpora, in the order of `quotas`."""

    @property
    def samples(self) -> int:
        """Length of an epoch."""
        return sum(corpus.quota for corpus in self.quotas)

    @property
    def corpus_of_shard(self) -> list[str]:
        """Name of the corpus of each shard."""
        named = zip(self.names, self.quotas, strict=True)
        return [name for name, corpus in named for _ in corpus.shards]


def open_mixture(
    shards: Paths | Sequence[WeightedCorpus], *, skip_corrupt: bool, note: Callable[[str], None]
) -> Mixture:
    """Finds the shards of `shards`.

    An epoch of plain paths holds every sample once. An epoch of weighted corpora is as long as all
    their samples together, and each corpus has its share of it.
    Raises `UsageError` for a weight that is not positive, a corpus without samples, or no path.
    """
    corpora = _as_weighted(shards)
    found = [
        find_shards(_as_list(corpus.paths), skip_corrupt=skip_corrupt, note=note)
        for corpus in corpora
    ]
    counts = [sum(shard.samples for shard in of_corpus) for of_corpus in found]
    for corpus, count in zip(corpora, counts, strict=True):
        if not count:
            raise UsageError(f"{corpus.name}: there is no sample in it: give a corpus with samples")
    # A single corpus takes its exact count: its weight cannot matter, so it is not even checked.
    samples = (
        split_by_weight([corpus.weight for corpus in corpora], sum(counts))
        if len(corpora) > 1
        else counts
    )
    quotas: list[CorpusQuota] = []
    first = 0
    for of_corpus, quota in zip(found, samples, strict=True):
        numbers = tuple(range(first, first + len(of_corpus)))
        quotas.append(CorpusQuota(numbers, tuple(shard.samples for shard in of_corpus), quota))
        first += len(of_corpus)
    return Mixture(
        shards=tuple(chain.from_iterable(found)),
        quotas=tuple(quotas),
        names=tuple(corpus.name for corpus in corpora),
    )


def split_by_weight(weights: Sequence[float], total: int) -> list[int]:
    """Splits `total` in proportion to the weights into integers that add up to it.

    Raises `UsageError` unless every weight is positive and finite.
    """
    # NaN fails both comparisons, so it is refused here as well.
    if not all(0 < weight < float("inf") for weight in weights):
        raise UsageError(f"weights {', '.join(map(str, weights))}: each must be above 0")
    exact = [weight / sum(weights) * total for weight in weights]
    quotas = [int(share) for share in exact]
    # Largest remainder: rounding each share by itself would miss `total` by a few samples, and then
    # an epoch would not be as long as all samples together.
    by_remainder = sorted(range(len(exact)), key=lambda at: quotas[at] - exact[at])
    for at in by_remainder[: total - sum(quotas)]:
        quotas[at] += 1
    return quotas


def _as_weighted(shards: Paths | Sequence[WeightedCorpus]) -> list[WeightedCorpus]:
    if isinstance(shards, (str, Path)):
        return [WeightedCorpus(name=str(shards), paths=shards)]
    items = list(shards)
    weighted = [item for item in items if isinstance(item, WeightedCorpus)]
    paths = [item for item in items if not isinstance(item, WeightedCorpus)]
    if paths and not weighted:
        name = str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths"
        return [WeightedCorpus(name=name, paths=paths)]
    if paths or not items:
        raise UsageError("shards: give at least one path, or only WeightedCorpus items")
    # The counts of `LoaderMetrics.sources` are by name.
    names = [corpus.name for corpus in weighted]
    if len(set(names)) != len(names):
        raise UsageError(f"shards: two corpora have the same name: {', '.join(sorted(names))}")
    return weighted


def _as_list(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
