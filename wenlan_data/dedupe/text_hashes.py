"""64-bit hashes of texts."""

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wenlan_data.dedupe.frequency import Hashes

BATCH_ROWS = 1 << 16


def plain(text: str) -> str:
    """What a text is compared by: letters and digits only, case folded."""
    return "".join(one for one in text.casefold() if unicodedata.category(one)[0] in "LNM")


def plain_hashes(texts: pa.StringArray) -> NDArray[np.uint64]:
    """uint64 (N,): what texts are compared by, hashed."""
    return hashes_of([plain(one) for one in cast("list[str]", texts.to_pylist())])


def text_hashes(texts: pa.StringArray) -> Hashes:
    """uint64 (N,): the first 8 bytes of each text's BLAKE2b, big-endian; its type does not count."""
    hashes = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), BATCH_ROWS):
        words = cast("list[str]", texts.slice(start, BATCH_ROWS).to_pylist())
        hashes[start : start + len(words)] = hashes_of(words)
    return hashes


def hashes_of(words: Sequence[str]) -> Hashes:
    """uint64 (N,): the same for a list."""
    raw = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(raw, ">u8").astype(np.uint64)
