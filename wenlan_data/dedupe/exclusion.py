"""Drops images that the operator's blocklists name now, although they were fetched before.

The fetch step requests nothing that is listed. This check, in the last step before publication, is
for entries that were listed after it: while a build was stopped, or between two builds, of which
the second takes the result of the first. It is also the one that knows the page of each image.
"""

import numpy as np

from wenlan_data.arrow import strings
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.npy import Indices
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.blocklists import LoadedBlocklists


def drop_excluded(table: CandidateTable, lists: LoadedBlocklists, decisions: Decisions) -> None:
    """Drops each open candidate that a list names by a URL of its image, by its page, or by the
    bytes or PDQ hash of its image. `table` has the columns of the output."""
    # The others have no image, or one that is published already.
    open_rows = np.flatnonzero(decisions.is_open)
    excluded = []
    for row, drop in zip(open_rows.tolist(), _drops(table, lists, open_rows), strict=True):
        if drop:
            excluded.append(row)
            decisions.details[row] = drop.detail
    decisions.drop(np.array(excluded, np.int64), Decision.EXCLUDED)


def _drops(table: CandidateTable, lists: LoadedBlocklists, numbers: Indices) -> list[Drop | None]:
    results = table.result[numbers]
    image_urls = zip(
        strings(table.candidates, "url", numbers),
        strings(table.results, "fetched_url", results),
        strings(table.results, "final_url", results),
        strict=True,
    )
    pages = strings(table.candidates, "page_url", numbers)
    signatures = table.signatures.take(table.url[numbers])
    # NumPy strips trailing zeros of fixed-size bytes.
    hashes = (value.ljust(32, b"\0").hex() for value in signatures.sha256.tolist())
    pdqs = map(bytes, signatures.pdq.view(np.uint8))
    return [
        next(filter(None, map(lists.refuses_url, filter(None, dict.fromkeys(urls)))), None)
        or (Drop(Reason.EXCLUDED, "page") if lists.refuses_url(page) else None)
        or lists.refuses_bytes(sha256, None)
        or lists.refuses_pdq(pdq)
        for urls, page, sha256, pdq in zip(image_urls, pages, hashes, pdqs, strict=True)
    ]
