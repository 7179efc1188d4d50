"""The same pass where more than the picture decides: captions that are near, and the share of a site."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming.self_join import Found
from wenlan_data.dedupe.similarity import (
    Nearness,
    Signs,
    all_edges,
    edges_among,
    neighbours_between,
)

BY_PICTURE, BY_TEXT, BY_SITE = range(3)
MAX_ROUNDS = 50
"""Of looking for a limit that fits the corpus which it leaves; each comes nearer by the share's factor."""
PORTION, MAX_PORTION = 1 << 10, 1 << 12
"""Pictures decided among themselves where the neighbours of all are too many to be held: first, and at most."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What else is known of N pictures."""

    text_edges: Indices
    """int64 (E, 2): pictures whose captions are near."""
    said_before: NDArray[np.bytes_]
    """S16 (N,): key of a published sample whose caption is near, empty for none."""
    site: Indices | None = None
    """int64 (N,): the number of each picture's registrable domain, -1 for none (a file); None where no share is set."""
    published: Indices
    """int64 (S,): how many published samples each site has."""
    published_total: int = 0
    share: float = 1.0
    """Of the corpus that one site may have."""


@dataclass(frozen=True, slots=True)
class Near:
    """Which groups of pictures are neighbours."""

    signs: Signs
    rule: Nearness
    edges: Indices | None
    """int64 (E, 2): all neighbours; None where they are too many to be held."""

    @staticmethod
    def of(signs: Signs, rule: Nearness, found: Iterable[Found] | None = None) -> "Near":
        """`found` is what a search among the distinct pHashes gave; it is done here if missing."""
        return Near(
            signs,
            rule,
            edges_among(signs, rule, found) if rule.looks else np.empty((0, 2), np.int64),
        )

    def among(self, groups: Indices) -> Indices:
        """Neighbours among some groups."""
        return groups[all_edges(self.signs.take(groups), self.rule)]

    def left(self, groups: Indices) -> Indices | None:
        """The same where they can be held."""
        edges = edges_among(self.signs.take(groups), self.rule)
        return None if edges is None else groups[edges]


@dataclass(frozen=True, slots=True)
class _State:
    """What a pass has decided so far."""

    cover: Indices
    """int64 (G,): place of the kept picture that stands for a group, -1 for none."""
    of_text: dict[int, int]
    allowed: list[int]
    winner: Indices
    """int64 (N,), by place in keep order."""
    why: NDArray[np.int8]


def pick(
    order: Indices, group_of: Indices, near: Near, beyond: Beyond
) -> tuple[Indices, NDArray[np.int8]]:
    """Of each picture in `order` (keep order) who stands for it, itself where it is kept, -1 for none; and why it goes.

    A site has at most its share of what the corpus holds in the end, and one sample in any case.
    """
    texts = _neighbours(beyond.text_edges)
    if beyond.site is None:
        return _one_pass(order, group_of, near, texts, None, [])
    allowed = [len(order)] * len(beyond.published)
    for _ in range(MAX_ROUNDS):
        winner, why = _one_pass(order, group_of, near, texts, beyond.site, allowed)
        kept = order[winner == order]
        sites = beyond.site[kept]
        total = beyond.published_total + len(kept)
        limit = max(1, int(beyond.share * total))
        count = beyond.published + np.bincount(sites[sites >= 0], minlength=len(beyond.published))
        mine = np.maximum(limit - beyond.published, 0)
        if np.all((count <= limit) | (count == beyond.published)):
            break
        allowed = mine.tolist()
    return winner, why


def _one_pass(
    order: Indices,
    group_of: Indices,
    near: Near,
    texts: dict[int, list[int]],
    site: Indices | None,
    allowed: list[int],
) -> tuple[Indices, NDArray[np.int8]]:
    nothing = np.full(len(near.signs.phash), -1), np.full(len(order), -1)
    state = _State(
        nothing[0], {}, allowed.copy(), nothing[1], np.full(len(order), BY_PICTURE, np.int8)
    )
    group, left = group_of[order], np.arange(len(order))
    edges, portion = near.edges, PORTION
    while edges is None:
        first, left = left[:portion], left[portion:]
        _decide(
            first,
            order,
            group,
            _neighbours(near.among(np.unique(group[first]))),
            texts,
            site,
            state,
        )
        _spread(
            near, first[state.winner[first] == order[first]], np.unique(group[left]), group, state
        )
        gone = state.cover[group[left]] >= 0
        state.winner[left[gone]] = order[state.cover[group[left[gone]]]]
        left, portion = left[~gone], min(4 * portion, MAX_PORTION)
        edges = near.left(np.unique(group[left]))
    _decide(left, order, group, _neighbours(edges), texts, site, state)
    return state.winner, state.why


def _decide(
    places: Indices,
    order: Indices,
    group_of: Indices,
    groups: dict[int, list[int]],
    texts: dict[int, list[int]],
    site: Indices | None,
    state: _State,
) -> None:
    """Decide the pictures at these places, all neighbours of their groups being known."""
    cover, of_text, left = dict[int, int](), state.of_text, state.allowed
    for place, picture, group, home in _rows(places, order, group_of, site):
        if group in cover:
            state.winner[place] = order[cover[group]]
        elif picture in of_text:
            state.winner[place], state.why[place] = of_text[picture], BY_TEXT
        elif home >= 0 and left[home] <= 0:
            state.why[place] = BY_SITE
        else:
            state.winner[place] = picture
            for other in (group, *groups.get(group, ())):
                cover.setdefault(other, place)
            for other in texts.get(picture, ()):
                of_text.setdefault(other, picture)
            if home >= 0:
                left[home] -= 1
    state.cover[list(cover)] = list(cover.values())


def _spread(near: Near, kept: Indices, left: Indices, group_of: Indices, state: _State) -> None:
    """The kept, by place, stand for all that is left near them: the first of several."""
    left = left[state.cover[left] < 0]
    places = kept[np.argsort(group_of[kept])]
    best = np.full(len(left), len(group_of))
    ours = near.signs.take(group_of[places])
    for i, j in neighbours_between(ours, near.signs.take(left), near.rule):
        np.minimum.at(best, j, places[i])
    state.cover[left[best < len(group_of)]] = best[best < len(group_of)]


def _rows(
    places: Indices, order: Indices, group_of: Indices, site: Indices | None
) -> Iterator[tuple[int, int, int, int]]:
    pictures = order[places]
    sites = site[pictures] if site is not None else np.full(len(places), -1)
    return zip(
        places.tolist(), pictures.tolist(), group_of[places].tolist(), sites.tolist(), strict=True
    )


def _neighbours(edges: Indices) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for one, other in edges.tolist():
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return found
