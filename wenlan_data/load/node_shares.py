"""Divides the samples of an epoch among nodes, so that each reads only its share of the shards.

    corpus:       | share 0 | share 1 |    equally many samples, neighbours in the shards
    global batch: | share 0 | share 1 |    equally many of each share

Each share has an order of its own. The ranks of a node have adjacent parts of a global batch, so a
node reads only the shares whose parts those are. The order depends on the number of shares, and not
on the number of nodes: a run may go on with fewer nodes that read several shares each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wenlan_data.errors import UsageError
from wenlan_data.load.shuffle import (
    CorpusQuota,
    EpochOrder,
    ShuffleSettings,
    batch_count,
    share_seed,
)
from wenlan_data.npy import Bools, Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShares:
    """The share of each node in the corpora and in the global batches. Picklable.

    With one share, indices in the epoch and in the share are the same.
    """

    corpora: tuple[tuple[CorpusQuota, ...], ...]
    """Of each share."""
    global_batch: int
    samples: tuple[int, ...] = field(init=False)
    """Of each share in an epoch."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "samples", tuple(sum(one.quota for one in share) for share in self.corpora)
        )
        if self.global_batch % len(self.corpora):
            raise UsageError(
                f"a global batch of {self.global_batch} cannot be divided among "
                f"{len(self.corpora)} nodes: choose a multiple"
            )

    @property
    def part(self) -> int:
        """Samples of a global batch that come from one share."""
        return self.global_batch // len(self.corpora)

    def locate(self, indices: Indices) -> tuple[Indices, Indices]:
        """Returns the share of each index in the epoch, and its index in that share."""
        batch, offset = np.divmod(indices, self.global_batch)
        share, at = np.divmod(offset, self.part)
        return share, batch * self.part + at

    def repeats(self, indices: Indices) -> Bools:
        """Whether each index pads the epoch, by repeating the start of its share."""
        share, at = self.locate(indices)
        return np.asarray(at >= np.asarray(self.samples)[share])

    def following(self, index: int, count: int) -> Indices:
        """Returns the next `count` indices of the same share, without `index`."""
        share, at = (int(one[0]) for one in self.locate(np.array([index])))
        batch, offset = np.divmod(np.arange(at + 1, at + 1 + count), self.part)
        return batch * self.global_batch + share * self.part + offset

    def batches(self, *, together: int, pad: bool) -> int:
        """Returns the number of global batches of an epoch, a multiple of `together`.

        The last ones are padded with repeats until the largest share is used up, or left out where
        the smallest has too few samples. Shares differ by one sample of each corpus at most.
        """
        decisive = max(self.samples) if pad else min(self.samples)
        return together * batch_count(decisive, self.part * together, pad=pad)


class ShareOrders:
    """The order of an epoch, made of the orders of the shares; each is computed when it is used."""

    def __init__(
        self, shares: NodeShares, *, seed: int, epoch: int, shuffle: ShuffleSettings | None
    ) -> None:
        self._shares, self._seed, self._epoch, self._shuffle = shares, seed, epoch, shuffle
        self._orders: dict[int, EpochOrder] = {}

    def rows(self, indices: Indices) -> tuple[Indices, Indices]:
        """Returns each sample's shard and its row in that shard, int64 (len(indices),) each."""
        share_of, at = self._shares.locate(indices)
        shard, row = np.empty_like(at), np.empty_like(at)
        for share in np.unique(share_of).tolist():
            inside = share_of == share
            shard[inside], row[inside] = self._order(share).rows(at[inside])
        return shard, row

    def _order(self, share: int) -> EpochOrder:
        if share not in self._orders:
            corpora = self._shares.corpora
            self._orders[share] = EpochOrder(
                corpora[share],
                seed=share_seed(self._seed, share) if len(corpora) > 1 else self._seed,
                epoch=self._epoch,
                shuffle=self._shuffle,
            )
        return self._orders[share]


def divide(corpora: Sequence[CorpusQuota], nodes: int, global_batch: int) -> NodeShares:
    """Divides every corpus into `nodes` runs of samples, of which each but the first and the last
    shard is whole. Raises `UsageError` where a share would be empty or a global batch cannot be
    divided."""
    smallest = min(sum(corpus.samples) for corpus in corpora)
    if nodes > 1 and smallest < nodes:
        raise UsageError(f"a corpus of {smallest} samples cannot be divided among {nodes} nodes")
    of_corpora = [_divided(corpus, nodes) for corpus in corpora]
    return NodeShares(corpora=tuple(zip(*of_corpora, strict=True)), global_batch=global_batch)


def _divided(corpus: CorpusQuota, nodes: int) -> list[CorpusQuota]:
    if nodes == 1:
        return [corpus]
    ends = np.cumsum(corpus.samples)
    total = int(ends[-1])
    shares = []
    for share in range(nodes):
        low, high = total * share // nodes, total * (share + 1) // nodes
        begin, end = np.searchsorted(ends, low, "right"), np.searchsorted(ends, high, "left") + 1
        upper = np.minimum(ends[begin:end], high)
        start = ends[begin:end] - np.asarray(corpus.samples[begin:end])
        lower = np.maximum(start, low)
        quota = corpus.quota * (share + 1) // nodes - corpus.quota * share // nodes
        shares.append(
            CorpusQuota(
                corpus.shards[begin:end],
                tuple((upper - lower).tolist()),
                quota,
                tuple((lower - start).tolist()),
            )
        )
    return shares
