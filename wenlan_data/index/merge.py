"""Segments merged like those of a log-structured index: few to search, and each row is rewritten
few times."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wenlan_data.errors import os_errors
from wenlan_data.index import published
from wenlan_data.index.page_sets import PAGE_HASHES, PAGE_KEYS, page_sets
from wenlan_data.index.published import COUNTS, HASHES, SITE_COUNTS, SITE_HASHES
from wenlan_data.npy import ArrayWriter, load_any, save_array, value_ranges

MERGE_ROWS = 1 << 18

Array = NDArray[np.generic]
Combine = Callable[[list[Array]], list[Array]]


def segments_to_merge(sizes: Sequence[int], own: int) -> int:
    """How many of the last segments, of these sizes in rows, are merged with a new one of `own`
    rows.

    Merging continues while the segment before is no larger: G equal generations leave at most
    log2(G) + 1 segments, and no row is written more often than that.
    """
    count, size = 0, own
    # A segment is merged only into at least twice its rows, hence the logarithm.
    while count < len(sizes) and sizes[-1 - count] <= size:
        count += 1
        size += sizes[-count]
    return count


def merge_segments(folders: Sequence[Path], out: Path) -> None:
    """Merges the segments of several folders, oldest first, into the folder `out`. `MERGE_ROWS`
    bounds the memory."""
    names = (
        published.PHASH,
        published.PDQ,
        published.SHA256,
        published.KEYS,
        published.GENERATIONS,
        published.COLOURS,
    )
    _merge(folders, out, names, _by_code_and_key)
    # A published sample never changes, so the oldest key of a URL is right. Of fetches without a
    # sample the last is: a retry is newer.
    _merge(folders, out, (published.URL_HASHES, published.URL_KEYS), _first)
    _merge(
        folders, out, (published.URLS_WITHOUT_SAMPLE, published.URLS_WITHOUT_SAMPLE_PARTS), _last
    )
    _merge(folders, out, (HASHES, COUNTS), _summed)
    _merge(folders, out, (SITE_HASHES, SITE_COUNTS), _summed)
    _merge(folders, out, (PAGE_KEYS, PAGE_HASHES), _united)
    index = published.PublishedIndex(tuple(str(folder) for folder in folders))
    save_array(out / published.PLACEHOLDERS, index.placeholders())
    save_array(out / published.FURNITURE, index.furniture())


def _merge(folders: Sequence[Path], out: Path, names: Sequence[str], combine: Combine) -> None:
    tables = [[load_any(folder / name) for name in names] for folder in folders]
    writers = [ArrayWriter(out / name) for name in names]
    # Cut at common values, so that all rows of one hash are in one piece and can be combined there.
    for cut in value_ranges([table[0] for table in tables], MERGE_ROWS):
        piece = [
            np.concatenate([table[column][rows] for table, rows in zip(tables, cut, strict=True)])
            for column in range(len(names))
        ]
        for writer, column in zip(writers, combine(piece), strict=True):
            writer.append(column)
    for writer in writers:
        writer.close()


def _by_code_and_key(columns: list[Array]) -> list[Array]:
    # The order in which `save_index` writes: a merged segment looks like any other.
    order = np.lexsort((columns[3], columns[0]))
    return [column[order] for column in columns]


def _first(columns: list[Array]) -> list[Array]:
    order = np.argsort(columns[0], kind="stable")
    ordered = [column[order] for column in columns]
    is_first = np.append(True, ordered[0][1:] != ordered[0][:-1])[: len(order)]
    return [column[is_first] for column in ordered]


def _last(columns: list[Array]) -> list[Array]:
    order = np.argsort(columns[0], kind="stable")
    ordered = [column[order] for column in columns]
    is_last = np.append(ordered[0][1:] != ordered[0][:-1], True)[: len(order)]
    return [column[is_last] for column in ordered]


def _summed(columns: list[Array]) -> list[Array]:
    hashes, place = np.unique(columns[0], return_inverse=True)
    counts = np.zeros(len(hashes), np.int64)
    # Unbuffered: a hash that several segments have is repeated in `place`.
    np.add.at(counts, place, columns[1])
    return [hashes, counts]


def _united(columns: list[Array]) -> list[Array]:
    sets, _ = page_sets(columns[0].astype(np.uint64), columns[1].astype(np.uint64))
    return [sets.keys, sets.pages]


def merge_last(folders: Sequence[Path], own: Path) -> int:
    """Merges the last `segments_to_merge` of the published `folders` into the new segment `own`.

    Returns their number, which depends on the sizes alone.
    """
    count = segments_to_merge([size_of(folder) for folder in folders], size_of(own))
    if count:
        # Beside the segment, inside the part that is being written: a build that is killed here
        # discards the whole part, so the two steps below need not be atomic.
        merged = own.with_name(own.name + "-merged")
        with os_errors(own):
            merged.mkdir()
            merge_segments([*folders[len(folders) - count :], own], merged)
            shutil.rmtree(own)
            merged.rename(own)
    return count


def size_of(folder: Path) -> int:
    """Rows of all tables of a segment."""
    first = (published.PHASH, published.URL_HASHES, published.URLS_WITHOUT_SAMPLE, HASHES)
    return sum(len(load_any(folder / name)) for name in first)
