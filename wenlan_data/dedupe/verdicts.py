"""Which pictures stay: in keep order the next one left is kept, and its verified neighbours go with it.

So nothing goes for being near something that went, and the verdicts depend on neither order nor workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.codes import Batch, Prints, Published
from wenlan_data.dedupe.groups import Groups, fold
from wenlan_data.dedupe.near import candidates, near_between, near_pairs

MAX_PDQ_BITS = 31
"""Of 256: the usual threshold of PDQ's authors for the same picture."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What became of N pictures."""

    winner: Indices
    """int64 (N,): the picture that stands for it, itself where it is kept, -1 where that is a published one."""
    keys: NDArray[np.bytes_]
    """S16 (N,): key of the picture that stands for it."""
    exact: NDArray[np.bool_]
    """Whether its bytes equal those of the published one."""
    phash_distance: NDArray[np.int32]
    """Bits; -1 where it is kept."""
    pdq_distance: NDArray[np.int32]


def keep_order(area: Indices, caption_rank: Indices, keys: NDArray[np.bytes_]) -> Indices:
    """int64 (N,): the pictures from the one to keep first: largest in pixels, then best caption, then smallest key."""
    return np.lexsort((keys, caption_rank, -area))


def decide(prints: Prints, order: Indices, published: Published, *, radius_bits: int, verify: bool) -> Verdicts:
    """Verdicts on pictures that are distinct by sha256, `order` being their keep order.

    Published pictures come first and never change; of several that are near, one of equal bytes counts, else the
    earliest generation's, of these the smallest key. Without `verify` the PDQ distance is told but not asked.
    """
    groups = fold(prints, order)
    found = _Found.empty(prints)
    limit = MAX_PDQ_BITS if verify else 256
    _against_published(groups, found, published, radius_bits, limit)
    _among_new(groups, found, order, radius_bits, limit)
    return found.verdicts()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The verdicts while they are found; `winner` is -2 where nothing is decided."""

    winner: Indices
    keys: NDArray[np.bytes_]
    exact: NDArray[np.bool_]
    phash_distance: NDArray[np.int32]
    pdq_distance: NDArray[np.int32]

    @staticmethod
    def empty(prints: Prints) -> "_Found":
        count = len(prints.phash)
        return _Found(
            winner=np.full(count, -2),
            keys=prints.keys.copy(),
            exact=np.zeros(count, bool),
            phash_distance=np.full(count, -1, np.int32),
            pdq_distance=np.full(count, -1, np.int32),
        )

    def verdicts(self) -> Verdicts:
        return Verdicts(
            winner=self.winner,
            keys=np.where(self.winner >= 0, self.keys[np.maximum(self.winner, 0)], self.keys),
            exact=self.exact,
            phash_distance=self.phash_distance,
            pdq_distance=self.pdq_distance,
        )


def _against_published(groups: Groups, found: _Found, published: Published, radius_bits: int, limit: int) -> None:
    decided = np.zeros(len(groups.starts), bool)
    for batch in published.batches():
        hits = [hit for hit in _hits(groups, batch, radius_bits, limit) if len(hit.group)]
        if not hits:
            continue
        best = _best(_Hits.joined(hits))
        fresh = best.take(~decided[best.group])
        _drop_groups(groups, found, fresh)
        decided[fresh.group] = True
        for hit in hits:
            _drop_exact(groups, found, batch, hit.take((hit.phash_distance == 0) & (hit.pdq_distance == 0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hits:
    """Groups of new pictures with published pictures near them."""

    group: Indices
    row: Indices
    generation: Indices
    keys: NDArray[np.bytes_]
    phash_distance: NDArray[np.int32]
    pdq_distance: NDArray[np.int32]

    def take(self, rows: Indices | NDArray[np.bool_]) -> "_Hits":
        return _Hits(
            group=self.group[rows],
            row=self.row[rows],
            generation=self.generation[rows],
            keys=self.keys[rows],
            phash_distance=self.phash_distance[rows],
            pdq_distance=self.pdq_distance[rows],
        )

    @staticmethod
    def joined(hits: "list[_Hits]") -> "_Hits":
        return _Hits(
            group=np.concatenate([hit.group for hit in hits]),
            row=np.concatenate([hit.row for hit in hits]),
            generation=np.concatenate([hit.generation for hit in hits]),
            keys=np.concatenate([hit.keys for hit in hits]),
            phash_distance=np.concatenate([hit.phash_distance for hit in hits]),
            pdq_distance=np.concatenate([hit.pdq_distance for hit in hits]),
        )


def _hits(groups: Groups, batch: Batch, radius_bits: int, limit: int) -> Iterator[_Hits]:
    pairs = near_between(groups.codes, batch.phash(), radius_bits)
    code, row = pairs[:, 0], pairs[:, 1]
    for inner, group in candidates(groups.code_starts[code], groups.code_counts[code]):
        theirs = batch.take(row[inner])
        ours = groups.prints.take(groups.first[group])
        far = _bits(ours.phash ^ theirs.phash)
        pdq = _pdq_bits(ours.pdq ^ theirs.pdq)
        hits = _Hits(
            group=group,
            row=row[inner],
            generation=batch.generations(row[inner]),
            keys=theirs.keys,
            phash_distance=far,
            pdq_distance=pdq,
        )
        yield hits.take(pdq <= limit)


def _best(hits: _Hits) -> _Hits:
    """For each group the earliest generation's smallest key."""
    order = np.lexsort((hits.keys, hits.generation, hits.group))
    first = np.ones(len(order), bool)
    first[1:] = hits.group[order][1:] != hits.group[order][:-1]
    return hits.take(order[first])


