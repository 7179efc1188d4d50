"""Pictures that agree in both hashes: pairs of (pHash, PDQ) within a radius and a limit, however crowded they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming import cross_join, self_join
from wenlan_data.dedupe.hamming.pairs import candidates, distinct_of
from wenlan_data.dedupe.hamming.self_join import Found

PDQ_BITS, MAX_LEVELS = 256, 255
MAX_EDGES = 1 << 23
"""Verified pairs held at once: 134 MB; with more, pictures are decided in portions."""
VERIFY_PAIRS = 1 << 17
# 16 blocks of 16 bits: of 31 different bits or fewer, some block holds at most one.
_BLOCKS, _BLOCK_BITS = 16, 16

Indices = NDArray[np.int64]
Codes = NDArray[np.uint64]
Pairs = tuple[Indices, Indices]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The hashes of G pictures or groups of them, in the order of their pHash."""

    phash: Codes
    """uint64 (G,), sorted, not always distinct."""
    pdq: Codes
    """uint64 (G, 4)."""
    colours: Codes
    """uint64 (G,): 8 bytes each, as in `Prints`."""

    def take(self, rows: Indices) -> "Signs":
        """These rows, which must ascend."""
        return Signs(phash=self.phash[rows], pdq=self.pdq[rows], colours=self.colours[rows])

    def spans(self, codes: Codes) -> Pairs:
        """For each code where its rows begin, and how many they are."""
        begin = np.searchsorted(self.phash, codes, side="left")
        return begin, np.searchsorted(self.phash, codes, side="right") - begin


@dataclass(frozen=True, slots=True)
class Nearness:
    """What makes two pictures neighbours."""

    radius_bits: int
    limit_bits: int
    """Of PDQ; 256 where it is not asked."""
    colour_levels: int = 255
    """By which the mean colours of a quarter may differ; asked where PDQ is, and only where both are known."""

    @property
    def looks(self) -> bool:
        """Whether pictures are compared at all; else only equal bytes count."""
        return self.radius_bits >= 0

    @property
    def verifies(self) -> bool:
        """Whether PDQ has a say."""
        return self.limit_bits < PDQ_BITS


def edges_among(
    signs: Signs, nearness: Nearness, found: Iterable[Found] | None = None
) -> Indices | None:
    """int64 (E, 2): neighbours i != j, each pair once or more; None where there are more than `MAX_EDGES`.

    `found` is what a search among the distinct pHashes gave; it is done here if missing.
    """
    edges, total = [np.empty((0, 2), np.int64)], 0
    for left, right in _among(
        signs, nearness, _searched(signs, nearness) if found is None else found
    ):
        edges.append(np.stack([left, right], axis=1))
        total += len(left)
        if total > MAX_EDGES:
            return None
    return np.concatenate(edges)


def all_edges(signs: Signs, nearness: Nearness, found: Iterable[Found] | None = None) -> Indices:
    """The same however many there are."""
    pairs = _among(signs, nearness, _searched(signs, nearness) if found is None else found)
    return np.concatenate([np.empty((0, 2), np.int64), *(np.stack(pair, axis=1) for pair in pairs)])


def neighbours_between(left: Signs, right: Signs, nearness: Nearness) -> Iterator[Pairs]:
    """Rows of `left` and of `right` that are neighbours."""
    ours, theirs = distinct_of(left.phash)[0], distinct_of(right.phash)[0]
    for pairs in cross_join.search_between(ours, theirs, nearness.radius_bits):
        yield from expanded(left, right, pairs, nearness)


def expanded(left: Signs, right: Signs, pairs: Codes, nearness: Nearness) -> Iterator[Pairs]:
    """Rows that are neighbours, of pairs of near codes (K, 2)."""
    starts, counts = left.spans(pairs[:, 0])
    others, times = right.spans(pairs[:, 1])
    for rows, i in candidates(starts, counts):
        for inner, j in candidates(others[rows], times[rows]):
            yield from _verified(left, right, i[inner], j, nearness)


def pdq_bits(left: Codes, right: Codes) -> NDArray[np.int32]:
    """int32 (N,): how many of 256 bits differ between rows of (N, 4) words."""
    bits: NDArray[np.int32] = np.bitwise_count(left ^ right).sum(axis=1, dtype=np.int32)
    return bits


def levels_apart(left: Codes, right: Codes) -> NDArray[np.int16]:
    """int16 (N,): how far the mean colours of (N,) pictures differ in any quarter; 0 where one is not known."""
    one, other = (
        np.ascontiguousarray(codes).view(np.uint8).reshape(-1, 8).astype(np.int16)
        for codes in (left, right)
    )
    levels: NDArray[np.int16] = np.abs(one - other).max(axis=1, initial=0)
    levels[(left == 0) | (right == 0)] = 0
    return levels


