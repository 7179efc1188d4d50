"""Pairs of codes, for both joins: from spans of sorted codes, or compared as a matrix."""

from collections.abc import Iterator

import numpy as np

from wenlan_data.dedupe.hamming.blocks import Band
from wenlan_data.npy import Codes, Indices

# Fewer pairs are compared as a matrix, which is faster than sorts (measured: about 3 ms for 1,024
# codes).
MATRIX_PAIRS = 1 << 20
# Pairs compared at a time: bounds the memory of a band to about 200 MB, whatever the runs of equal
# keys look like.
CHUNK_PAIRS = 1 << 22
NO_PAIRS = np.empty((0, 2), np.uint64)


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


def compare_all(left: Codes, right: Codes, radius: int, *, above: int | None) -> Codes:
    """Compares all of left with all of right, or the pairs `above` a diagonal; uint64 (K, 2) pairs
    within the radius."""
    near = np.bitwise_count(left[:, None] ^ right[None, :]) <= radius
    i, j = np.nonzero(near if above is None else np.triu(near, above))
    return np.stack([left[i], right[j]], axis=1)


def first_matches(pairs: Codes, band: Band) -> Codes:
    """The pairs that no earlier band finds, with their bits moved back."""
    return band.restore(pairs[band.is_first(pairs[:, 0] ^ pairs[:, 1])])
