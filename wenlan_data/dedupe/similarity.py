"""Neighbours: images that agree in pHash, PDQ and colours, found exactly however densely their
codes lie.

The search for near pHashes (`hamming`, run by `near_step` or here) comes before, and names pairs of
codes; PDQ and colours decide here on the pairs of images that have them. `matching` and `selection`
decide about neighbours.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming import cross_join, self_join
from wenlan_data.dedupe.hamming.codes import distinct_codes
from wenlan_data.dedupe.hamming.pairs import expand_spans
from wenlan_data.dedupe.hamming.self_join import MatchedPairs
from wenlan_data.npy import Bools, Codes, Indices
from wenlan_data.recipe import DedupeRules

PDQ_BITS, MAX_LEVELS = 256, 255
MAX_PDQ_BITS = 31
"""Of 256: the usual threshold of PDQ's authors for the same image."""
MAX_EDGES = 1 << 23
"""Verified pairs held at once: 134 MB; with more, images are decided in portions."""
# Pairs whose PDQ is compared at a time: 2 x 4 MiB are gathered, and the memory does not grow with
# the pairs.
VERIFY_PAIRS = 1 << 17
# PDQ as 16 blocks of 16 bits: of 31 different bits or fewer, some block holds at most one.
_BLOCKS, _BLOCK_BITS = 16, 16

Pairs = tuple[Indices, Indices]


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedHashes:
    """The hashes of G images or groups of them, ordered by pHash."""

    phash: Codes
    """uint64 (G,), sorted, not always distinct."""
    pdq: Codes
    """uint64 (G, 4)."""
    colours: Codes
    """uint64 (G,): 8 bytes each, as in `Signatures`."""

    def take(self, rows: Indices) -> "SortedHashes":
        """These rows, which must ascend."""
        return SortedHashes(phash=self.phash[rows], pdq=self.pdq[rows], colours=self.colours[rows])

    def spans(self, codes: Codes) -> Pairs:
        """For each pHash the first of its rows, and their number."""
        begin = np.searchsorted(self.phash, codes, side="left")
        return begin, np.searchsorted(self.phash, codes, side="right") - begin


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How far two images may differ and still be neighbours."""

    radius_bits: int
    """Of the 64 of pHash; -1: no images are compared, only equal bytes count."""
    pdq_bits: int
    """Of the 256 of PDQ; 256: PDQ and colours are not compared."""
    colour_levels: int = MAX_LEVELS
    """Of the mean colours of a quarter, of 255; compared only where the colours of both images are
    known."""

    @classmethod
    def of(cls, rules: DedupeRules) -> "Thresholds":
        """The thresholds of a recipe."""
        return cls(
            radius_bits=rules.radius_bits if isinstance(rules.radius_bits, int) else -1,
            pdq_bits=MAX_PDQ_BITS if rules.verify == "pdq" else PDQ_BITS,
            colour_levels=rules.colour_levels,
        )

    @property
    def compares(self) -> bool:
        """Whether hashes are compared at all."""
        return self.radius_bits >= 0

    @property
    def verifies(self) -> bool:
        """Whether PDQ and colours decide on what pHash finds."""
        return self.pdq_bits < PDQ_BITS


def edges_among(
    hashes: SortedHashes, thresholds: Thresholds, found: Iterable[MatchedPairs] | None = None
) -> Indices | None:
    """int64 (E, 2): rows i != j that are neighbours, each pair once or more; None where there are
    over `MAX_EDGES`.

    `found` is the result of a search among the distinct pHashes; without it the search runs here.
    """
    edges, total = [np.empty((0, 2), np.int64)], 0
    if not thresholds.compares:
        return edges[0]
    if found is None:
        codes = distinct_codes(hashes.phash)
        found = self_join.search(codes, (), thresholds.radius_bits, skip_dense=thresholds.verifies)
    for left, right in _neighbours_among(hashes, thresholds, found):
        edges.append(np.stack([left, right], axis=1))
        total += len(left)
        if total > MAX_EDGES:
            return None
    return np.concatenate(edges)


def neighbours_between(
    left: SortedHashes, right: SortedHashes, thresholds: Thresholds
) -> Iterator[Pairs]:
    """Yields rows of `left` and of `right` that are neighbours."""
    ours, theirs = distinct_codes(left.phash), distinct_codes(right.phash)
    for pairs in cross_join.search_between(ours, theirs, thresholds.radius_bits):
        yield from neighbours_of(pairs, left, right, thresholds)


def neighbours_of(
    pairs: Codes, left: SortedHashes, right: SortedHashes, thresholds: Thresholds
) -> Iterator[Pairs]:
    """Yields the rows of `left` and of `right` that are neighbours, given uint64 (K, 2) pairs of
    near pHashes."""
    starts, counts = left.spans(pairs[:, 0])
    others, times = right.spans(pairs[:, 1])
    # Both sides in turn: neither many rows of one code nor of the other make an array too large.
    for rows, i in expand_spans(starts, counts):
        for inner, j in expand_spans(others[rows], times[rows]):
            yield from _verified(left, right, i[inner], j, thresholds)


def pdq_distance(left: Codes, right: Codes) -> NDArray[np.int32]:
    """int32 (N,): how many of 256 bits differ between rows of (N, 4) words."""
    bits: NDArray[np.int32] = np.bitwise_count(left ^ right).sum(axis=1, dtype=np.int32)
    return bits


def colour_distance(left: Codes, right: Codes) -> NDArray[np.int16]:
    """int16 (N,): the largest difference of the mean colours in any quarter; 0 where one is not
    known."""
    # Signed, since the difference of two uint8 would wrap around.
    one, other = (
        np.ascontiguousarray(codes).view(np.uint8).reshape(-1, 8).astype(np.int16)
        for codes in (left, right)
    )
    levels: NDArray[np.int16] = np.abs(one - other).max(axis=1, initial=0)
    levels[(left == 0) | (right == 0)] = 0
    return levels


def _neighbours_among(
    hashes: SortedHashes, thresholds: Thresholds, found: Iterable[MatchedPairs]
) -> Iterator[Pairs]:
    # Without PDQ every pair is a neighbour and must be listed: no bucket counts as dense.
    dense_codes = self_join.DENSE_CODES if thresholds.verifies else len(hashes.phash)
    distinct, counts = np.unique(hashes.phash, return_counts=True)
    dense = [distinct[counts > dense_codes]]
    # Rows of one pHash: each with those after it.
    starts, times = hashes.spans(distinct[(counts > 1) & (counts <= dense_codes)])
    rows = np.repeat(starts, times) + _ranges(times)
    for first, j in expand_spans(rows + 1, np.repeat(starts + times, times) - rows - 1):
        yield from _verified(hashes, hashes, rows[first], j, thresholds)
    for one in found:
        # Pairs of codes with so many rows that their PDQ finds the neighbours sooner than all pairs
        # of rows.
        ours, theirs = hashes.spans(one.pairs[:, 0])[1], hashes.spans(one.pairs[:, 1])[1]
        heavy = ours * theirs > dense_codes**2
        yield from neighbours_of(one.pairs[~heavy], hashes, hashes, thresholds)
        dense += [one.dense, one.pairs[heavy].ravel()]
    starts, times = hashes.spans(np.unique(np.concatenate(dense)))
    members = np.repeat(starts, times) + _ranges(times)
    for i, j in _neighbours_by_pdq(hashes.take(members), thresholds):
        yield members[i], members[j]


def _ranges(lengths: Indices) -> Indices:
    """0, 1, ... for each length, one range after the other."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _verified(
    left: SortedHashes, right: SortedHashes, i: Indices, j: Indices, thresholds: Thresholds
) -> Iterator[Pairs]:
    """Yields the pairs whose PDQ and colours agree; their pHashes do."""
    if not thresholds.verifies:
        yield i, j
        return
    for start in range(0, len(i), VERIFY_PAIRS):
        one, other = i[start : start + VERIFY_PAIRS], j[start : start + VERIFY_PAIRS]
        same = pdq_distance(left.pdq[one], right.pdq[other]) <= thresholds.pdq_bits
        one, other = one[same], other[same]
        # Colours last: few pairs are left.
        if thresholds.colour_levels < MAX_LEVELS:
            levels = colour_distance(left.colours[one], right.colours[other])
            same = levels <= thresholds.colour_levels
            one, other = one[same], other[same]
        yield one, other


