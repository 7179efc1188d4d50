"""Near pairs as pairs of indices, equal codes among them: what the searches of
`wenlan_data.dedupe.hamming` find, in the form in which brute force gives it.

The dedupe step needs no indices: it looks up the rows of each code itself.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from wenlan_data.dedupe.hamming.blocks import Band
from wenlan_data.dedupe.hamming.codes import CODE_BITS, distinct_codes, share_top_bits
from wenlan_data.dedupe.hamming.cross_join import search_between
from wenlan_data.dedupe.hamming.pairs import NO_PAIRS, expand_spans
from wenlan_data.dedupe.hamming.self_join import search, search_bands
from wenlan_data.npy import Codes, Indices
from wenlan_data.recipe import MAX_RADIUS_BITS


def near_pairs(codes: Codes, radius_bits: int, *, threads: int = 1) -> Indices:
    """int64 (P, 2): every index pair i < j whose codes differ in at most `radius_bits` (0 to 8) of
    64 bits, sorted.

    Equal codes are pairs too: where there are many, pass distinct ones. Takes 16 bytes a code, and
    8 more for each thread. Raises `ValueError` for another radius.
    """
    _check_radius(radius_bits)
    distinct = distinct_codes(codes)
    searched = _in_threads(distinct, search_bands(distinct, radius_bits), radius_bits, threads)
    found, repeated = np.concatenate([NO_PAIRS, *searched]), _repeated(codes)
    groups = _occurrences_of(codes, np.concatenate([found.ravel(), repeated]))
    different = groups.expand(groups, found)
    equal = groups.expand(groups, np.stack([repeated, repeated], axis=1))
    equal = equal[equal[:, 0] < equal[:, 1]]
    return _sort_pairs(np.concatenate([np.sort(different, axis=1), equal]))


def near_between(new: Codes, old: Codes, radius_bits: int) -> Indices:
    """int64 (P, 2): every pair (i in `new`, j in `old`) that differs in at most `radius_bits` (0 to
    8), sorted. Raises `ValueError` for another radius."""
    _check_radius(radius_bits)
    pairs = np.concatenate(
        [NO_PAIRS, *search_between(distinct_codes(new), distinct_codes(old), radius_bits)]
    )
    left, right = _occurrences_of(new, pairs[:, 0]), _occurrences_of(old, pairs[:, 1])
    return _sort_pairs(left.expand(right, pairs))


def _in_threads(
    distinct: Codes, chosen: Sequence[Band], radius_bits: int, threads: int
) -> list[Codes]:
    if threads == 1 or len(chosen) < 2:
        return [_pairs_of_bands(distinct, radius_bits, chosen)]
    one = partial(_pairs_of_bands, distinct, radius_bits)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, [chosen[number::threads] for number in range(threads)]))


def _pairs_of_bands(distinct: Codes, radius_bits: int, chosen: Sequence[Band]) -> Codes:
    return np.concatenate(
        [NO_PAIRS, *(found.pairs for found in search(distinct, chosen, radius_bits))]
    )


def _repeated(codes: Codes) -> Codes:
    """The codes that occur more than once."""
    ordered = np.sort(codes)
    return distinct_codes(ordered[1:][ordered[1:] == ordered[:-1]])


@dataclass(frozen=True, slots=True)
class _CodeOccurrences:
    """Some distinct codes in order, and the indices that hold each."""

    codes: Codes
    members: Indices
    starts: Indices
    counts: Indices

    def expand(self, other: "_CodeOccurrences", pairs: Codes) -> Indices:
        """int64 (P, 2): the index pairs of uint64 (K, 2) code pairs of self and `other`."""
        left = np.searchsorted(self.codes, pairs[:, 0])
        right = np.searchsorted(other.codes, pairs[:, 1])
        parts = [np.empty((0, 2), np.int64)]
        for rows, i in expand_spans(self.starts[left], self.counts[left]):
            for inner, j in expand_spans(other.starts[right[rows]], other.counts[right[rows]]):
                parts.append(np.stack([self.members[i[inner]], other.members[j]], axis=1))
        return np.concatenate(parts)


def _occurrences_of(codes: Codes, wanted: Codes) -> _CodeOccurrences:
    """Finds the indices of the wanted codes only: an order of all codes would take twice their
    memory."""
    if not len(wanted):
        none = np.empty(0, np.int64)
        return _CodeOccurrences(wanted, none, none, none)
    wanted = distinct_codes(wanted)
    # So many bits that at most one code in sixteen shares them by chance: only those are searched
    # for, which is slow.
    bits = min(max(22, len(wanted).bit_length() + 4), 28)
    rows = np.flatnonzero(share_top_bits(codes, wanted, CODE_BITS, bits))
    place = np.searchsorted(wanted, codes[rows])
    here = wanted[np.minimum(place, len(wanted) - 1)] == codes[rows]
    rows, place = rows[here], place[here]
    order = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=len(wanted))
    return _CodeOccurrences(wanted, rows[order], np.cumsum(counts) - counts, counts)


def _sort_pairs(pairs: Indices) -> Indices:
    """Sorts pairs by first, then second."""
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _check_radius(radius_bits: int) -> None:
    if not 0 <= radius_bits <= MAX_RADIUS_BITS:
        raise ValueError(f"radius_bits is {radius_bits}: choose 0 to {MAX_RADIUS_BITS}")
