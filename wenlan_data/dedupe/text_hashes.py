"""64-bit hashes of texts."""

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from wenlan_data.arrow import to_strings
from wenlan_data.npy import Codes

BATCH_ROWS = 1 << 16


def plain(text: str) -> str:
    """Reduces a text to its letters and digits, case folded, for comparison."""
    return "".join(one for one in text.casefold() if unicodedata.category(one)[0] in "LNM")


def plain_hashes(texts: pa.StringArray) -> Codes:
    """uint64 (N,): the hashes of the texts reduced by `plain`."""
    return hashes_of([plain(one) for one in to_strings(texts)])


def text_hashes(texts: pa.StringArray) -> Codes:
    """uint64 (N,): the first 8 bytes of the BLAKE2b of each text, big-endian."""
    hashes = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), BATCH_ROWS):
        words = to_strings(texts.slice(start, BATCH_ROWS))
        hashes[start : start + len(words)] = hashes_of(words)
    return hashes


def hashes_of(words: Sequence[str]) -> Codes:
    """uint64 (N,): `text_hashes` of a list."""
    # Not `hash`, which differs between processes: counts of these hashes are kept for later builds.
    raw = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(raw, ">u8").astype(np.uint64)