def _searched(signs: Signs, nearness: Nearness) -> Iterable[Found]:
    return self_join.search(
        distinct_of(signs.phash)[0], (), nearness.radius_bits, leave_crowds=nearness.verifies
    )


def _among(signs: Signs, nearness: Nearness, found: Iterable[Found]) -> Iterator[Pairs]:
    distinct, counts = np.unique(signs.phash, return_counts=True)
    crowds = [distinct[counts > self_join.CROWD_CODES]] if nearness.verifies else []
    several = (
        distinct[counts > 1]
        if not nearness.verifies
        else distinct[(counts > 1) & (counts <= self_join.CROWD_CODES)]
    )
    starts, times = signs.spans(several)
    rows = np.repeat(starts, times) + _counted(times)
    for first, j in candidates(rows + 1, np.repeat(starts + times, times) - rows - 1):
        yield from _verified(signs, signs, rows[first], j, nearness)
    for one in found:
        heavy = _heavy(signs, one.pairs, nearness)
        yield from expanded(signs, signs, one.pairs[~heavy], nearness)
        crowds += [one.crowd, one.pairs[heavy].ravel()]
    crowd = np.unique(np.concatenate([np.empty(0, np.uint64), *crowds]))
    starts, times = signs.spans(crowd)
    members = np.repeat(starts, times) + _counted(times)
    for i, j in _by_pdq(signs.take(members), nearness):
        yield members[i], members[j]


def _heavy(signs: Signs, pairs: Codes, nearness: Nearness) -> NDArray[np.bool_]:
    """Pairs of codes with so many pictures that the other hash finds the neighbours sooner."""
    left, right = signs.spans(pairs[:, 0])[1], signs.spans(pairs[:, 1])[1]
    heavy: NDArray[np.bool_] = left * right > (
        self_join.CROWD_CODES**2 if nearness.verifies else np.inf
    )
    return heavy


def _counted(times: Indices) -> Indices:
    """0, 1, ... in each span."""
    return np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)


def _verified(
    left: Signs, right: Signs, i: Indices, j: Indices, nearness: Nearness
) -> Iterator[Pairs]:
    if not nearness.verifies:
        yield i, j
        return
    for start in range(0, len(i), VERIFY_PAIRS):
        one, other = i[start : start + VERIFY_PAIRS], j[start : start + VERIFY_PAIRS]
        same = pdq_bits(left.pdq[one], right.pdq[other]) <= nearness.limit_bits
        one, other = one[same], other[same]
        if nearness.colour_levels < MAX_LEVELS:
            same = levels_apart(left.colours[one], right.colours[other]) <= nearness.colour_levels
            one, other = one[same], other[same]
        yield one, other


def _by_pdq(signs: Signs, nearness: Nearness) -> Iterator[Pairs]:
    """Neighbours in a crowd: blocks of the larger hash, and each block with one bit turned, name the candidates."""
    words = np.ascontiguousarray(signs.pdq).view(np.uint16)
    if not len(words):
        return
    for block in range(_BLOCKS):
        values = words[:, block]
        order = np.argsort(values, kind="stable")
        counts = np.bincount(values, minlength=1 << _BLOCK_BITS)
        starts = np.cumsum(counts) - counts
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        rest = starts[values] + counts[values] - place - 1
        yield from _of_block(signs, words, block, order, candidates(place + 1, rest), nearness)
        for bit in range(_BLOCK_BITS):
            rows = np.flatnonzero((values >> bit) & 1 == 0)
            turned = values[rows] | np.uint16(1 << bit)
            pairs = ((rows[i], j) for i, j in candidates(starts[turned], counts[turned]))
            yield from _of_block(signs, words, block, order, pairs, nearness)


def _of_block(
    signs: Signs,
    words: NDArray[np.uint16],
    block: int,
    order: Indices,
    pairs: Iterable[Pairs],
    nearness: Nearness,
) -> Iterator[Pairs]:
    for i, place in pairs:
        for one, other in _verified(signs, signs, i, order[place], nearness):
            close = np.bitwise_count(signs.phash[one] ^ signs.phash[other]) <= nearness.radius_bits
            one, other = one[close], other[close]
            # The first block with at most one turned bit has the pair, so that it comes once.
            earlier = np.bitwise_count(words[one, :block] ^ words[other, :block]) <= 1
            new = ~earlier.any(axis=1)
            yield one[new], other[new]
