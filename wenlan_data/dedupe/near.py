"""All pairs of 64-bit codes within a Hamming radius, exactly: blocks-and-sort.

A code is cut into `blocks` blocks. Two codes that differ in at most `radius` bits agree in at least `blocks - radius`
of them; so one sort for each choice of that many blocks brings every such pair into one run of equal keys.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Indices = NDArray[np.int64]

MAX_RADIUS_BITS = 8
CODE_BITS = 64
# Compared as a whole below this many pairs: a matrix is faster than sorts (measured: about 3 ms for 1,024 codes).
MATRIX_PAIRS = 1 << 20
# Pairs compared at a time: bounds the memory of a table to about 200 MB, whatever the runs look like.
CHUNK_PAIRS = 1 << 22
# Costs in nanoseconds (one core of 2024): to move and sort one code, to compare one pair, to start one table.
SORT_NS, COMPARE_NS, TABLE_NS = 90.0, 15.0, 100_000.0


def near_pairs(codes: Codes, radius_bits: int) -> Indices:
    """int64 (P, 2): every index pair i < j whose codes differ in at most `radius_bits` (0 to 8) of 64 bits, sorted.

    Equal codes are pairs as well, so fold them before the call where there are many. Raises `ValueError` for
    another radius.
    """
    _check(radius_bits)
    groups = _fold(codes)
    found = _search(groups.codes, CODE_BITS, radius_bits)
    different = groups.expand(groups, found)
    # A code that stands alone has no equal: leaving these out keeps the self pairs small.
    repeated = groups.codes[groups.counts > 1]
    equal = groups.expand(groups, np.stack([repeated, repeated], axis=1))
    equal = equal[equal[:, 0] < equal[:, 1]]
    return _sorted(np.concatenate([np.sort(different, axis=1), equal]))


def near_between(new: Codes, old: Codes, radius_bits: int) -> Indices:
    """int64 (P, 2): every pair (i in `new`, j in `old`) that differs in at most `radius_bits` (0 to 8), sorted.

    For few new codes this takes a few passes over the old ones, which are not sorted. Raises `ValueError` for
    another radius.
    """
    _check(radius_bits)
    left, right = _fold(new), _fold_sorted(old)
    found = _search_between(left.codes, right.codes, CODE_BITS, radius_bits)
    return _sorted(left.expand(right, found))


def candidates(starts: Indices, counts: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Pairs (i, starts[i] + k) for k < counts[i], in arrays of about `CHUNK_PAIRS`."""
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        done = int(ends[begin - 1]) if begin else 0
        stop = max(int(np.searchsorted(ends, done + CHUNK_PAIRS, side="right")), begin + 1)
        chunk = counts[begin:stop]
        rows = np.repeat(np.arange(begin, stop), chunk)
        first = np.repeat(starts[begin:stop] - (ends[begin:stop] - chunk - done), chunk)
        yield rows, first + np.arange(len(rows))
        begin = stop


@dataclass(frozen=True, slots=True)
class _Groups:
    """Distinct codes in order, and which indices hold each."""

    codes: Codes
    members: Indices
    starts: Indices
    counts: Indices

    def expand(self, other: "_Groups", pairs: Codes) -> Indices:
        """Index pairs (P, 2) for code pairs (K, 2) of self and `other`."""
        left = np.searchsorted(self.codes, pairs[:, 0])
        right = np.searchsorted(other.codes, pairs[:, 1])
        parts = [np.empty((0, 2), np.int64)]
        for rows, i in candidates(self.starts[left], self.counts[left]):
            for inner, j in candidates(other.starts[right[rows]], other.counts[right[rows]]):
                parts.append(np.stack([self.members[i[inner]], other.members[j]], axis=1))
        return np.concatenate(parts)


def _fold(codes: Codes) -> _Groups:
    order = np.argsort(codes, kind="stable")
    return _runs(codes[order], order)


def _fold_sorted(codes: Codes) -> _Groups:
    if bool(np.all(codes[1:] >= codes[:-1])):
        return _runs(codes, np.arange(len(codes)))
    return _fold(codes)


def _runs(ordered: Codes, members: Indices) -> _Groups:
    if not len(ordered):
        nothing = np.empty(0, np.int64)
        return _Groups(ordered, nothing, nothing, nothing)
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    return _Groups(ordered[starts], members, starts, np.diff(starts, append=len(ordered)))


