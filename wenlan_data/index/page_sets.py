"""Sets of pages by key in each index folder: the pages of a site, and those that an image stands on.

page-keys.npy    uint64 (P,), sorted: which set a page belongs to
page-hashes.npy  uint64 (P,), ascending inside a set: the hash of the page's URL

The sets themselves and not their sizes, so that a page that several generations read counts once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wenlan_data.errors import DamageError
from wenlan_data.npy import BUILD_AGAIN, Bools, Codes, Indices, load_array, members, save_array

PAGE_KEYS, PAGE_HASHES = "page-keys.npy", "page-hashes.npy"


@dataclass(frozen=True, slots=True)
class PageSets:
    """Pages of many sets, sorted by key, then page; each page once in its set."""

    keys: Codes
    """uint64 (P,)."""
    pages: Codes
    """uint64 (P,)."""

    def sizes(self) -> tuple[Codes, Indices]:
        """The distinct keys, uint64 (K,), and the size of the set of each, int64 (K,)."""
        starts = np.flatnonzero(_is_first(self.keys))
        return self.keys[starts], np.diff(starts, append=len(self.keys))

    def smallest(self, most: int) -> "PageSets":
        """The `most` smallest pages of each set.

        The smallest pages of a union are among the smallest of its parts. So the size of a union is
        exact up to `most`, however many sets were cut to it before.
        """
        _, sizes = self.sizes()
        place = np.arange(len(self.keys)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        is_left = place < most
        return PageSets(self.keys[is_left], self.pages[is_left])


def page_sets(keys: Codes, pages: Codes) -> tuple[PageSets, Indices]:
    """Returns the sets of these pairs of key and page, uint64 (N,) each, in any order and with
    repetitions; and for each distinct key, int64 (K,), one of the pairs that have it."""
    # Most sets have one page. By key alone first, since `lexsort` takes ten times as long; only
    # the pages of larger sets are ordered then.
    order = np.argsort(keys)
    keys, pages = keys[order], pages[order]
    first = _is_first(keys)
    shared = np.flatnonzero(~(first & np.append(first[1:], True)))
    pages[shared] = pages[shared][np.lexsort((pages[shared], keys[shared]))]
    is_new = first | _is_first(pages)
    return PageSets(keys[is_new], pages[is_new]), order[first]


def save_page_sets(folder: Path, sets: PageSets) -> None:
    """Writes what `sizes_with_published` reads."""
    save_array(folder / PAGE_KEYS, sets.keys)
    save_array(folder / PAGE_HASHES, sets.pages)


def sizes_with_published(
    sets: PageSets, folders: Sequence[str], most: int
) -> tuple[Codes, Indices]:
    """`PageSets.sizes` of the unions of these sets with those of the index folders; sizes are exact
    up to `most`.

    Raises `DamageError` for an incomplete folder.
    """
    keys, sizes = sets.sizes()
    found = [_published(Path(folder), keys, most) for folder in folders]
    earlier_keys = np.concatenate([np.empty(0, np.uint64), *(one.keys for one in found)])
    if len(earlier_keys):
        earlier_pages = np.concatenate([one.pages for one in found])
        # Few keys of a generation were there before, mainly those of sites: only their sets are
        # sorted again.
        _, is_old = members(np.unique(earlier_keys), sets.keys)
        both, _ = page_sets(
            np.concatenate([sets.keys[is_old], earlier_keys]),
            np.concatenate([sets.pages[is_old], earlier_pages]),
        )
        old_keys, old_sizes = both.sizes()
        sizes[np.searchsorted(keys, old_keys)] = old_sizes
    return keys, sizes


def _published(folder: Path, keys: Codes, most: int) -> PageSets:
    """The sets of these sorted keys in one folder, each cut to its `most` smallest pages."""
    known = load_array(folder / PAGE_KEYS, np.uint64)
    pages = load_array(folder / PAGE_HASHES, np.uint64)
    if len(known) != len(pages):
        raise DamageError(f"{folder}: its page sets differ in length: {BUILD_AGAIN}")
    starts, is_known = members(known, keys)
    starts, keys = starts[is_known], keys[is_known]
    # Cut before the pages are read: a large site may have more pages than fit in memory.
    sizes = np.minimum(np.searchsorted(known, keys, side="right") - starts, most)
    ends = np.cumsum(sizes)
    rows = np.arange(sizes.sum()) + np.repeat(starts - ends + sizes, sizes)
    return PageSets(np.repeat(keys, sizes), pages[rows])


def _is_first(values: Codes) -> Bools:
    # The slice is for no values at all, where `append` alone would give one.
    return np.append(True, values[1:] != values[:-1])[: len(values)]
