"""Who stands for whom: in keep order the next one left stays, and its neighbours go with it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming.self_join import Found
from wenlan_data.dedupe.similarity import Nearness, Signs, edges_among, neighbours_between

PORTION = 1 << 10
"""First so many are decided among themselves where the neighbours are too many to be held; then four times as many."""

Indices = NDArray[np.int64]


def stands_for(
    signs: Signs, place: Indices, nearness: Nearness, found: Iterable[Found] | None = None
) -> Indices:
    """int64 (G,): for each row the one that stands for it, itself where it stays.

    `place` (G,) is the place in keep order, each once. Of several that stay near a row the first stands for it.
    """
    result = np.arange(len(place))
    edges = edges_among(signs, nearness, found)
    left, portion = result.copy(), PORTION
    place = np.argsort(np.argsort(place)) if edges is None else place
    while edges is None:
        first = np.sort(left[np.argsort(place[left])[:portion]])
        result[first] = first[stands_for(signs.take(first), place[first], nearness)]
        left = np.setdiff1d(left, first, assume_unique=True)
        left = _without_near(signs, first[result[first] == first], left, place, nearness, result)
        edges = edges_among(signs.take(left), nearness)
        portion *= 4
    result[left] = left[by_edges(edges, place[left])]
    return result


def by_edges(edges: Indices, place: Indices) -> Indices:
    """The same, of neighbours (E, 2) that are all known."""
    result = np.arange(len(place))
    if not len(edges):
        return result
    both = np.concatenate([edges, edges[:, ::-1]])
    # Towards later ones only: the earlier of two neighbours is the one that decides.
    both = both[place[both[:, 0]] < place[both[:, 1]]]
    both = both[np.lexsort((place[both[:, 1]], place[both[:, 0]]))]
    starts = np.flatnonzero(np.append(True, both[1:, 0] != both[:-1, 0]))
    stops = np.append(starts[1:], len(both))
    for first, start, stop in zip(
        both[starts, 0].tolist(), starts.tolist(), stops.tolist(), strict=True
    ):
        if result[first] == first:
            near = both[start:stop, 1]
            result[near[result[near] == near]] = first
    return result


def _without_near(
    signs: Signs, kept: Indices, left: Indices, place: Indices, nearness: Nearness, result: Indices
) -> Indices:
    """What is left without the neighbours of the kept, for whom these stand now."""
    last = len(place)
    best = np.full(len(left), last)
    for ours, theirs in neighbours_between(signs.take(kept), signs.take(left), nearness):
        np.minimum.at(best, theirs, place[kept[ours]])
    row_at = np.empty(last, np.int64)
    row_at[place] = np.arange(last)
    gone = best < last
    result[left[gone]] = row_at[best[gone]]
    return left[~gone]
