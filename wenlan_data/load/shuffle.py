"""The order of an epoch: pure functions of the shard sizes, the seed and the epoch.

    shards -> blocks of neighbours -> all blocks permuted -> windows of blocks
    -> the samples of each window permuted

Samples are addressed by their index in the epoch. To find a sample, only its window is permuted,
so resuming costs the same at every position, and neither ranks nor workers nor buffers influence
the order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from wenlan_data.npy import Codes, Indices

ORDER_VERSION = 2
"""Of the order and the draws that this module makes of a seed: a position in an epoch of another
version means other samples."""
_MASK = (1 << 64) - 1


class DrawStream(IntEnum):
    """What numbers of `uniform_draws` are for.

    Each use has a number of its own, so that its draws are independent of the others. The numbers
    stay as they are: with others, the same seed would give another training.
    """

    CHECK = 1
    """Which samples are verified."""
    TEXT = 2
    """Which text of a sample trains."""
    AUGMENT = 3
    """How an image varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleSettings:
    """How far samples travel; `docs/loading.md` compares the result with a perfect shuffle."""

    block_samples: int = 512
    """Neighbours in a shard that stay in one window, so that a window touches few shards."""
    window_blocks: int = 32
    """Blocks whose samples are permuted together."""
    scatter: bool = False
    """Blocks take their samples from all over a shard, at the price of scattered reads.

    For shards in which the images of a page are neighbours. A corpus of this package is sorted by
    hash, so its neighbours are unrelated.
    """


@dataclass(frozen=True, slots=True)
class CorpusQuota:
    """One corpus of an epoch: its shards, and how many samples of the epoch come from it."""

    shards: tuple[int, ...]
    """Numbers of its shards among those of all corpora."""
    samples: tuple[int, ...]
    """Of each shard."""
    quota: int
    """Samples per epoch; all of them for a corpus that is not mixed with others."""
    first: tuple[int, ...] = ()
    """Row at which the samples of each shard begin; empty where all begin at 0."""

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """Yields the number of each shard, the first row of it, and the number of rows."""
        first = self.first or (0,) * len(self.shards)
        return zip(self.shards, first, self.samples, strict=True)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Runs of neighbouring samples, in the order in which an epoch takes them; int64 (blocks,)."""

    shard: Indices
    first: Indices
    """Row of the first sample in its shard."""
    samples: Indices


def epoch_blocks(
    corpora: Sequence[CorpusQuota], *, seed: int, epoch: int, shuffle: ShuffleSettings | None
) -> Blocks:
    """Returns the blocks of an epoch; without `shuffle` one per shard, in the order of the shards.

    A corpus is an endless stream of passes over all its samples, and each epoch takes the next
    `quota` samples of it. So at any time the uses of two samples of a corpus differ by at most 1.
    """
    parts = [
        _corpus_blocks(corpus, number, seed, epoch, shuffle)
        for number, corpus in enumerate(corpora)
    ]
    blocks = _concatenated(parts)
    if shuffle is None:
        return blocks
    # The blocks of all corpora are permuted together, which interleaves the corpora of a mix.
    return _select(blocks, _generator(seed, epoch, 0).permutation(len(blocks.shard)))


class EpochOrder:
    """The order of one epoch. Indices start at 0 and wrap around, so padding repeats its start."""

    def __init__(
        self,
        corpora: Sequence[CorpusQuota],
        *,
        seed: int,
        epoch: int,
        shuffle: ShuffleSettings | None,
    ) -> None:
        blocks = epoch_blocks(corpora, seed=seed, epoch=epoch, shuffle=shuffle)
        self._blocks = blocks
        self._seed, self._epoch = seed, epoch
        self._shuffled, self._scatter = shuffle is not None, bool(shuffle and shuffle.scatter)
        self._shard_rows = {
            shard: (first, samples) for corpus in corpora for shard, first, samples in corpus.rows()
        }
        self._window_blocks = shuffle.window_blocks if shuffle else 1
        ends = np.cumsum(blocks.samples)
        self.samples = int(ends[-1]) if len(ends) else 0
        starts = ends - blocks.samples
        self._window_starts = starts[:: self._window_blocks]
        self._windows: dict[int, tuple[Indices, Indices]] = {}

    def rows(self, indices: Indices) -> tuple[Indices, Indices]:
        """Returns each sample's shard and its row in that shard, int64 (len(indices),) each."""
        wrapped = indices % self.samples
        window_of = np.searchsorted(self._window_starts, wrapped, side="right") - 1
        shard, row = np.empty_like(wrapped), np.empty_like(wrapped)
        for window in np.unique(window_of):
            inside = window_of == window
            shards, rows = self._window(int(window))
            at = wrapped[inside] - self._window_starts[window]
            shard[inside], row[inside] = shards[at], rows[at]
        return shard, row

    def _window(self, number: int) -> tuple[Indices, Indices]:
        if number not in self._windows:
            # Two are kept: a batch can lie across two windows.
            while len(self._windows) > 1:
                self._windows.pop(next(iter(self._windows)))
            self._windows[number] = self._permuted(number)
        return self._windows[number]

    def _permuted(self, number: int) -> tuple[Indices, Indices]:
        part = slice(number * self._window_blocks, (number + 1) * self._window_blocks)
        samples = self._blocks.samples[part]
        shards = np.repeat(self._blocks.shard[part], samples)
        # first + (0, 1, ... samples - 1) for every block at once.
        rows = np.arange(len(shards)) + np.repeat(
            self._blocks.first[part] - np.cumsum(samples) + samples, samples
        )
        if self._shuffled:
            rows = self._scattered(shards, rows) if self._scatter else rows
            # Seeded by the window's number, so that a window does not depend on those before it.
            order = _generator(self._seed, self._epoch, number + 1).permutation(len(shards))
            shards, rows = shards[order], rows[order]
        return shards, rows

    def _scattered(self, shards: Indices, rows: Indices) -> Indices:
        scattered = np.empty_like(rows)
        for shard in np.unique(shards).tolist():
            # The same permutation in every epoch: an epoch of a mix can end in the middle of a
            # pass, and the next one has to continue with the samples that are left.
            first, samples = self._shard_rows[shard]
            order = first + _generator(self._seed, shard, 2, 2).permutation(samples)
            scattered[shards == shard] = order[rows[shards == shard] - first]
        return scattered


