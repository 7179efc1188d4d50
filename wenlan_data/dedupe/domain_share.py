"""The share of the corpus that one registrable domain may have.

Counted just before `selection`, which keeps to it; `write` adds what is kept to the counts.
"""

from dataclasses import dataclass

import numpy as np

from wenlan_data.arrow import strings
from wenlan_data.dedupe.frequency import published_counts
from wenlan_data.dedupe.groups import Images
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.dedupe.text_hashes import hashes_of
from wenlan_data.index.published import SITE_COUNTS, SITE_HASHES, PublishedIndex
from wenlan_data.npy import Codes, Indices
from wenlan_data.web.domains import site_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainShare:
    """The registrable domains of M images, the published samples of each, and the share of the
    corpus that none may exceed."""

    domain: Indices
    """int64 (M,): the number of each image's domain, -1 for none (a file)."""
    hashes: Codes
    """uint64 (D,), sorted: the hash of each domain's name."""
    published: Indices
    """int64 (D,): published samples of each domain."""
    published_total: int
    """Published samples of all domains."""
    share: float
    """The largest share of the corpus, 0 to 1, that one domain may have."""

    def count(self, images: Indices) -> Indices:
        """int64 (D,): how many of these images each domain has."""
        domains = self.domain[images]
        return np.bincount(domains[domains >= 0], minlength=len(self.hashes))


def domain_share(
    table: CandidateTable, images: Images, published: PublishedIndex, share: float
) -> DomainShare:
    """Returns the domains of the images with the published samples of each, by which `select`
    decides."""
    urls = strings(table.results, "url_key", table.result[images.primary])
    names = [site_of(url) for url in urls]
    known = sorted({name for name in names if name})
    hashes = hashes_of(known)
    # Ordered by hash, not by name: `save_counts` writes the hashes in this order, and `members`
    # finds them by binary search.
    order = np.argsort(hashes)
    number = {known[place]: rank for rank, place in enumerate(order.tolist())}
    return DomainShare(
        domain=np.array([number.get(name, -1) for name in names], np.int64),
        hashes=hashes[order],
        published=published_counts(published.folders, hashes[order], (SITE_HASHES, SITE_COUNTS)),
        # From the images, not from the counts of domains: files have no domain, but are samples of
        # the corpus.
        published_total=sum(len(one.signatures.phash) for one in published.segments()),
        share=share,
    )
