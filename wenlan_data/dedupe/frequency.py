"""Frequencies in the whole corpus: sorted 64-bit hashes and counts in each index folder.

The count of a text is the number of different images that have it, that of a registrable domain the
number of its samples.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wenlan_data.index.published import COUNTS, HASHES
from wenlan_data.npy import Codes, Indices, load_array, members, save_array


def count_images(images: Indices, hashes: Codes) -> tuple[Codes, Indices]:
    """Returns the distinct text hashes in order, and how many different images each has in the
    pairs given."""
    # Sorted by text, then image, the rows of one text are a run, and those of one of its images a
    # run inside it. Then the first rows of the inner runs, summed, count the images.
    order = np.lexsort((images, hashes))
    ordered, numbers = hashes[order], images[order]
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
    folders: Sequence[str], hashes: Codes, names: tuple[str, str] = (HASHES, COUNTS)
) -> Indices:
    """int64 (N,): the sum of the counts of each hash in the index folders.

    An image that a later generation fetches again counts again. Raises `DamageError` for a folder
    that lacks the counts.
    """
    total = np.zeros(len(hashes), np.int64)
    for folder in folders:
        known = load_array(Path(folder) / names[0], np.uint64)
        counts = load_array(Path(folder) / names[1], np.int64)
        place, is_there = members(known, hashes)
        # A mask names each row once; with repeated indices `+=` would add only one of the counts.
        total[is_there] += counts[place[is_there]]
    return total


def save_counts(
    folder: Path, hashes: Codes, counts: Indices, names: tuple[str, str] = (HASHES, COUNTS)
) -> None:
    """Writes the counts that `published_counts` reads; `hashes` must be sorted."""
    save_array(folder / names[0], hashes)
    save_array(folder / names[1], counts)
