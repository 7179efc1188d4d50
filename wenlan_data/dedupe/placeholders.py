"""What is known of pictures besides their hashes: how many URLs serve them, what they say, whose site they are from."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wenlan_data.arrow import are_equal, rows, whole
from wenlan_data.dedupe.table import Intake
from wenlan_data.index.published import Published

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Pictures that stand for nothing: "hotlink forbidden", "image removed"."""

    sha256: NDArray[np.bytes_]
    """S32 (B,), sorted: all that are known."""
    new: NDArray[np.bytes_]
    """Those found in this generation."""


def placeholders(intake: Intake, published: Published, from_urls: int) -> Placeholders:
    """Pictures whose very bytes `from_urls` or more URLs of the generation serve (0: none), or that once were such."""
    known = published.placeholders()
    new = np.empty(0, "S32")
    if from_urls:
        good = np.flatnonzero(are_equal(intake.facts, "reason", ""))
        digests = cast(
            "pa.DictionaryArray", whole(intake.facts, "sha256").take(rows(good)).dictionary_encode()
        )
        counts = np.bincount(digests.indices.to_numpy(), minlength=len(digests.dictionary))
        often = cast(
            "list[str]",
            digests.dictionary.take(rows(np.flatnonzero(counts >= from_urls))).to_pylist(),
        )
        new = np.unique(np.array([bytes.fromhex(one) for one in often], "S32"))
    return Placeholders(np.union1d(known, new), new)
