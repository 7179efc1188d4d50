"""Placeholder images: "hotlink forbidden", "image removed", a logo that hundreds of pages embed.

The first check of fetched candidates, by SHA-256 alone. It comes before `text_filter`, so that a
placeholder is reported as one whatever its texts are.
"""

from typing import Any

import numpy as np

from wenlan_data.arrow import are_equal, rows, to_strings, whole
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.index.published import PublishedIndex
from wenlan_data.npy import FixedBytes, members


def drop_placeholders(
    table: CandidateTable, published: PublishedIndex, min_urls: int, decisions: Decisions
) -> FixedBytes:
    """Drops candidates whose bytes too many URLs serve: `min_urls` of this generation or more
    (0: no limit), or as many of an earlier one.

    Returns the placeholders of this generation for later ones: S32 (B,), sorted SHA-256.
    """
    new = np.empty(0, "S32")
    if min_urls:
        good = np.flatnonzero(are_equal(table.results, "reason", ""))
        # A row of `results` is one URL, so the counts of the digests are numbers of URLs. They are
        # counted as dictionary codes: only the frequent digests become Python strings.
        digests: Any = whole(table.results, "sha256").take(rows(good)).dictionary_encode()
        counts = np.bincount(digests.indices.to_numpy(), minlength=len(digests.dictionary))
        frequent = digests.dictionary.take(rows(np.flatnonzero(counts >= min_urls)))
        new = np.unique(np.array([bytes.fromhex(one) for one in to_strings(frequent)], "S32"))
    # Those of earlier generations count here even where fewer URLs serve them now.
    blocked = np.union1d(published.placeholders(), new)
    fetched = np.flatnonzero(table.fetched)
    _, is_blocked = members(blocked, table.signatures.sha256)
    decisions.drop(fetched[is_blocked[table.url[fetched]]], Decision.PLACEHOLDER)
    return new
