"""Which sample stands at which place of an epoch: pure functions of sizes, seed and epoch.

    shards -> blocks of neighbours -> all blocks permuted -> windows of blocks, the samples of each permuted

A place needs its window alone, so going on at any place costs the same, and ranks, workers and buffers have no say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """How far samples travel; `docs/loading.md` says how near to a perfect shuffle that comes."""

    block_samples: int = 512
    """Neighbours in a shard that stay in one window, so that a window touches few shards."""
    window_blocks: int = 32
    """Blocks whose samples are permuted together."""
    scatter: bool = False
    """Blocks take their samples from all over a shard, for shards in which the pictures of a page lie side by side.

    Reads are then scattered too. A corpus of ours is sorted by hash, so that its neighbours have nothing in common.
    """


@dataclass(frozen=True, slots=True)
class SourceSize:
    """One source of an epoch: its shards by their number among all, and how much of the epoch is its own."""

    shards: tuple[int, ...]
    samples: tuple[int, ...]
    """Of each shard."""
    quota: int
    """Samples that it gives to every epoch: all for a source that is not weighted."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Runs of neighbours, in the order in which an epoch takes them."""

    shard: Int64s
    first: Int64s
    samples: Int64s


def epoch_blocks(
    sources: Sequence[SourceSize], *, seed: int, epoch: int, shuffle: Shuffle | None
) -> Blocks:
    """The epoch's blocks; without `shuffle` one a shard, in the shards' order.

    A source is an endless stream of passes over all of it, and each epoch takes the next `quota` samples of it: over
    the epochs no sample of a source comes twice as long as another did not come once.
    """
    parts = [
        _source_blocks(size, number, seed, epoch, shuffle) for number, size in enumerate(sources)
    ]
    blocks = _joined(parts)
    if shuffle is None:
        return blocks
    return _taken(blocks, _random(seed, epoch, 0).permutation(len(blocks.shard)))


class EpochOrder:
    """The order of one epoch. Places are counted from 0 and wrap around: what pads an epoch repeats its start."""

    def __init__(
        self, sources: Sequence[SourceSize], *, seed: int, epoch: int, shuffle: Shuffle | None
    ) -> None:
        blocks = epoch_blocks(sources, seed=seed, epoch=epoch, shuffle=shuffle)
        shard_samples = [
            pair for size in sources for pair in zip(size.shards, size.samples, strict=True)
        ]
        self._blocks = blocks
        self._seed, self._epoch = seed, epoch
        self._shuffled, self._scatter = shuffle is not None, bool(shuffle and shuffle.scatter)
        self._shard_samples = dict(shard_samples)
        self._step = shuffle.window_blocks if shuffle else 1
        ends = np.cumsum(blocks.samples)
        self.samples = int(ends[-1]) if len(ends) else 0
        starts = ends - blocks.samples
        self._window_starts = starts[:: self._step]
        self._windows: dict[int, tuple[Int64s, Int64s]] = {}

    def rows(self, places: Int64s) -> tuple[Int64s, Int64s]:
        """Shard and row in that shard of the samples at `places`."""
        wrapped = places % self.samples
        window_of = np.searchsorted(self._window_starts, wrapped, side="right") - 1
        shard, row = np.empty_like(wrapped), np.empty_like(wrapped)
        for window in np.unique(window_of):
            inside = window_of == window
            shards, rows = self._window(int(window))
            at = wrapped[inside] - self._window_starts[window]
            shard[inside], row[inside] = shards[at], rows[at]
        return shard, row

    def _window(self, number: int) -> tuple[Int64s, Int64s]:
        if number not in self._windows:
            while len(self._windows) > 1:  # a batch can lie across two windows
                self._windows.pop(next(iter(self._windows)))
            self._windows[number] = self._permuted(number)
        return self._windows[number]

    def _permuted(self, number: int) -> tuple[Int64s, Int64s]:
        part = slice(number * self._step, (number + 1) * self._step)
        samples = self._blocks.samples[part]
        shards = np.repeat(self._blocks.shard[part], samples)
        rows = np.arange(len(shards)) + np.repeat(
            self._blocks.first[part] - np.cumsum(samples) + samples, samples
        )
        if self._shuffled:
            rows = self._scattered(shards, rows) if self._scatter else rows
            order = _random(self._seed, self._epoch, number + 1).permutation(len(shards))
            shards, rows = shards[order], rows[order]
        return shards, rows

    def _scattered(self, shards: Int64s, rows: Int64s) -> Int64s:
        scattered = np.empty_like(rows)
        for shard in np.unique(shards).tolist():
            # The same in every epoch, since an epoch of a mix can end in the middle of a pass.
            order = _random(self._seed, shard, 2, 2).permutation(self._shard_samples[shard])
            scattered[shards == shard] = order[rows[shards == shard]]
        return scattered


