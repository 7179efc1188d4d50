"""Near captions: MinHash names candidates, the exact Jaccard similarity decides.

Texts are compared by their pairs of neighbouring characters, spaces and punctuation left out.
`text_filter` passes the captions that are left and drops what is found; `write` saves the captions
of kept images for later generations.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rensa

from wenlan_data.arrow import read_table, to_strings
from wenlan_data.dedupe.hamming.pairs import expand_spans
from wenlan_data.dedupe.text_hashes import plain
from wenlan_data.errors import os_errors
from wenlan_data.npy import Codes, FixedBytes, Indices, load_array, save_array

# Published band hashes are compared with new ones: with another seed no later caption would find a
# published one.
PERMUTATIONS, SEED = 128, 20210311
MIN_RECALL = 0.99
"""Of pairs exactly at the bound; more similar pairs are found with a higher probability."""
BANDS, ROWS, CAPTIONS = "caption-bands.npy", "caption-rows.npy", "captions.parquet"
BATCH_TEXTS = 1 << 14


def shingles(text: str) -> frozenset[str]:
    """Pairs of neighbouring letters and digits of any script; a single character counts as one."""
    letters = plain(text)
    if len(letters) < 2:
        return frozenset([letters] if letters else [])
    return frozenset(letters[start : start + 2] for start in range(len(letters) - 1))


def similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Jaccard similarity: the size of the intersection by that of the union; 0 for two empty
    sets."""
    both = len(left & right)
    return both / (len(left) + len(right) - both) if left or right else 0.0


def band_rows(bound: float) -> int:
    """MinHash values in a band, so that a pair at the bound shares a band with probability
    `MIN_RECALL`."""
    # Two texts agree in one value with a probability that is their similarity, hence in a band with
    # that to the power of `rows`. More rows give fewer false candidates, so the largest number with
    # enough recall is taken: 8 at a bound of 0.9, 4 at 0.8.
    for rows in (16, 8, 4, 2):
        if 1 - (1 - bound**rows) ** (PERMUTATIONS // rows) >= MIN_RECALL:
            return rows
    return 1


def band_hashes(texts: Sequence[str], bound: float) -> Codes:
    """uint64 (N, B): a hash of each band; texts without a letter get numbers of their own, and so
    no neighbour."""
    rows = band_rows(bound)
    found = np.empty((len(texts), PERMUTATIONS // rows), np.uint64)
    for start in range(0, len(texts), BATCH_TEXTS):
        sets = [sorted(shingles(text)) for text in texts[start : start + BATCH_TEXTS]]
        digest = rensa.RMinHash.digest_matrix_from_token_sets(sets, PERMUTATIONS, SEED).to_rows()
        values = np.array(digest, np.uint64).reshape(len(sets), -1, rows)
        # The values of a band are folded into one hash by multiplying (uint64 wraps around). The
        # number of the band goes in first: published bands lie in one array, where equal values of
        # different bands must not meet.
        mixed = np.full(values.shape[:2], 0x9E3779B97F4A7C15, np.uint64)
        mixed += np.arange(values.shape[1], dtype=np.uint64) << np.uint64(40)
        for column in range(rows):
            mixed = (mixed ^ values[:, :, column]) * np.uint64(0xFF51AFD7ED558CCD)
            mixed ^= mixed >> np.uint64(29)
        empty = np.array([not one for one in sets])
        # If texts without a letter had one hash in common, all would be candidates for each other:
        # quadratically many pairs, none of which is similar.
        mixed[empty] = start + np.flatnonzero(empty)[:, None] + (np.uint64(1) << np.uint64(63))
        found[start : start + len(sets)] = mixed
    return found


def near_captions(texts: Sequence[str], bound: float) -> Indices:
    """int64 (E, 2): pairs of texts whose similarity is at least `bound`, each pair once or more."""
    bands = band_hashes(texts, bound)
    sets = _Shingles(texts)
    edges = [np.empty((0, 2), np.int64)]
    for column in range(bands.shape[1]):
        order = np.argsort(bands[:, column], kind="stable")
        ordered = bands[order, column]
        stops = np.searchsorted(ordered, ordered, side="right")
        # Each text with those after it in its run of equal hashes: n of them make n(n - 1)/2 pairs.
        after = np.arange(1, len(order) + 1)
        for i, j in expand_spans(after, stops - after):
            edges.append(_similar(order[i], order[j], sets, sets, bound))
    return np.concatenate(edges)


def near_published_captions(
    texts: Sequence[str], folders: Sequence[str], bound: float
) -> FixedBytes:
    """S16 (N,): the key of a near text in the first published generation with one; empty for none.

    Of several near texts, the smallest key among those in the first band with any.
    """
    bands, sets = band_hashes(texts, bound), _Shingles(texts)
    first, keys = np.full(len(texts), -1), np.zeros(len(texts), "S16")
    for number, folder in enumerate(folders):
        known = load_array(Path(folder) / BANDS, np.uint64)
        row = load_array(Path(folder) / ROWS, np.uint32)
        table = read_table(Path(folder) / CAPTIONS, ["key", "caption"])
        theirs = _Shingles(to_strings(table["caption"]))
        their_keys = np.array(table["key"].to_pylist(), "S16")
        for column in range(bands.shape[1]):
            begin = np.searchsorted(known, bands[:, column], side="left")
            # A text that an earlier generation or an earlier band matched is done.
            counts = np.where(
                first < 0, np.searchsorted(known, bands[:, column], side="right") - begin, 0
            )
            for i, place in expand_spans(begin, counts):
                for text, published in _similar(
                    i, row[place].astype(np.int64), sets, theirs, bound
                ).tolist():
                    if first[text] < 0 or (
                        first[text] == number and their_keys[published] < keys[text]
                    ):
                        first[text], keys[text] = number, their_keys[published]
    return keys


def save_captions(folder: Path, keys: FixedBytes, texts: Sequence[str], bound: float) -> None:
    """Writes the captions and band hashes that `near_published_captions` reads."""
    with os_errors(folder):
        folder.mkdir(exist_ok=True)
        table = pa.table(
            {"key": pa.array(keys.tolist(), pa.binary()), "caption": pa.array(texts, pa.string())}
        )
        pq.write_table(table, folder / CAPTIONS, compression="zstd")
    bands = band_hashes(texts, bound)
    # Sorted once here, so that later generations map the file and find each band by binary search.
    order = np.argsort(bands.ravel(), kind="stable")
    save_array(folder / BANDS, bands.ravel()[order])
    # `ravel` goes row by row, so this is the text that a band hash belongs to.
    save_array(folder / ROWS, (order // bands.shape[1]).astype(np.uint32))


class _Shingles:
    """The shingles of texts, computed on first use."""

    def __init__(self, texts: Sequence[str]) -> None:
        # Only texts that share a band with another are compared: the sets of all others are not
        # held.
        self._texts = texts
        self._made: dict[int, frozenset[str]] = {}

    def __getitem__(self, number: int) -> frozenset[str]:
        if number not in self._made:
            self._made[number] = shingles(self._texts[number])
        return self._made[number]


def _similar(i: Indices, j: Indices, left: _Shingles, right: _Shingles, bound: float) -> Indices:
    pairs: Iterator[tuple[int, int]] = zip(i.tolist(), j.tolist(), strict=True)
    similar = [pair for pair in pairs if similarity(left[pair[0]], right[pair[1]]) >= bound]
    return np.array(similar, np.int64).reshape(-1, 2)
