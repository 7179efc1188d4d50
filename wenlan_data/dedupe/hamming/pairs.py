"""Pairs of codes: compared as matrices, expanded from spans, and traced back to the indices that
hold the codes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming.blocks import Band
from wenlan_data.npy import Codes, Indices

MAX_RADIUS_BITS = 8
CODE_BITS = 64
# Fewer pairs are compared as a matrix, which is faster than sorts (measured: about 3 ms for 1,024
# codes).
MATRIX_PAIRS = 1 << 20
# Pairs compared at a time: bounds the memory of a band to about 200 MB, whatever the runs of equal
# keys look like.
CHUNK_PAIRS = 1 << 22
# Codes scanned at a time.
SCAN_CODES = 1 << 16
NO_PAIRS = np.empty((0, 2), np.uint64)
NO_CODES = np.empty(0, np.uint64)


def expand_spans(starts: Indices, counts: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yields the pairs (i, starts[i] + k) for k < counts[i], in arrays of about `CHUNK_PAIRS`."""
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
class CodeOccurrences:
    """Some distinct codes in order, and the indices that hold each."""

    codes: Codes
    members: Indices
    starts: Indices
    counts: Indices

    def expand(self, other: "CodeOccurrences", pairs: Codes) -> Indices:
        """int64 (P, 2): the index pairs of uint64 (K, 2) code pairs of self and `other`."""
        left = np.searchsorted(self.codes, pairs[:, 0])
        right = np.searchsorted(other.codes, pairs[:, 1])
        parts = [np.empty((0, 2), np.int64)]
        for rows, i in expand_spans(self.starts[left], self.counts[left]):
            for inner, j in expand_spans(other.starts[right[rows]], other.counts[right[rows]]):
                parts.append(np.stack([self.members[i[inner]], other.members[j]], axis=1))
        return np.concatenate(parts)


def distinct_codes(codes: Codes) -> tuple[Codes, Codes]:
    """Returns the distinct codes in order, and those that occur more than once; fast where the
    codes are in order."""
    ordered = codes if bool(np.all(codes[1:] >= codes[:-1])) else np.sort(codes)
    # Sorted, since `np.unique` hashes: 160 ms for a million codes, where a sort takes 20.
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return ordered, NO_CODES
    repeated = ordered[1:][same]
    return ordered[np.append(True, ~same)], repeated[np.append(True, repeated[1:] != repeated[:-1])]


def occurrences_of(codes: Codes, wanted: Codes) -> CodeOccurrences:
    """Finds the indices of the wanted codes only: an order of all codes would take twice their
    memory."""
    wanted, _ = distinct_codes(wanted)
    # So many bits that at most one code in sixteen shares them by chance: only those are searched
    # for, which is slow.
    bits = min(max(22, len(wanted).bit_length() + 4), 28)
    rows = (
        np.flatnonzero(share_top_bits(codes, wanted, CODE_BITS, bits))
        if len(wanted)
        else np.empty(0, np.int64)
    )
    place = np.searchsorted(wanted, codes[rows])
    here = (
        wanted[np.minimum(place, len(wanted) - 1)] == codes[rows]
        if len(wanted)
        else np.empty(0, bool)
    )
    rows, place = rows[here], place[here]
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=len(wanted))
    return CodeOccurrences(wanted, rows[order], np.cumsum(counts) - counts, counts)


def share_top_bits(codes: Codes, wanted: Codes, width: int, bits: int = 22) -> NDArray[np.bool_]:
    """bool (N,): whether each code agrees with a wanted one in its top bits."""
    below = np.uint64(width - bits)
    seen = np.zeros(1 << bits, bool)
    seen[wanted >> below] = True
    shares = np.empty(len(codes), bool)
    for start in range(0, len(codes), SCAN_CODES):
        shares[start : start + SCAN_CODES] = seen[codes[start : start + SCAN_CODES] >> below]
    return shares


def compare_all(left: Codes, right: Codes, radius: int, *, above: int | None) -> Codes:
    """Compares all of left with all of right, or the pairs `above` a diagonal; uint64 (K, 2) pairs
    within the radius."""
    near = np.bitwise_count(left[:, None] ^ right[None, :]) <= radius
    i, j = np.nonzero(near if above is None else np.triu(near, above))
    return np.stack([left[i], right[j]], axis=1)


def first_matches(pairs: Codes, band: Band) -> Codes:
    """The pairs that no earlier band finds, with their bits moved back."""
    return band.restore(pairs[band.is_first(pairs[:, 0] ^ pairs[:, 1])])


def sort_pairs(pairs: Indices) -> Indices:
    """Sorts pairs by first, then second."""
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def check_radius(radius_bits: int) -> None:
    """Raises `ValueError` for a radius outside 0 to `MAX_RADIUS_BITS`."""
    if not 0 <= radius_bits <= MAX_RADIUS_BITS:
        raise ValueError(f"radius_bits is {radius_bits}: choose 0 to {MAX_RADIUS_BITS}")
