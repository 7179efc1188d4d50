"""How often something stands in the whole corpus: sorted 64-bit hashes and counts in each index folder.

Texts are counted by the different pictures that they stand by, sites (registrable domains) by their samples.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wenlan_data.index.published import COUNTS, HASHES
from wenlan_data.npy import load_array, members, save_array

Hashes = NDArray[np.uint64]
Counts = NDArray[np.int64]


def count_images(pictures: NDArray[np.int64], hashes: Hashes) -> tuple[Hashes, Counts]:
    """Distinct text hashes in order, and with how many different pictures each stands in the pairs given."""
    order = np.lexsort((pictures, hashes))
    ordered, numbers = hashes[order], pictures[order]
    new_text = np.ones(len(ordered), bool)
    new_text[1:] = ordered[1:] != ordered[:-1]
    new_pair = new_text.copy()
    new_pair[1:] |= numbers[1:] != numbers[:-1]
    starts = np.flatnonzero(new_text)
    counts = (
        np.add.reduceat(new_pair, starts, dtype=np.int64) if len(starts) else np.empty(0, np.int64)
    )
    return ordered[starts], counts


def published_counts(
    folders: Sequence[str], hashes: Hashes, names: tuple[str, str] = (HASHES, COUNTS)
) -> Counts:
    """int64 (N,): how often each hash was counted in the index folders given.

    A picture that comes again in a later generation counts again. Raises `DamageError` for a folder that lacks
    the counts.
    """
    total = np.zeros(len(hashes), np.int64)
    for folder in folders:
        known = load_array(Path(folder) / names[0], np.uint64)
        counts = load_array(Path(folder) / names[1], np.int64)
        place, is_there = members(known, hashes)
        total[is_there] += counts[place[is_there]]
    return total


def save_counts(
    folder: Path, hashes: Hashes, counts: Counts, names: tuple[str, str] = (HASHES, COUNTS)
) -> None:
    """Write what `earlier_counts` reads; `hashes` must be sorted."""
    save_array(folder / names[0], hashes)
    save_array(folder / names[1], counts)
