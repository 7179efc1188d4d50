"""All pairs of 64-bit codes within a Hamming radius, exactly: sorted by blocks, band by band.

`blocks` makes the bands. `near_step` calls this for the pHashes of a generation, or `similarity`
where that was not done; the pairs go to `similarity`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wenlan_data.dedupe.hamming.blocks import Band, Cut, bands, choose_cut
from wenlan_data.dedupe.hamming.codes import CODE_BITS, NO_CODES, SCAN_CODES, distinct_codes
from wenlan_data.dedupe.hamming.pairs import (
    CHUNK_PAIRS,
    MATRIX_PAIRS,
    NO_PAIRS,
    compare_all,
    first_matches,
)
from wenlan_data.npy import Codes, Indices

# Longer runs of equal keys are searched by themselves, by the bits outside the key.
MAX_SCAN_ROWS = 1 << 10
# A dense bucket has at least so many codes, and on average more neighbours of each: then listing the
# pairs costs more than PDQ.
DENSE_CODES, DENSE_NEIGHBOURS = 1 << 12, 128


@dataclass(frozen=True, slots=True)
class MatchedPairs:
    """A portion of what a search finds."""

    pairs: Codes
    """uint64 (K, 2): pairs of different codes; each pair comes once in a search."""
    dense: Codes = field(default_factory=lambda: NO_CODES)
    """Codes of dense buckets, whose pairs with each other are left to the caller; a code may come
    more than once."""


def search_bands(distinct: Codes, radius_bits: int) -> tuple[Band, ...]:
    """The bands of a search among sorted distinct codes, which tasks may share: they depend on the
    codes alone.

    Empty where a search without bands is faster.
    """
    if not radius_bits or len(distinct) ** 2 <= MATRIX_PAIRS:
        return ()
    return tuple(bands(_cut_among(distinct, CODE_BITS, radius_bits)))


def search(
    distinct: Codes, chosen: Sequence[Band], radius_bits: int, *, skip_dense: bool = False
) -> Iterator[MatchedPairs]:
    """Yields what these bands find among sorted distinct codes; with no bands, all pairs.

    With `skip_dense` the pairs inside a dense bucket may be left out: its codes come as
    `MatchedPairs.dense`.
    """
    if not chosen:
        yield from _search(distinct, CODE_BITS, radius_bits, skip_dense)
    # One buffer for all bands: to allocate a large array costs as much as moving the codes into it.
    buffer = np.empty(len(distinct) if chosen else 0, np.uint64)
    for band in chosen:
        yield from _search_band(distinct, band, radius_bits, skip_dense, buffer)


def _cut_among(codes: Codes, width: int, radius: int) -> Cut:
    return choose_cut(codes, codes, len(codes) ** 2 / 2, width, radius)


def _search(codes: Codes, width: int, radius: int, skip_dense: bool) -> Iterator[MatchedPairs]:
    """Yields pairs among distinct codes of `width` bits, each once."""
    if not radius or len(codes) < 2:
        return
    if len(codes) ** 2 <= MATRIX_PAIRS:
        yield MatchedPairs(compare_all(codes, codes, radius, above=1))
        return
    if skip_dense and _is_dense(codes, radius):
        yield MatchedPairs(NO_PAIRS, codes)
        return
    cut = _cut_among(codes, width, radius)
    if not cut.edges:
        yield from map(MatchedPairs, _every_pair(codes, radius))
    buffer = np.empty(len(codes) if cut.edges else 0, np.uint64)
    for band in bands(cut):
        yield from _search_band(codes, band, radius, skip_dense, buffer)


def _is_dense(codes: Codes, radius: int) -> bool:
    """Estimates from 256 codes against 8,192 whether a code has on average more than
    `DENSE_NEIGHBOURS` others within the radius."""
    if len(codes) < DENSE_CODES:
        return False
    some = codes[:: len(codes) // 256]
    near = np.bitwise_count(some[:, None] ^ codes[:: len(codes) // 8192 + 1][None, :]) <= radius
    return float(near.mean()) * len(codes) > DENSE_NEIGHBOURS


def _search_band(
    codes: Codes, band: Band, radius: int, skip_dense: bool, buffer: Codes
) -> Iterator[MatchedPairs]:
    moved = band.move(codes, out=buffer)
    moved.sort()
    low = np.uint64((1 << band.key_shift) - 1)
    starts, counts = _long_runs(moved, low)
    if len(starts):
        in_run = np.zeros(len(moved), bool)
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
            in_run[start : start + count] = True
            run = moved[start : start + count]
            # Skewed codes make long runs. These agree in the key, so the bits outside it are
            # searched like codes.
            for found in _search(run & low, band.key_shift, radius, skip_dense):
                key = run[0] & ~low
                yield MatchedPairs(
                    first_matches(found.pairs | key, band), band.restore(found.dense | key)
                )
        moved = moved[~in_run]
    for pairs in _batched(_scan(moved, low, radius)):
        yield MatchedPairs(first_matches(pairs, band))


def _batched(parts: Iterable[Codes]) -> Iterator[Codes]:
    """Joins small arrays of pairs: a band may find a handful at a time."""
    some, count = list[Codes](), 0
    for pairs in parts:
        some.append(pairs)
        count += len(pairs)
        if count >= SCAN_CODES:
            yield np.concatenate(some)
            some, count = [], 0
    yield np.concatenate([NO_PAIRS, *some])


def _long_runs(moved: Codes, low: np.uint64) -> tuple[Indices, Indices]:
    """The starts and lengths of the runs of more than `MAX_SCAN_ROWS` equal keys."""
    inside = [np.empty(0, np.int64)]
    for start in range(0, max(len(moved) - MAX_SCAN_ROWS, 0), SCAN_CODES):
        stop = min(start + SCAN_CODES, len(moved) - MAX_SCAN_ROWS)
        # Sorted codes with equal keys so far apart lie in a longer run: one comparison finds them
        # all.
        same = (moved[start:stop] ^ moved[start + MAX_SCAN_ROWS : stop + MAX_SCAN_ROWS]) <= low
        inside.append(start + np.flatnonzero(same))
    keys = distinct_codes(moved[np.concatenate(inside)] & ~low)
    starts = np.searchsorted(moved, keys)
    return starts, np.searchsorted(moved, keys | low, side="right") - starts


def _scan(moved: Codes, low: np.uint64, radius: int) -> Iterator[Codes]:
    """Yields pairs of equal key within the radius among sorted moved codes: each with the next, the
    one after, ..."""
    buffer = np.empty(SCAN_CODES, np.uint64), np.empty(SCAN_CODES, np.uint8)
    for start in range(0, len(moved) - 1, SCAN_CODES):
        # Longer runs were taken out before, so no partner lies farther behind a portion than this.
        chunk = moved[start : start + SCAN_CODES + MAX_SCAN_ROWS]
        count, distance, alive = min(SCAN_CODES, len(chunk) - 1), 1, len(chunk)
        # While many codes have a partner at this distance, slices are compared: a tenth of the time
        # of a gather.
        while alive > count // 8 and distance < len(chunk):
            count = min(count, len(chunk) - distance)
            difference = np.bitwise_xor(
                chunk[distance : distance + count], chunk[:count], out=buffer[0][:count]
            )
            # Few pairs are within the radius, so their keys are compared last.
            hits = np.flatnonzero(np.bitwise_count(difference, out=buffer[1][:count]) <= radius)
            hits = hits[difference[hits] <= low]
            if len(hits):
                yield np.stack([chunk[hits], chunk[hits + distance]], axis=1)
            same = difference <= low
            alive, distance = int(np.count_nonzero(same)), distance + 1
        left = np.flatnonzero(same)
        yield from _scan_some(chunk, left, distance, low, radius)


def _scan_some(
    chunk: Codes, left: Indices, distance: int, low: np.uint64, radius: int
) -> Iterator[Codes]:
    """Continues with the few codes whose run reaches this far, one distance after the other."""
    while len(left := left[: np.searchsorted(left, len(chunk) - distance)]):
        difference = chunk[left + distance] ^ chunk[left]
        same = difference <= low
        left, difference = left[same], difference[same]
        hits = left[np.bitwise_count(difference) <= radius]
        if len(hits):
            yield np.stack([chunk[hits], chunk[hits + distance]], axis=1)
        distance += 1


def _every_pair(codes: Codes, radius: int) -> Iterator[Codes]:
    rows = max(1, CHUNK_PAIRS // len(codes))
    for start in range(0, len(codes), rows):
        yield compare_all(codes[start : start + rows], codes[start:], radius, above=1)
