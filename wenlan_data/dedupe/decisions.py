"""The decision table of the dedupe step: which candidates are kept, and why each of the others is
dropped.

`step` opens it, each check fills in what it decides, and `merge_texts` and `write` read it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from wenlan_data.npy import Bools, FixedBytes, Indices
from wenlan_data.reasons import Reason


class Decision(IntEnum):
    """What can become of a candidate; the value is its code in `Decisions.reason`."""

    drop_reason: str
    """The reason of its drop row; empty where there is none, or where the fetch step states it."""

    def __new__(cls, code: int, drop_reason: str = "") -> "Decision":
        member = int.__new__(cls, code)
        member._value_ = code
        member.drop_reason = drop_reason
        return member

    OPEN = -1
    """Nothing has decided yet."""
    KEPT = 0
    FETCH = 1
    """The fetch failed; the drop row takes the reason from the fetch result."""
    DUPLICATE = 2, Reason.DUPLICATE
    NEAR_DUPLICATE = 3, Reason.NEAR_DUPLICATE
    TEXT_FREQUENCY = 4, Reason.TEXT_FREQUENCY
    NO_CAPTION = 5, Reason.NO_CAPTION
    PLACEHOLDER = 6, Reason.PLACEHOLDER
    CONTAMINATION = 7, Reason.CONTAMINATION
    NEAR_TEXT = 8, Reason.NEAR_TEXT
    DOMAIN_SHARE = 9, Reason.DOMAIN_SHARE
    FURNITURE = 10, Reason.FURNITURE
    EXCLUDED = 11, Reason.EXCLUDED


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
    """int8 (N,): the `Decision` about each candidate."""
    winner: Indices
    """int64 (N,): the kept candidate whose image represents this one (itself where it is kept),
    else -1."""
    key: FixedBytes
    """S16 (N,): key of the sample, of this or an earlier generation, because of which the candidate
    is dropped: it has the same URL or bytes, a near image or a near caption. Empty for other
    reasons."""
    phash_bits: NDArray[np.int32]
    """int32 (N,): pHash distance to the image of that sample; -1 where no hashes were compared."""
    pdq_bits: NDArray[np.int32]
    """int32 (N,): PDQ distance to the same image; -1 where no hashes were compared."""
    details: dict[int, str]
    """Row to the `detail` of its drop row, where there is one."""

    @classmethod
    def open(cls, rows: int) -> "Decisions":
        """A table of `rows` candidates that nothing has decided about."""
        return cls(
            reason=np.full(rows, Decision.OPEN, np.int8),
            winner=np.full(rows, -1),
            # NumPy strips trailing zeros of fixed-size bytes, so that sixteen of them read as b"",
            # the empty key.
            key=np.zeros(rows, "S16"),
            phash_bits=np.full(rows, -1, np.int32),
            pdq_bits=np.full(rows, -1, np.int32),
            # A dictionary, since few decisions have details.
            details={},
        )

    @property
    def is_open(self) -> Bools:
        """bool (N,): which candidates nothing has decided yet."""
        is_open: Bools = self.reason == Decision.OPEN
        return is_open

    @property
    def kept(self) -> Indices:
        """int64 (K,), ascending: the candidates that are kept."""
        return np.flatnonzero(self.reason == Decision.KEPT)

    def keep(self, rows: Indices) -> None:
        """Keeps the open ones of these rows."""
        # Filtered here and in `drop`, so that no check needs to know what earlier ones decided.
        rows = rows[self.reason[rows] == Decision.OPEN]
        self.reason[rows] = Decision.KEPT
        self.winner[rows] = rows

    def drop(
        self,
        rows: Indices,
        reason: Decision | NDArray[np.int8],
        *,
        winner: Indices | None = None,
        key: FixedBytes | None = None,
        distance: Distances | None = None,
    ) -> None:
        """Drops the open ones of these rows; arrays hold one value for each of `rows`."""
        is_open = self.reason[rows] == Decision.OPEN
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
