"""How many pictures each text stands by, over the whole corpus: sorted 64-bit text hashes and counts a generation."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wenlan_data.dedupe.codes import load_array, save_array

HASHES, COUNTS = "text-hashes.npy", "text-counts.npy"
BATCH_ROWS = 1 << 16

Hashes = NDArray[np.uint64]


def text_hashes(texts: pa.StringArray) -> Hashes:
    """uint64 (N,): the first 8 bytes of each text's BLAKE2b, big-endian; its type does not count."""
    hashes = np.empty(len(texts), np.uint64)
    for start in range(0, len(texts), BATCH_ROWS):
        words = cast("list[str]", texts.slice(start, BATCH_ROWS).to_pylist())
        raw = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
        hashes[start : start + len(words)] = np.frombuffer(raw, ">u8")
    return hashes


def count_pictures(pictures: NDArray[np.int64], hashes: Hashes) -> tuple[Hashes, NDArray[np.int64]]:
    """Distinct text hashes in order, and with how many different pictures each stands in the pairs given."""
    order = np.lexsort((pictures, hashes))
    ordered, numbers = hashes[order], pictures[order]
    new_text = np.ones(len(ordered), bool)
    new_text[1:] = ordered[1:] != ordered[:-1]
    new_pair = new_text.copy()
    new_pair[1:] |= numbers[1:] != numbers[:-1]
    starts = np.flatnonzero(new_text)
    counts = np.add.reduceat(new_pair, starts, dtype=np.int64) if len(starts) else np.empty(0, np.int64)
    return ordered[starts], counts


def earlier_counts(folders: Sequence[str], hashes: Hashes) -> NDArray[np.int64]:
    """int64 (N,): with how many pictures each hash was seen in the generations whose index folders are given.

    A picture that comes again in a later generation counts again. Raises `DamageError` for a folder that lacks
    the counts.
    """
    total = np.zeros(len(hashes), np.int64)
    for folder in folders:
        known, counts = load_array(Path(folder) / HASHES, np.uint64), load_array(Path(folder) / COUNTS, np.int64)
        if len(known):
            place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            total += np.where(known[place] == hashes, counts[place], 0)
    return total


def save_counts(folder: Path, hashes: Hashes, counts: NDArray[np.int64]) -> None:
    """Write what `earlier_counts` reads; `hashes` must be sorted."""
    save_array(folder / HASHES, hashes)
    save_array(folder / COUNTS, counts)
