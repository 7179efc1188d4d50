"""Furniture of sites: the same image on many pages, such as a logo, a QR code, an avatar, an
advertisement.

After `placeholders`, and before `text_filter` for the same reason: furniture is reported as such
whatever its texts are, and never as a duplicate of itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.occurrences import Occurrences, read_occurrences
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.index.page_sets import PageSets, page_sets, save_page_sets, sizes_with_published
from wenlan_data.index.published import FURNITURE, PublishedIndex
from wenlan_data.npy import Bools, Codes, FixedBytes, Indices, members, save_array
from wenlan_data.recipe import DedupeRules

ALWAYS = 10
"""An image on more than this many times `max_site_pages` pages is furniture on any site."""
MAX_COUNTED = 1 << 40
"""Limit of the sizes of page sets, for a share near 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Furniture:
    """What a generation adds to the index for later ones."""

    digests: FixedBytes
    """S32 (B,), sorted: SHA-256 of its furniture."""
    pages: PageSets
    """The pages of its sites, and those of each of its images on a site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLimit:
    """The number of pages of a site above which an image is furniture.

    >>> limit = PageLimit(pages=5, share=0.5)
    >>> limit.exceeded(np.array([5, 6, 6, 50, 51]), np.array([5, 11, 12, 900, 900])).tolist()
    [False, True, False, False, True]
    """

    pages: int
    share: float
    """Share of the pages of the site that the image must exceed as well; 0: none."""

    @property
    def always(self) -> int:
        """The number of pages above which the share does not matter."""
        return ALWAYS * self.pages if self.share else self.pages

    @property
    def counted(self) -> int:
        """The size up to which sets of pages must be exact: beyond it no decision changes."""
        # On a site of so many pages, an image above the share is above `always` too.
        of_site = ceil(min(self.always / self.share, MAX_COUNTED)) if self.share else 0
        return max(self.always + 1, of_site)

    def exceeded(self, pages: Indices, site_pages: Indices) -> Bools:
        """bool (N,): whether images on so many pages, of sites of so many pages, are furniture."""
        is_frequent: Bools = (pages > self.share * site_pages) | (pages > self.always)
        return is_frequent & (pages > self.pages)

    def detail(self, pages: int, site_pages: int, site: str) -> str:
        """The `detail` of a drop. Larger numbers than these are not exact."""
        if pages > self.always:
            return f"on more than {self.always} pages of {site}"
        return f"on {pages} of {site_pages} pages of {site}"


def drop_furniture(
    table: CandidateTable,
    raw: Sequence[str],
    published: PublishedIndex,
    rules: DedupeRules,
    decisions: Decisions,
) -> Furniture:
    """Drops candidates whose bytes are furniture of a site, by the pages of this and all earlier
    generations, or were so in an earlier one.

    `raw` are the `raw.parquet` files of the generation, which are read only if there is a limit.
    """
    if not rules.max_site_pages:
        none = np.empty(0, np.uint64)
        return Furniture(digests=np.empty(0, "S32"), pages=PageSets(none, none))
    limit = PageLimit(pages=rules.max_site_pages, share=rules.min_site_share)
    occurrences = read_occurrences(raw, table)
    sets, new, details = _find(occurrences, table, published, limit)
    # Those of earlier generations also where fewer pages have them now, or those of another site.
    blocked = np.union1d(published.furniture(), new)
    _, is_blocked = members(blocked, table.signatures.sha256)
    fetched = np.flatnonzero(table.fetched & decisions.is_open)
    rows = fetched[is_blocked[table.url[fetched]]]
    decisions.drop(rows, Decision.FURNITURE)
    place, is_new = members(new, table.signatures.sha256[table.url[rows]])
    names = [details[n] for n in place[is_new].tolist()]
    decisions.details.update(zip(rows[is_new].tolist(), names, strict=True))
    return Furniture(digests=new, pages=sets.smallest(limit.counted))


def write_furniture(folder: Path, furniture: Furniture) -> None:
    """Writes what later generations read into their index folder."""
    save_array(folder / FURNITURE, furniture.digests)
    save_page_sets(folder, furniture.pages)


def _find(
    found: Occurrences, table: CandidateTable, published: PublishedIndex, limit: PageLimit
) -> tuple[PageSets, FixedBytes, list[str]]:
    """The page sets of this generation; the sorted SHA-256 of the furniture among its images, and
    the `detail` of each."""
    fetched = found.url >= 0
    url, page = found.url[fetched], found.page[fetched]
    site = found.page_site[page]
    # An image on a site is a key of its own, and so is the site. Both hashes are uniform, so their
    # XOR is unique as well.
    keys = _last_words(table.signatures.sha256)[url] ^ found.site_hashes[site]
    on_site = found.page_site >= 0
    sets, pair = page_sets(
        np.concatenate([keys, found.site_hashes[found.page_site[on_site]]]),
        np.concatenate([found.page_hashes[page], found.page_hashes[on_site]]),
    )
    known, sizes = sizes_with_published(sets, published.folders, limit.counted)
    # The pairs of sites come last; one pair of an image gives its URL and site.
    frequent = np.flatnonzero((sizes > limit.pages) & (pair < len(keys)))
    url, site = url[pair[frequent]], site[pair[frequent]]
    pages, site_pages = sizes[frequent], _sizes_of(found.site_hashes[site], known, sizes)
    is_furniture = limit.exceeded(pages, site_pages)
    url, site = url[is_furniture], site[is_furniture]
    pages, site_pages = pages[is_furniture], site_pages[is_furniture]
    # Of several sites, the one where most pages have it is stated.
    digests = table.signatures.sha256[url]
    order = np.lexsort((site, -pages, digests))
    new, best = np.unique(digests[order], return_index=True)
    details = [
        limit.detail(int(pages[n]), int(site_pages[n]), found.sites[site[n]]) for n in order[best]
    ]
    return sets, new, details


def _sizes_of(keys: Codes, known: Codes, sizes: Indices) -> Indices:
    # Every site of an occurrence has a set of pages, so that each place found is a hit.
    found: Indices = sizes[np.searchsorted(known, keys)]
    return found


def _last_words(digests: FixedBytes) -> Codes:
    """uint64 (N,): the last 8 bytes of each S32 (N,)."""
    words: Codes = np.ascontiguousarray(digests).view("<u8")[3::4]
    return words
