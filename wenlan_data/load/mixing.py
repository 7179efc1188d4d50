"""What a loader is given: paths, or several weighted sources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.load.shard_index import Shard, find_shards
from wenlan_data.load.shuffle import SourceSize

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A corpus among several, with its share of every epoch."""

    name: str
    paths: Paths
    weight: float = 1.0
    """Relative to the others' weights."""


@dataclass(frozen=True, slots=True)
class Found:
    """All shards, and the source of each run of them."""

    shards: tuple[Shard, ...]
    sources: tuple[SourceSize, ...]
    names: tuple[str, ...]

    @property
    def samples(self) -> int:
        """Of an epoch."""
        return sum(source.quota for source in self.sources)


def find_sources(
    shards: Paths | Sequence[Source], *, skip_damaged: bool, note: Callable[[str], None]
) -> Found:
    """The shards of one source, every sample once an epoch, or of weighted ones.

    Weighted sources make an epoch as long as all their samples, each with its share of it.
    Raises `UsageError` for a weight that is not positive, a source without samples, or what is no path.
    """
    given = _given(shards)
    found = [find_shards(_paths(one.paths), skip_damaged=skip_damaged, note=note) for one in given]
    counts = [sum(shard.samples for shard in shards) for shards in found]
    for one, count in zip(given, counts, strict=True):
        if not count:
            raise UsageError(f"{one.name}: there is no sample in it: a loader has nothing to give")
    quotas = shares([one.weight for one in given], sum(counts)) if len(given) > 1 else counts
    first, sizes = 0, []
    for shards_of, quota in zip(found, quotas, strict=True):
        numbers = tuple(range(first, first + len(shards_of)))
        sizes.append(SourceSize(numbers, tuple(shard.samples for shard in shards_of), quota))
        first += len(shards_of)
    return Found(
        tuple(shard for part in found for shard in part),
        tuple(sizes),
        tuple(one.name for one in given),
    )


def shares(weights: Sequence[float], total: int) -> list[int]:
    """`total` split by the weights into whole numbers, by largest remainder.

    Raises `UsageError` unless every weight is positive.
    """
    if not all(0 < weight < float("inf") for weight in weights):
        raise UsageError(f"weights {', '.join(map(str, weights))}: each must be above 0")
    exact = [weight / sum(weights) * total for weight in weights]
    whole = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda at: whole[at] - exact[at])
    for at in by_rest[: total - sum(whole)]:
        whole[at] += 1
    return whole


def _given(shards: Paths | Sequence[Source]) -> list[Source]:
    if isinstance(shards, (str, Path)):
        return [Source(name=str(shards), paths=shards)]
    items = list(shards)
    weighted = [item for item in items if isinstance(item, Source)]
    if not weighted and items:
        paths = [item for item in items if not isinstance(item, Source)]
        return [
            Source(name=str(paths[0]) if len(paths) == 1 else f"{len(paths)} paths", paths=paths)
        ]
    if len(weighted) != len(items) or not items:
        raise UsageError("shards: give paths, or weighted Sources, and at least one")
    names = [one.name for one in weighted]
    if len(set(names)) != len(names):
        raise UsageError(f"shards: two sources have one name: {', '.join(sorted(names))}")
    return weighted


def _paths(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]
