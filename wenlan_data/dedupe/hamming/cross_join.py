"""All pairs of 64-bit codes of two sets within a Hamming radius, exactly, without sorting the
larger set.

`blocks` makes the bands. `near_step` calls this for new and published pHashes, or `matching` where
that was not done; the pairs go to `similarity`.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from wenlan_data.dedupe.hamming.blocks import Band, bands, choose_cut
from wenlan_data.dedupe.hamming.codes import CODE_BITS, NO_CODES, SCAN_CODES, share_top_bits
from wenlan_data.dedupe.hamming.pairs import MATRIX_PAIRS, compare_all, expand_spans, first_matches
from wenlan_data.npy import Codes, Indices


def search_between(new: Codes, old: Codes, radius_bits: int) -> Iterator[Codes]:
    """Yields uint64 (K, 2) pairs (new, old) of two sets of distinct codes within the radius, each
    once."""
    return _search_between(new, old, CODE_BITS, radius_bits)


def _search_between(new: Codes, old: Codes, width: int, radius: int) -> Iterator[Codes]:
    """Yields pairs of distinct new and distinct old codes of `width` bits, each once."""
    if not len(new) or not len(old):
        return
    if len(new) * len(old) <= MATRIX_PAIRS:
        yield compare_all(new, old, radius, above=None)
        return
    cut = choose_cut(new, old, len(new) * len(old), width, radius, between=True)
    if not cut.edges:
        every = np.full(len(new), len(old))
        yield from _compared(new, old, expand_spans(np.zeros_like(every), every), radius)
    for band in bands(cut):
        yield from _between_band(new, old, band, radius, width)


def _between_band(new: Codes, old: Codes, band: Band, radius: int, width: int) -> Iterator[Codes]:
    left = band.move(new)
    left.sort()
    # Where old codes far outnumber new ones, most share no key with any: these are left out before
    # the sort.
    right = np.sort(_sharing_a_key(band, old, left, width))
    shift, low = np.uint64(band.key_shift), np.uint64((1 << band.key_shift) - 1)
    keys, starts, counts = np.unique(left >> shift, return_index=True, return_counts=True)
    begin = np.searchsorted(right, keys << shift, side="left")
    there = np.searchsorted(right, (keys << shift) | low, side="right") - begin
    # Skewed codes make long runs of one key: these are searched by the bits outside the key.
    is_long = counts * there > MATRIX_PAIRS
    for number in np.flatnonzero(is_long):
        ours = left[starts[number] : starts[number] + counts[number]] & low
        theirs = right[begin[number] : begin[number] + there[number]] & low
        for found in _search_between(ours, theirs, band.key_shift, radius):
            yield first_matches(found | (keys[number] << shift), band)
    per_code = np.repeat(np.where(is_long, 0, there), counts)
    for pairs in _compared(left, right, expand_spans(np.repeat(begin, counts), per_code), radius):
        yield first_matches(pairs, band)


def _sharing_a_key(band: Band, old: Codes, left: Codes, width: int) -> Codes:
    """The moved old codes whose keys may occur among the new ones: the others need no sort."""
    parts = [NO_CODES]
    for start in range(0, len(old), SCAN_CODES):
        moved = band.move(old[start : start + SCAN_CODES])
        # At most 22 bits of the key: the table takes 4 MiB. The others are compared after the sort.
        parts.append(moved[share_top_bits(moved, left, width, min(width - band.key_shift, 22))])
    return np.concatenate(parts)


def _compared(
    left: Codes, right: Codes, pairs: Iterable[tuple[Indices, Indices]], radius: int
) -> Iterator[Codes]:
    for i, j in pairs:
        one, other = left[i], right[j]
        near = np.bitwise_count(one ^ other) <= radius
        yield np.stack([one[near], other[near]], axis=1)
