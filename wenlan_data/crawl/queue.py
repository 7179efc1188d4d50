"""Merges waiting and newly found pages into one stream by depth, each page once.

Memory holds ids, not URLs: a waiting page costs 26 bytes, so that millions fit. Rows are read from
Parquet, a batch at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.arrow import read_table
from wenlan_data.npy import Bools, FixedBytes, Indices, load_array
from wenlan_data.part_files import checked
from wenlan_data.seen_ids import SeenIds, candidate_id, ids_array
from wenlan_data.tables import FRONTIER

BATCH_ROWS = 1 << 16
WAITING, WAITING_IDS = "waiting.parquet", "waiting.npy"

Depths = np.ndarray[tuple[int], np.dtype[np.int16]]
Batches = Callable[[], Iterator[pa.Table]]


@dataclass(frozen=True, slots=True)
class FrontierBatch:
    """Rows of `tables.FRONTIER`, all of one depth, and their ids."""

    rows: pa.Table
    ids: FixedBytes


def ids_of(rows: pa.Table) -> FixedBytes:
    """S16 (N) of the pages' keys."""
    return ids_array(candidate_id(key, ()) for key in rows["url_key"].to_pylist())


def read_batches(path: Path) -> Iterator[pa.Table]:
    """Yields the rows of a file in tables of at most `BATCH_ROWS`."""
    with pq.ParquetFile(checked(path)) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch]).cast(FRONTIER)


def merged(before: str, found: Sequence[Batches], requested: SeenIds) -> Iterator[FrontierBatch]:
    """Yields pages by depth, in each depth those that wait in the folder `before`, then new ones.

    Pages whose ids are in `requested` are left out. Of a page that was found several times, the row
    with the smallest depth is kept, of equal depths the first.
    """
    waiting = _WaitingPages.load(before)
    new = _NewPages(found, requested, waiting)
    old = waiting.batches()
    batch = next(old, None)
    for depth in sorted({*waiting.depths.tolist(), *new.depths[new.kept].tolist()}):
        while batch is not None and batch.rows["depth"][0].as_py() == depth:
            yield batch
            batch = next(old, None)
        yield from new.batches(depth)


@dataclass(slots=True)
class _WaitingPages:
    """The pages that the last round left in the queue."""

    path: Path | None
    ids: FixedBytes
    depths: Depths
    left: Bools
    """bool (N): rows that were not found at a smaller depth since."""
    order: Indices = field(init=False)

    def __post_init__(self) -> None:
        self.order = np.argsort(self.ids)

    @classmethod
    def load(cls, before: str) -> "_WaitingPages":
        if not before:
            return cls(None, np.empty(0, "S16"), np.empty(0, np.int16), np.empty(0, np.bool_))
        folder = Path(before)
        ids = np.array(load_array(folder / WAITING_IDS, np.bytes_))
        depths = read_table(folder / WAITING, ["depth"])["depth"].to_numpy()
        return cls(folder / WAITING, ids, depths, np.ones(len(ids), np.bool_))

    def not_nearer(self, ids: FixedBytes, depths: Depths) -> Bools:
        """bool (N): which pages wait already at the same or a smaller depth.

        Those that wait at a larger depth are removed from the queue: the new row replaces them.
        """
        if not len(self.ids) or not len(ids):
            return np.zeros(len(ids), np.bool_)
        places = np.minimum(np.searchsorted(self.ids, ids, sorter=self.order), len(self.ids) - 1)
        rows = self.order[places]
        same = self.ids[rows] == ids
        nearer = same & (depths < self.depths[rows])
        self.left[rows[nearer]] = False
        found: Bools = same & ~nearer
        return found

    def batches(self) -> Iterator[FrontierBatch]:
        start = 0
        for rows in read_batches(self.path) if self.path else ():
            stop = start + rows.num_rows
            depths, left = self.depths[start:stop], self.left[start:stop]
            for depth in np.unique(depths).tolist():
                mask = (depths == depth) & left
                if mask.any():
                    yield FrontierBatch(rows.filter(pa.array(mask)), self.ids[start:stop][mask])
            start = stop


class _NewPages:
    """The pages that the last round found."""

    def __init__(
        self, found: Sequence[Batches], requested: SeenIds, waiting: _WaitingPages
    ) -> None:
        self._found = found
        ids, depths = [np.empty(0, "S16")], [np.empty(0, np.int16)]
        for rows in self._read():
            ids.append(ids_of(rows))
            depths.append(rows["depth"].to_numpy())
        self._ids: FixedBytes = np.concatenate(ids)
        self.depths: Depths = np.concatenate(depths)
        self.kept = _nearest(self._ids, self.depths)
        for leave in (lambda ids, _: requested.contains(ids), waiting.not_nearer):
            at = np.flatnonzero(self.kept)
            self.kept[at] = ~leave(self._ids[at], self.depths[at])

    def batches(self, depth: int) -> Iterator[FrontierBatch]:
        wanted = self.kept & (self.depths == depth)
        start = 0
        for rows in self._read() if wanted.any() else ():
            mask = wanted[start : start + rows.num_rows]
            if mask.any():
                yield FrontierBatch(
                    rows.filter(pa.array(mask)), self._ids[start : start + rows.num_rows][mask]
                )
            start += rows.num_rows

    def _read(self) -> Iterator[pa.Table]:
        for batches in self._found:
            yield from batches()


def _nearest(ids: FixedBytes, depths: Depths) -> Bools:
    kept = np.zeros(len(ids), np.bool_)
    if len(ids):
        halves = ids.view(">u8").reshape(-1, 2)
        order = np.lexsort((depths, halves[:, 1], halves[:, 0]))
        ordered = halves[order]
        first = np.ones(len(ids), np.bool_)
        first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        kept[order[first]] = True
    return kept