@dataclass(frozen=True, slots=True)
class _Table:
    """One choice of blocks: how bits move so that the chosen blocks come on top, as the key."""

    moves: tuple[tuple[int, int, int], ...]
    """(bit where the block begins, its mask, bit where it goes)."""
    key_shift: int
    others: tuple[tuple[int, int], ...]
    """(bit, mask), after the move, of blocks that stand before the last chosen one and are not chosen themselves."""

    def move(self, codes: Codes) -> Codes:
        moved = np.zeros_like(codes)
        for source, mask, target in self.moves:
            moved |= ((codes >> source) & mask) << target
        return moved

    def restore(self, codes: Codes) -> Codes:
        restored = np.zeros_like(codes)
        for source, mask, target in self.moves:
            restored |= ((codes >> target) & mask) << source
        return restored

    def keys(self, moved: Codes) -> Codes:
        """The chosen blocks of moved codes."""
        return moved >> np.uint64(self.key_shift)

    def is_first(self, difference: Codes) -> NDArray[np.bool_]:
        """Whether no earlier table finds the pair as well: so each pair comes once."""
        first = np.ones(len(difference), bool)
        for shift, mask in self.others:
            first &= ((difference >> shift) & mask) != 0
        return first


def _tables(edges: list[int], radius: int) -> Iterator[_Table]:
    blocks = len(edges) - 1
    for chosen in combinations(range(blocks), blocks - radius):
        rest = [number for number in range(blocks) if number not in chosen]
        moves, others, top = [], [], edges[-1]
        for number in (*chosen, *rest):
            size = edges[number + 1] - edges[number]
            top -= size
            moves.append((edges[number], (1 << size) - 1, top))
            if number in rest and number < chosen[-1]:
                others.append((top, (1 << size) - 1))
        shift = sum(edges[number + 1] - edges[number] for number in rest)
        yield _Table(tuple(moves), shift, tuple(others))


