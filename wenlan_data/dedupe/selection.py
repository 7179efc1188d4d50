"""Greedy selection in keep order: the next open image is kept, and what it excludes is dropped.

An image excludes its neighbours; under `Constraints` also images with a near caption, and those
above the share of their domain. Nothing is dropped for being near something that was dropped, so
the decisions depend neither on the order of the sources nor on the number of workers.

The last check: it takes the images that `decontamination`, `matching` and `drop_near_captions` left
open, and leaves none open. `similarity` finds the neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.domain_share import DomainShare
from wenlan_data.dedupe.groups import Images
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.similarity import (
    SortedHashes,
    Thresholds,
    edges_among,
    neighbours_between,
    pdq_distance,
)
from wenlan_data.npy import Indices

FIRST_PORTION, PORTION_GROWTH = 1 << 10, 4
"""Images in the first portion, and the factor by which portions grow, where the neighbours of all
images are too many to be held."""
MAX_ROUNDS = 50
"""Maximum passes. Each brings the limit on samples of a domain, a share of what is kept, nearer to
its fixed point by the factor of the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What excludes an image besides its hashes."""

    near_captions: Indices | None = None
    """int64 (E, 2): images whose captions are near each other; None where captions are not
    compared."""
    domains: DomainShare | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """P open images, named by their place in keep order, in G groups of equal hashes."""

    order: Indices
    """int64 (P,): the images."""
    group: Indices
    """int64 (P,): the group of each."""
    firsts: Indices
    """int64 (G,): the place of the first image of a group, ascending."""
    hashes: SortedHashes
    """The hashes of each group."""
    thresholds: Thresholds
    edges: Indices | None
    """int64 (E, 2): groups that are neighbours; None where these are too many to be held."""


def select(images: Images, constraints: Constraints, near: NearFiles, decisions: Decisions) -> None:
    """Keeps or drops every open image, in keep order: an image is dropped that is a neighbour of a
    kept one, or that the constraints exclude.

    One candidate of a kept image becomes the sample, and the others are its duplicates; those of a
    dropped image share its reason.
    """
    is_open = decisions.is_open[images.primary]
    # Where no image was dropped before, the groups are used without a copy.
    groups = images.groups if is_open.all() else images.groups.only(is_open)
    group_of = np.empty(len(is_open), np.int64)
    group_of[groups.members] = np.repeat(np.arange(len(groups.starts)), groups.counts)
    # A mask, since it gives the first images in keep order without a sort.
    is_first = np.zeros(len(is_open), bool)
    is_first[groups.first] = True
    order, hashes = images.order[is_open[images.order]], groups.hashes()
    pool = _Pool(
        order=order,
        group=group_of[order],
        firsts=np.flatnonzero(is_first[order]),
        hashes=hashes,
        thresholds=groups.thresholds,
        edges=edges_among(hashes, groups.thresholds, near.self_join_pairs()),
    )
    winner = np.full(len(pool.order), -1)
    reason = np.full(len(pool.order), Decision.NEAR_DUPLICATE, np.int8)
    if constraints.near_captions is None and constraints.domains is None:
        _select_by_groups(pool, winner)
    else:
        _select_by_images(pool, constraints, winner, reason)
    _record(images, pool.order, winner, reason, decisions)


def _select_by_groups(pool: _Pool, winner: Indices) -> None:
    """Selects by hashes alone: the first image of each group decides for its group."""

    def decide(places: Indices, edges: Indices) -> None:
        winner[places] = places
        place = np.empty(len(pool.firsts), np.int64)
        place[pool.group[places]] = places
        # Of two neighbours the earlier one decides: (earlier, later), by the earlier.
        pairs = np.sort(place[edges], axis=1)
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        earlier, later = pairs[:, 0], pairs[:, 1]
        starts = np.flatnonzero(np.append(True, earlier[1:] != earlier[:-1])[: len(earlier)])
        stops = np.append(starts, len(pairs))[1:]
        for first, start, stop in zip(
            earlier[starts].tolist(), starts.tolist(), stops.tolist(), strict=True
        ):
            # Only earlier images change a decision, so that of `first` is final here. Images
            # without a later neighbour are not visited: they remain their own winners.
            if winner[first] == first:
                near = later[start:stop]
                winner[near[winner[near] == near]] = first
        representative[pool.group[places]] = winner[places]

    representative = np.full(len(pool.firsts), -1)
    _in_portions(pool, pool.firsts, representative, decide)
    winner[:] = representative[pool.group]


def _select_by_images(
    pool: _Pool, constraints: Constraints, winner: Indices, reason: NDArray[np.int8]
) -> None:
    """Selects image by image, since images of one group may differ in caption and domain."""
    captions = constraints.near_captions
    near_captions = _adjacency(captions if captions is not None else np.empty((0, 2), np.int64))
    domains = constraints.domains
    if domains is None:
        _one_pass(pool, near_captions, None, [], winner, reason)
        return
    domain = domains.domain[pool.order]
    allowed = np.full(len(domains.published), len(pool.order))
    # The share refers to what is left, which is not known before: the first pass limits nothing,
    # and each later one takes its limit from what the last pass kept.
    for _ in range(MAX_ROUNDS):
        _one_pass(pool, near_captions, domain, allowed.tolist(), winner, reason)
        kept = np.flatnonzero(winner == np.arange(len(winner)))
        count = domains.published + domains.count(pool.order[kept])
        limit = max(1, int(domains.share * (domains.published_total + len(kept))))
        # A domain that was above its share before, and adds nothing, cannot be brought below it.
        if np.all((count <= limit) | (count == domains.published)):
            return
        allowed = np.maximum(limit - domains.published, 0)


def _one_pass(
    pool: _Pool,
    near_captions: dict[int, list[int]],
    domain: Indices | None,
    allowed: list[int],
    winner: Indices,
    reason: NDArray[np.int8],
) -> None:
    """Decides all images in turn, each domain having `allowed` samples at most."""

    def decide(places: Indices, edges: Indices) -> None:
        # Dictionaries, not arrays: the loop reads and writes single elements.
        neighbours, representative_of = _adjacency(edges), dict[int, int]()
        homes = domain[places] if domain is not None else np.full(len(places), -1)
        for place, image, group, home in zip(
            places.tolist(),
            pool.order[places].tolist(),
            pool.group[places].tolist(),
            homes.tolist(),
            strict=True,
        ):
            if group in representative_of:
                continue
            if image in winner_by_caption:
                winner[place], reason[place] = winner_by_caption[image], Decision.NEAR_TEXT
            elif home >= 0 and allowed[home] <= 0:
                # It becomes nobody's representative: what the share leaves out excludes no
                # neighbour.
                reason[place] = Decision.DOMAIN_SHARE
            else:
                for other in (group, *neighbours.get(group, ())):
                    # The images come in keep order, so the first one to exclude a group represents
                    # it.
                    representative_of.setdefault(other, place)
                for other in near_captions.get(image, ()):
                    winner_by_caption.setdefault(other, place)
                if home >= 0:
                    allowed[home] -= 1
        representative[list(representative_of)] = list(representative_of.values())

    winner.fill(-1)
    reason.fill(Decision.NEAR_DUPLICATE)
    winner_by_caption = dict[int, int]()
    representative = np.full(len(pool.firsts), -1)
    _in_portions(pool, np.arange(len(pool.order)), representative, decide)
    # Dropped for caption or domain first: a neighbour kept later does not change that.
    near = reason == Decision.NEAR_DUPLICATE
    winner[near] = representative[pool.group[near]]


def _in_portions(
    pool: _Pool,
    left: Indices,
    representative: Indices,
    decide: Callable[[Indices, Indices], None],
) -> None:
    """Calls `decide(places, edges)` for all places at once, or in portions for as long as the edges
    of the remaining places are too many to be held.

    `decide` writes `representative` (G,): the place of the kept image that excludes a group, -1 for
    none. Places that a portion excludes are left out of later ones, so the decisions are those of
    one call.
    """
    edges, portion = pool.edges, FIRST_PORTION
    while edges is None:
        # So many images have at most portion^2 / 2 edges: this ends.
        while (edges := _edges(pool, left[:portion])) is None:
            portion //= PORTION_GROWTH
        first, left = left[:portion], left[portion:]
        decide(first, edges)
        _exclude_neighbours(
            pool, first[representative[pool.group[first]] == first], left, representative
        )
        left = left[representative[pool.group[left]] < 0]
        edges, portion = _edges(pool, left), portion * PORTION_GROWTH
    decide(left, edges)


def _edges(pool: _Pool, places: Indices) -> Indices | None:
    groups = np.unique(pool.group[places])
    edges = edges_among(pool.hashes.take(groups), pool.thresholds)
    return None if edges is None else groups[edges]


def _exclude_neighbours(pool: _Pool, kept: Indices, left: Indices, representative: Indices) -> None:
    """Makes each kept image the representative of its neighbouring groups; near several kept
    images, a group gets the first in keep order."""
    groups = np.unique(pool.group[left])
    groups = groups[representative[groups] < 0]
    # `SortedHashes.take` needs ascending rows.
    kept = kept[np.argsort(pool.group[kept])]
    first = np.full(len(groups), len(pool.order))
    ours, theirs = pool.hashes.take(pool.group[kept]), pool.hashes.take(groups)
    for i, j in neighbours_between(ours, theirs, pool.thresholds):
        # Unbuffered, since a group may be near several kept images; the smallest place is the first
        # in keep order.
        np.minimum.at(first, j, kept[i])
    found = first < len(pool.order)
    representative[groups[found]] = first[found]


def _adjacency(edges: Indices) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for one, other in edges.tolist():
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return found


def _record(
    images: Images,
    order: Indices,
    winner: Indices,
    reason: NDArray[np.int8],
    decisions: Decisions,
) -> None:
    """Writes the decisions about the images `order`, whose winners are places in it, -1 for
    none."""
    signatures, primary = images.signatures, images.primary
    is_kept = winner == np.arange(len(winner))
    kept = order[is_kept]
    decisions.keep(primary[kept])
    rows, at = images.candidates_of(kept)
    # The sample itself is decided; its other texts and URLs are copies of the same bytes.
    decisions.drop(
        rows,
        Decision.DUPLICATE,
        winner=primary[kept[at]],
        key=signatures.keys[kept[at]],
        distance=(0, 0),
    )
    lost, reason = order[~is_kept], reason[~is_kept]
    known = winner[~is_kept] >= 0
    # Without a winner, -1 reads the last image; `known` then masks what comes of it.
    by = order[winner[~is_kept]]
    rows, at = images.candidates_of(lost)
    phash_bits = np.bitwise_count(signatures.phash[lost] ^ signatures.phash[by]).astype(np.int32)
    pdq_bits = pdq_distance(signatures.pdq[lost], signatures.pdq[by])
    decisions.drop(
        rows,
        reason[at],
        # An image with a near caption is another image: its texts are not merged into the winner's.
        winner=np.where(reason == Decision.NEAR_DUPLICATE, primary[by], -1)[at],
        key=np.where(known, signatures.keys[by], b"")[at],
        distance=(np.where(known, phash_bits, -1)[at], np.where(known, pdq_bits, -1)[at]),
    )
