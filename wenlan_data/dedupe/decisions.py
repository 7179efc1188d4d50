"""The decision table of the dedupe step: which candidates are kept, and why each of the others is
dropped."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.npy import Bools, FixedBytes, Indices
from wenlan_data.reasons import Reason

(
    KEPT,
    FETCH,
    DUPLICATE,
    NEAR_DUPLICATE,
    TEXT_FREQUENCY,
    NO_CAPTION,
    PLACEHOLDER,
    CONTAMINATION,
    NEAR_TEXT,
    DOMAIN_SHARE,
) = range(10)
REASONS = [
    "",
    "",
    Reason.DUPLICATE,
    Reason.NEAR_DUPLICATE,
    Reason.TEXT_FREQUENCY,
    Reason.NO_CAPTION,
    Reason.PLACEHOLDER,
    Reason.CONTAMINATION,
    Reason.NEAR_TEXT,
    Reason.DOMAIN_SHARE,
]
"""Drop reason of each code; `FETCH` rows carry the reason of the fetch step."""

OPEN = -1
"""The code of a candidate that nothing has decided yet."""

Distances = tuple[NDArray[np.int32], NDArray[np.int32]] | tuple[int, int]
"""pHash and PDQ distance in bits, for each row or for all."""


@dataclass(slots=True, kw_only=True)
class Decisions:
    """The decisions about N candidates, filled in by one check after the other.

    The first decision about a row is final: a check may name rows that are decided already, and
    changes nothing there. So the order in which the step calls its checks is the order of
    precedence of the reasons.
    """

    reason: NDArray[np.int8]
    """int8 (N,): `OPEN`, or `KEPT` to `DOMAIN_SHARE`."""
    winner: Indices
    """int64 (N,): the kept candidate whose image represents this one (itself where it is kept),
    else -1."""
    key: FixedBytes
    """S16 (N,): key of the sample that the candidate equals, here or in an earlier generation;
    empty for none."""
    phash_bits: NDArray[np.int32]
    """int32 (N,): pHash distance to the image of `key`, -1 where none was compared."""
    pdq_bits: NDArray[np.int32]
    """int32 (N,): PDQ distance to the image of `key`, -1 where none was compared."""
    details: dict[int, str]
    """Row to the `detail` of its drop row, where there is one."""

    @classmethod
    def open(cls, rows: int) -> "Decisions":
        """A table of `rows` open candidates."""
        return cls(
            reason=np.full(rows, OPEN, np.int8),
            winner=np.full(rows, -1),
            # NumPy strips trailing zeros of fixed-size bytes, so that sixteen of them read as b"",
            # the empty key.
            key=np.zeros(rows, "S16"),
            phash_bits=np.full(rows, -1, np.int32),
            pdq_bits=np.full(rows, -1, np.int32),
            # A dictionary, since only contamination has details.
            details={},
        )

    @property
    def is_open(self) -> Bools:
        """bool (N,): which candidates nothing has decided yet."""
        is_open: Bools = self.reason == OPEN
        return is_open

    def keep(self, rows: Indices) -> None:
        """Keeps the open ones of these rows."""
        # Filtered here and in `drop`, so that no check needs to know what earlier ones decided.
        rows = rows[self.reason[rows] == OPEN]
        self.reason[rows] = KEPT
        self.winner[rows] = rows

    def drop(
        self,
        rows: Indices,
        reason: int | NDArray[np.int8],
        *,
        winner: Indices | None = None,
        key: FixedBytes | None = None,
        distance: Distances | None = None,
    ) -> None:
        """Drops the open ones of these rows; arrays hold one value for each of `rows`."""
        is_open = self.reason[rows] == OPEN
        rows = rows[is_open]
        # One code for all rows becomes a view of their shape, and is filtered like an array.
        self.reason[rows] = np.broadcast_to(reason, is_open.shape)[is_open]
        if winner is not None:
            self.winner[rows] = winner[is_open]
        if key is not None:
            self.key[rows] = key[is_open]
        if distance is not None:
            self.phash_bits[rows] = np.broadcast_to(distance[0], is_open.shape)[is_open]
            self.pdq_bits[rows] = np.broadcast_to(distance[1], is_open.shape)[is_open]
