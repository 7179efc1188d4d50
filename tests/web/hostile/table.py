"""The table: every case of the hostile web, by number: what the server does, and the outcome.

Numbers and behaviours are those of the list of hostile behaviours that the crawl was designed
against. To add cases of another part of the package, write them in a file of this folder, list
the file here, and remove their numbers from `MISSING`.
"""

from tests.web.hostile import (
    colours,
    compression,
    images,
    pages,
    politeness,
    redirects,
    transport,
    traps,
)

CASES = sorted(
    [
        *transport.CASES,
        *redirects.CASES,
        *compression.CASES,
        *politeness.CASES,
        *traps.CASES,
        *pages.CASES,
        *images.CASES,
        *colours.CASES,
    ],
    key=lambda case: case.number,
)

CLAIMED = frozenset({*range(1, 103), *range(112, 117), *range(118, 141), 143, 145, 146})
"""Numbers that must be in the table."""
MISSING = frozenset({*range(103, 112), 117, 141, 142, 144})
"""Numbers that are not in the table yet."""