def _neighbours_by_pdq(hashes: SortedHashes, thresholds: Thresholds) -> Iterator[Pairs]:
    """Yields neighbours in dense buckets, where pHash names nearly all pairs and PDQ few.

    Candidates are rows that differ in at most one bit of some 16-bit block of PDQ: neighbours
    differ in at most 31 bits, so not all 16 blocks can differ in two.
    """
    words = np.ascontiguousarray(hashes.pdq).view(np.uint16)
    if not len(words):
        return
    for block in range(_BLOCKS):
        values = words[:, block]
        order = np.argsort(values, kind="stable")
        # Rows by block value are spans of `order`, found by counting: linear, without a search.
        counts = np.bincount(values, minlength=1 << _BLOCK_BITS)
        starts = np.cumsum(counts) - counts
        place = np.empty(len(order), np.int64)
        # The inverse of `order`, by which a row of this value meets only those after it.
        place[order] = np.arange(len(order))
        after = starts[values] + counts[values] - place - 1
        yield from _verified_block(
            hashes, words, block, order, expand_spans(place + 1, after), thresholds
        )
        for bit in range(_BLOCK_BITS):
            # From a cleared to a set bit only, so that a pair is named from one side.
            rows = np.flatnonzero((values >> bit) & 1 == 0)
            flipped = values[rows] | np.uint16(1 << bit)
            pairs = ((rows[i], j) for i, j in expand_spans(starts[flipped], counts[flipped]))
            yield from _verified_block(hashes, words, block, order, pairs, thresholds)


def _verified_block(
    hashes: SortedHashes,
    words: NDArray[np.uint16],
    block: int,
    order: Indices,
    pairs: Iterable[Pairs],
    thresholds: Thresholds,
) -> Iterator[Pairs]:
    for i, place in pairs:
        for one, other in _verified(hashes, hashes, i, order[place], thresholds):
            distance = np.bitwise_count(hashes.phash[one] ^ hashes.phash[other])
            near = distance <= thresholds.radius_bits
            one, other = one[near], other[near]
            # The first block with at most one different bit names the pair, so that it comes once.
            earlier = np.bitwise_count(words[one, :block] ^ words[other, :block]) <= 1
            new: Bools = ~earlier.any(axis=1)
            yield one[new], other[new]