def batch_count(samples: int, global_batch: int, *, pad: bool) -> int:
    """Global batches of an epoch: the last is padded by repeats, or what does not fill one is dropped."""
    return -(-samples // global_batch) if pad else samples // global_batch


def places_of(batch: int, *, rank: int, ranks: int, batch_size: int) -> Int64s:
    """The places that one rank takes of a global batch: `batch_size` neighbours."""
    start = (batch * ranks + rank) * batch_size
    return np.arange(start, start + batch_size)


def draws(places: Int64s, count: int, *, seed: int, epoch: int, stream: int) -> Floats:
    """`count` numbers in [0, 1) a place, a function of the arguments alone; `stream` keeps their uses apart."""
    key = _mixed(_mixed(np.uint64(seed & _MASK), epoch), stream)
    start = _mixed(key, places.astype(np.uint64))
    values = _mixed(start[:, None], np.arange(1, count + 1, dtype=np.uint64)[None, :])
    return np.asarray((values >> np.uint64(11)).astype(np.float64) / float(1 << 53))


_MASK = (1 << 64) - 1


def _mixed(
    state: np.uint64 | NDArray[np.uint64], value: int | NDArray[np.uint64]
) -> NDArray[np.uint64]:
    # SplitMix64: one round a value is enough for augmentation, and it is vectorised, unlike a generator a sample.
    x = np.atleast_1d(np.asarray(state, np.uint64)) ^ np.asarray(value, np.uint64)
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _random(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _source_blocks(
    size: SourceSize, number: int, seed: int, epoch: int, shuffle: Shuffle | None
) -> Blocks:
    total = sum(size.samples)
    start, left = epoch * size.quota, size.quota
    parts = []
    while left and total:
        turn, skip = divmod(start, total)
        take = min(left, total - skip)
        parts.append(_cut(_pass_blocks(size, number, seed, turn, shuffle), skip, take))
        start, left = start + take, left - take
    return _joined(parts)


def _pass_blocks(
    size: SourceSize, number: int, seed: int, turn: int, shuffle: Shuffle | None
) -> Blocks:
    shards, samples = np.asarray(size.shards, np.int64), np.asarray(size.samples, np.int64)
    step = shuffle.block_samples if shuffle else max(1, int(samples.max(initial=1)))
    counts = -(-samples // step)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = place * step
    whole = np.repeat(samples, counts)
    blocks = Blocks(np.repeat(shards, counts), first, np.minimum(step, whole - first))
    if shuffle is None:
        return blocks
    return _taken(blocks, _random(seed, turn, number, 1).permutation(len(first)))


def _cut(blocks: Blocks, skip: int, take: int) -> Blocks:
    ends = np.cumsum(blocks.samples)
    starts = ends - blocks.samples
    low, high = np.maximum(starts, skip), np.minimum(ends, skip + take)
    cut = Blocks(blocks.shard, blocks.first + low - starts, high - low)
    return _taken(cut, np.flatnonzero(high > low))


def _taken(blocks: Blocks, order: NDArray[np.intp]) -> Blocks:
    return Blocks(blocks.shard[order], blocks.first[order], blocks.samples[order])


def _joined(parts: Sequence[Blocks]) -> Blocks:
    if not parts:
        return Blocks(*(np.empty(0, np.int64) for _ in range(3)))
    return Blocks(
        np.concatenate([part.shard for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.samples for part in parts]),
    )