def _drop_groups(groups: Groups, found: _Found, hits: _Hits) -> None:
    pictures = groups.of(hits.group)
    times = groups.counts[hits.group]
    found.winner[pictures] = -1
    found.keys[pictures] = np.repeat(hits.keys, times)
    found.phash_distance[pictures] = np.repeat(hits.phash_distance, times)
    found.pdq_distance[pictures] = np.repeat(hits.pdq_distance, times)


def _drop_exact(groups: Groups, found: _Found, batch: Batch, hits: _Hits) -> None:
    for inner, place in candidates(groups.starts[hits.group], groups.counts[hits.group]):
        pictures = groups.members[place]
        same = batch.take(hits.row[inner]).sha256 == groups.prints.sha256[pictures]
        equal, keys = pictures[same], hits.keys[inner][same]
        # A picture published twice cannot be; but an earlier batch's verdict stands all the same.
        fresh = ~found.exact[equal]
        found.exact[equal[fresh]] = True
        found.keys[equal[fresh]] = keys[fresh]
        found.phash_distance[equal[fresh]] = found.pdq_distance[equal[fresh]] = 0


def _among_new(groups: Groups, found: _Found, order: Indices, radius_bits: int, limit: int) -> None:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    neighbours = _Neighbours.of(groups, radius_bits)
    done = found.winner[groups.first] == -1
    stands_for = np.arange(len(groups.starts))
    distances = np.zeros((len(groups.starts), 2), np.int32)
    crowded = np.flatnonzero(neighbours.is_crowded[neighbours.code_of_group] & ~done)
    for group in crowded[np.argsort(place[groups.first[crowded]])].tolist():
        if done[group]:
            continue
        done[group] = True
        others = neighbours.groups_near(groups, group)
        others = others[~done[others]]
        ours, theirs = groups.first[group], groups.first[others]
        pdq = _pdq_bits(groups.prints.pdq[theirs] ^ groups.prints.pdq[ours])
        near = pdq <= limit
        gone = others[near]
        done[gone] = True
        stands_for[gone] = group
        distances[gone, 0] = _bits(groups.prints.phash[theirs[near]] ^ groups.prints.phash[ours])
        distances[gone, 1] = pdq[near]
    _spread(groups, found, stands_for, distances)


def _spread(groups: Groups, found: _Found, stands_for: Indices, distances: NDArray[np.int32]) -> None:
    """Hand the groups' verdicts to their pictures."""
    group_of = np.repeat(np.arange(len(groups.starts)), groups.counts)
    mine = found.winner[groups.members] != -1
    pictures, group_of = groups.members[mine], group_of[mine]
    winner = groups.first[stands_for[group_of]]
    found.winner[pictures] = winner
    kept = winner == pictures
    found.phash_distance[pictures] = np.where(kept, -1, distances[group_of, 0])
    found.pdq_distance[pictures] = np.where(kept, -1, distances[group_of, 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbours:
    """Codes that are near each other, as adjacency lists."""

    code_of_group: Indices
    targets: Indices
    starts: Indices
    is_crowded: NDArray[np.bool_]
    """Codes that have a neighbour or several groups; all others are kept without a look."""

    @staticmethod
    def of(groups: Groups, radius_bits: int) -> "_Neighbours":
        pairs = near_pairs(groups.codes, radius_bits)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        counts = np.bincount(both[:, 0], minlength=len(groups.codes))
        return _Neighbours(
            code_of_group=np.repeat(np.arange(len(groups.codes)), groups.code_counts),
            targets=both[:, 1],
            starts=np.concatenate([[0], np.cumsum(counts)]),
            is_crowded=(counts > 0) | (groups.code_counts > 1),
        )

    def groups_near(self, groups: Groups, group: int) -> Indices:
        """The groups whose code is near that of `group`, itself among them."""
        code = int(self.code_of_group[group])
        codes = self.targets[self.starts[code] : self.starts[code + 1]]
        codes = np.append(codes, code)
        spans = zip(groups.code_starts[codes].tolist(), groups.code_counts[codes].tolist(), strict=True)
        return np.concatenate([np.arange(start, start + count) for start, count in spans])


def _bits(difference: NDArray[np.uint64]) -> NDArray[np.int32]:
    return np.bitwise_count(difference).astype(np.int32)


def _pdq_bits(difference: NDArray[np.uint64]) -> NDArray[np.int32]:
    bits: NDArray[np.int32] = np.bitwise_count(difference).sum(axis=1, dtype=np.int32)
    return bits
