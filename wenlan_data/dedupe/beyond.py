"""The same pass where more than the picture decides: captions that are near, and the share of a site."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BY_PICTURE, BY_TEXT, BY_SITE = range(3)
MAX_ROUNDS = 50
"""Of looking for a limit that fits the corpus which it leaves; each comes nearer by the share's factor."""

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


def pick(order: Indices, group_of: Indices, edges: Indices, beyond: Beyond) -> tuple[Indices, NDArray[np.int8]]:
    """Of each picture in `order` (keep order) who stands for it, itself where it is kept, -1 for none; and why it goes.

    `edges` (E, 2) are neighbouring groups. A site has at most its share of what the corpus holds in the end, and
    one sample in any case.
    """
    groups, texts = _neighbours(edges), _neighbours(beyond.text_edges)
    if beyond.site is None:
        return _one_pass(order, group_of, groups, texts, None, [])
    allowed = [len(order)] * len(beyond.published)
    for _ in range(MAX_ROUNDS):
        winner, why = _one_pass(order, group_of, groups, texts, beyond.site, allowed)
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
    groups: dict[int, list[int]],
    texts: dict[int, list[int]],
    site: Indices | None,
    allowed: list[int],
) -> tuple[Indices, NDArray[np.int8]]:
    of_group, of_text, left = dict[int, int](), dict[int, int](), allowed.copy()
    winner, why = np.full(len(order), -1), np.full(len(order), BY_PICTURE, np.int8)
    for place, picture, group, home in _rows(order, group_of, site):
        if group in of_group:
            winner[place] = of_group[group]
        elif picture in of_text:
            winner[place], why[place] = of_text[picture], BY_TEXT
        elif home >= 0 and left[home] <= 0:
            why[place] = BY_SITE
        else:
            winner[place] = picture
            for other in (group, *groups.get(group, ())):
                of_group.setdefault(other, picture)
            for other in texts.get(picture, ()):
                of_text.setdefault(other, picture)
            if home >= 0:
                left[home] -= 1
    return winner, why


def _rows(order: Indices, group_of: Indices, site: Indices | None) -> Iterator[tuple[int, int, int, int]]:
    sites = site[order] if site is not None else np.full(len(order), -1)
    return zip(range(len(order)), order.tolist(), group_of[order].tolist(), sites.tolist(), strict=True)


def _neighbours(edges: Indices) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for one, other in edges.tolist():
        found.setdefault(one, []).append(other)
        found.setdefault(other, []).append(one)
    return found