def _choose_edges(left: Codes, right: Codes, pairs: float, width: int, radius: int) -> list[int]:
    """Where to cut so that it costs least, the blocks telling codes apart equally well; empty: compare all pairs.

    Takes bits as independent, each as skewed as in a sample of the codes.
    """
    agree = _agreement(left[:: len(left) // 4096 + 1], right[:: len(right) // 4096 + 1], width)
    distinct = np.concatenate([[0.0], np.cumsum(-np.log2(agree))])
    best, best_ns = list[int](), pairs * COMPARE_NS
    for blocks in range(radius + 1, min(width, radius + 8) + 1):
        inner = np.searchsorted(distinct, distinct[-1] * np.arange(1, blocks) / blocks)
        edges = [0, *inner.tolist(), width]
        if len(set(edges)) <= blocks:
            break
        shares = 0.5 ** np.diff(distinct[edges])
        # The expected runs of all tables: the elementary symmetric polynomial of the blocks' shares.
        compared = pairs * abs(float(np.poly(-shares)[blocks - radius]))
        one_ns = (len(left) + len(right)) * SORT_NS + TABLE_NS
        cost_ns = comb(blocks, radius) * one_ns + compared * COMPARE_NS
        if cost_ns < best_ns:
            best, best_ns = edges, cost_ns
    return best


def _agreement(left: Codes, right: Codes, width: int) -> NDArray[np.float64]:
    """For each bit, how probable it is that a left and a right code agree in it."""
    bits = np.arange(width, dtype=np.uint64)
    ones_left, ones_right = (((side[:, None] >> bits) & 1).mean(axis=0) for side in (left, right))
    agree: NDArray[np.float64] = ones_left * ones_right + (1 - ones_left) * (1 - ones_right)
    return np.maximum(agree, 2.0**-20)


def _search(codes: Codes, width: int, radius: int) -> Codes:
    """Code pairs (K, 2) among distinct codes of `width` bits, each pair once."""
    if not radius or len(codes) < 2:
        return np.empty((0, 2), np.uint64)
    if len(codes) ** 2 <= MATRIX_PAIRS:
        return _matrix(codes, codes, radius, above=1)
    edges = _choose_edges(codes, codes, len(codes) ** 2 / 2, width, radius)
    if not edges:
        after = np.arange(1, len(codes) + 1)
        return _compared(codes, codes, candidates(after, len(codes) - after), radius)
    return np.concatenate([_search_table(codes, table, radius) for table in _tables(edges, radius)])


def _search_table(codes: Codes, table: _Table, radius: int) -> Codes:
    moved = np.sort(table.move(codes))
    runs = _runs(table.keys(moved), np.empty(0, np.int64))
    is_long = runs.counts**2 > MATRIX_PAIRS
    low = np.uint64((1 << table.key_shift) - 1)
    # Skewed codes make long runs; these agree in the key, so the rest of their bits is searched by itself.
    parts = [
        _search(moved[start : start + count] & low, table.key_shift, radius) | key
        for start, count, key in zip(
            runs.starts[is_long], runs.counts[is_long], runs.codes[is_long] << np.uint64(table.key_shift), strict=True
        )
    ]
    is_short = ~is_long & (runs.counts > 1)
    later = np.where(np.repeat(is_short, runs.counts), np.repeat(runs.starts + runs.counts, runs.counts), 0)
    after = np.arange(1, len(moved) + 1)
    parts.append(_compared(moved, moved, candidates(after, np.maximum(later - after, 0)), radius))
    return _own(parts, table)


def _search_between(new: Codes, old: Codes, width: int, radius: int) -> Codes:
    """Code pairs (K, 2) of distinct new with distinct old codes of `width` bits, each pair once."""
    if not len(new) or not len(old):
        return np.empty((0, 2), np.uint64)
    if len(new) * len(old) <= MATRIX_PAIRS:
        return _matrix(new, old, radius, above=None)
    edges = _choose_edges(new, old, len(new) * len(old), width, radius)
    if not edges:
        every = np.full(len(new), len(old))
        return _compared(new, old, candidates(np.zeros_like(every), every), radius)
    return np.concatenate([_between_table(new, old, table, radius, width) for table in _tables(edges, radius)])


def _between_table(new: Codes, old: Codes, table: _Table, radius: int, width: int) -> Codes:
    left = np.sort(table.move(new))
    right = np.sort(_sharing_a_key(table.move(old), left, width, table.key_shift))
    runs = _runs(table.keys(left), np.empty(0, np.int64))
    keys = table.keys(right)
    begin = np.searchsorted(keys, runs.codes, side="left")
    counts = np.searchsorted(keys, runs.codes, side="right") - begin
    is_long = runs.counts * counts > MATRIX_PAIRS
    low = np.uint64((1 << table.key_shift) - 1)
    parts = []
    for number in np.flatnonzero(is_long):
        here = left[runs.starts[number] : runs.starts[number] + runs.counts[number]] & low
        there = right[begin[number] : begin[number] + counts[number]] & low
        found = _search_between(here, there, table.key_shift, radius)
        parts.append(found | (runs.codes[number] << np.uint64(table.key_shift)))
    per_code = np.repeat(np.where(is_long, 0, counts), runs.counts)
    parts.append(_compared(left, right, candidates(np.repeat(begin, runs.counts), per_code), radius))
    return _own(parts, table)


def _sharing_a_key(old: Codes, new: Codes, width: int, key_shift: int) -> Codes:
    """The old codes whose top bits (22 at most) occur among the new ones: the others need no sort."""
    bits = min(width - key_shift, 22)
    below = np.uint64(width - bits)
    seen = np.zeros(1 << bits, bool)
    seen[new >> below] = True
    sharing: Codes = old[seen[old >> below]]
    return sharing


def _compared(left: Codes, right: Codes, pairs: Iterable[tuple[Indices, Indices]], radius: int) -> Codes:
    found = [np.empty((0, 2), np.uint64)]
    for i, j in pairs:
        one, other = left[i], right[j]
        near = np.bitwise_count(one ^ other) <= radius
        found.append(np.stack([one[near], other[near]], axis=1))
    return np.concatenate(found)


def _matrix(left: Codes, right: Codes, radius: int, *, above: int | None) -> Codes:
    near = np.bitwise_count(left[:, None] ^ right[None, :]) <= radius
    i, j = np.nonzero(near if above is None else np.triu(near, above))
    return np.stack([left[i], right[j]], axis=1)


def _own(parts: list[Codes], table: _Table) -> Codes:
    """The pairs that no earlier table finds, as they were before their bits moved."""
    pairs = np.concatenate([np.empty((0, 2), np.uint64), *parts])
    return table.restore(pairs[table.is_first(pairs[:, 0] ^ pairs[:, 1])])


def _sorted(pairs: Indices) -> Indices:
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _check(radius_bits: int) -> None:
    if not 0 <= radius_bits <= MAX_RADIUS_BITS:
        raise ValueError(f"radius_bits is {radius_bits}: choose 0 to {MAX_RADIUS_BITS}")