def batch_count(samples: int, global_batch: int, *, pad: bool) -> int:
    """Returns the number of global batches; the last one is padded with repeats or dropped."""
    return -(-samples // global_batch) if pad else samples // global_batch


def batch_indices(batch: int, *, rank: int, world_size: int, batch_size: int) -> Indices:
    """Returns the epoch indices of one rank's part of a global batch: `batch_size` neighbours."""
    start = (batch * world_size + rank) * batch_size
    return np.arange(start, start + batch_size)


def uniform_draws(
    indices: Indices, count: int, *, seed: int, epoch: int, stream: int
) -> NDArray[np.float64]:
    """Returns float64 (len(indices), count), uniform in [0, 1): a pure function.

    `stream` is a `DrawStream`.
    """
    # A round for each number: of `seed ^ epoch`, epoch 1 of seed 0 would repeat epoch 0 of seed 1.
    key = _splitmix64(_splitmix64(_splitmix64(np.uint64(seed & _MASK), 0), epoch), stream)
    start = _splitmix64(key, indices.astype(np.uint64))
    values = _splitmix64(start[:, None], np.arange(1, count + 1, dtype=np.uint64)[None, :])
    # The upper 53 bits are what a float64 holds exactly.
    return np.asarray((values >> np.uint64(11)).astype(np.float64) / float(1 << 53))


def share_seed(seed: int, share: int) -> int:
    """Returns the seed of one of several orders that are drawn of one seed, 64 bits."""
    return int(_splitmix64(_splitmix64(np.uint64(seed & _MASK), 0), share)[0])


def _splitmix64(state: np.uint64 | Codes, value: int | Codes) -> Codes:
    # A counter-based hash: it is vectorised over the samples, which one generator per sample is
    # not, and one round per value is random enough for augmentation.
    x = np.atleast_1d(np.asarray(state, np.uint64)) ^ np.asarray(value, np.uint64)
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _generator(*key: int) -> np.random.Generator:
    # SeedSequence pads a short key with zeros, so the fourth number keeps the uses apart:
    # (seed, epoch, 0) permutes blocks, (seed, epoch, window + 1) the samples of a window,
    # (seed, pass, corpus, 1) the blocks of a pass, (seed, pass, corpus, 3) draws their borders and
    # (seed, shard, 2, 2) scatters a shard.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _corpus_blocks(
    corpus: CorpusQuota, number: int, seed: int, epoch: int, shuffle: ShuffleSettings | None
) -> Blocks:
    total = sum(corpus.samples)
    start, remaining = epoch * corpus.quota, corpus.quota
    parts = []
    # Several passes if the quota exceeds the corpus or the epoch begins inside a pass.
    while remaining and total:
        pass_number, skip = divmod(start, total)
        take = min(remaining, total - skip)
        parts.append(_cut(_pass_blocks(corpus, number, seed, pass_number, shuffle), skip, take))
        start, remaining = start + take, remaining - take
    return _concatenated(parts)


def _pass_blocks(
    corpus: CorpusQuota, number: int, seed: int, pass_number: int, shuffle: ShuffleSettings | None
) -> Blocks:
    shards = np.asarray(corpus.shards, np.int64)
    samples = np.asarray(corpus.samples, np.int64)
    step = shuffle.block_samples if shuffle else max(1, int(samples.max(initial=1)))
    # By how much the first block of a shard is shorter than the others: drawn for each pass,
    # so that samples on both sides of a border can meet in a window of the next pass.
    short = np.zeros_like(samples)
    if shuffle:
        short = _generator(seed, pass_number, number, 3).integers(0, step, len(samples))
    counts = np.where(samples > 0, -(-(samples + short) // step), 0)
    block_in_shard = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    border = block_in_shard * step - np.repeat(short, counts)
    first = np.maximum(border, 0)
    end = np.minimum(border + step, np.repeat(samples, counts))
    of_shard = np.asarray(corpus.first or (0,) * len(shards), np.int64)
    blocks = Blocks(np.repeat(shards, counts), first + np.repeat(of_shard, counts), end - first)
    if shuffle is None:
        return blocks
    order = _generator(seed, pass_number, number, 1).permutation(len(first))
    return _select(blocks, order)


def _cut(blocks: Blocks, skip: int, take: int) -> Blocks:
    ends = np.cumsum(blocks.samples)
    starts = ends - blocks.samples
    low, high = np.maximum(starts, skip), np.minimum(ends, skip + take)
    cut = Blocks(blocks.shard, blocks.first + low - starts, high - low)
    return _select(cut, np.flatnonzero(high > low))


def _select(blocks: Blocks, order: Indices) -> Blocks:
    return Blocks(blocks.shard[order], blocks.first[order], blocks.samples[order])


def _concatenated(parts: Sequence[Blocks]) -> Blocks:
    if not parts:
        return Blocks(*(np.empty(0, np.int64) for _ in range(3)))
    return Blocks(
        np.concatenate([part.shard for part in parts]),
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.samples for part in parts]),
    )
