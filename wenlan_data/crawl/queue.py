"""What waits and what was found anew as one stream by depth, each page once; memory holds ids, not addresses.

A waiting page costs 26 bytes here, so that millions fit; their rows are read from Parquet, a batch at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.seen_ids import SeenIds, candidate_id, ids_array
from wenlan_data.tables import FRONTIER

BATCH_ROWS = 1 << 16
WAITING, WAITING_IDS = "waiting.parquet", "waiting.npy"

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
Depths = np.ndarray[tuple[int], np.dtype[np.int16]]
Ids = np.ndarray[tuple[int], np.dtype[np.bytes_]]
Batches = Callable[[], Iterator[pa.Table]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of `tables.FRONTIER`, all of one depth, and their ids."""

    rows: pa.Table
    ids: Ids


def ids_of(rows: pa.Table) -> Ids:
    """S16 (N) of the pages' keys."""
    return ids_array(candidate_id(key, ()) for key in rows["url_key"].to_pylist())


def read_batches(path: Path) -> Iterator[pa.Table]:
    """The rows of a file, some at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield pa.Table.from_batches([batch]).cast(FRONTIER)


def merged(before: str, found: Sequence[Batches], asked: SeenIds) -> Iterator[Batch]:
    """By depth, and in each depth what waits in the folder `before`, then what is new; no page that was asked.

    Of a page that was found twice the nearest row stays, of rows as near the first.
    """
    waiting = _Waiting.load(before)
    new = _New(found, asked, waiting)
    old = waiting.batches()
    batch = next(old, None)
    for depth in sorted({*waiting.depths.tolist(), *new.depths[new.kept].tolist()}):
        while batch is not None and batch.rows["depth"][0].as_py() == depth:
            yield batch
            batch = next(old, None)
        yield from new.batches(depth)


@dataclass(slots=True)
class _Waiting:
    """The queue that the last round left."""

    path: Path | None
    ids: Ids
    depths: Depths
    left: Mask
    """Which rows were not found nearer since."""
    order: "np.ndarray[tuple[int], np.dtype[np.int64]]" = field(init=False)

    def __post_init__(self) -> None:
        self.order = np.argsort(self.ids)

    @classmethod
    def load(cls, before: str) -> "_Waiting":
        if not before:
            return cls(None, np.empty(0, "S16"), np.empty(0, np.int16), np.empty(0, np.bool_))
        folder = Path(before)
        ids = np.load(folder / WAITING_IDS, allow_pickle=False)
        depths = pq.read_table(folder / WAITING, columns=["depth"])["depth"].to_numpy()
        return cls(folder / WAITING, ids, depths, np.ones(len(ids), np.bool_))

    def not_nearer(self, ids: Ids, depths: Depths) -> Mask:
        """Which of these wait already, as near or nearer; those that wait farther off are taken out of the queue."""
        if not len(self.ids) or not len(ids):
            return np.zeros(len(ids), np.bool_)
        places = np.minimum(np.searchsorted(self.ids, ids, sorter=self.order), len(self.ids) - 1)
        rows = self.order[places]
        same = self.ids[rows] == ids
        nearer = same & (depths < self.depths[rows])
        self.left[rows[nearer]] = False
        found: Mask = same & ~nearer
        return found

    def batches(self) -> Iterator[Batch]:
        start = 0
        for rows in read_batches(self.path) if self.path else ():
            stop = start + rows.num_rows
            depths, left = self.depths[start:stop], self.left[start:stop]
            for depth in np.unique(depths).tolist():
                mask = (depths == depth) & left
                if mask.any():
                    yield Batch(rows.filter(pa.array(mask)), self.ids[start:stop][mask])
            start = stop


class _New:
    """What the last round found."""

    def __init__(self, found: Sequence[Batches], asked: SeenIds, waiting: _Waiting) -> None:
        self._found = found
        ids, depths = [np.empty(0, "S16")], [np.empty(0, np.int16)]
        for rows in self._read():
            ids.append(ids_of(rows))
            depths.append(rows["depth"].to_numpy())
        self._ids: Ids = np.concatenate(ids)
        self.depths: Depths = np.concatenate(depths)
        self.kept = _nearest(self._ids, self.depths)
        for leave in (lambda one, _: asked.contains(one), waiting.not_nearer):
            at = np.flatnonzero(self.kept)
            self.kept[at] = ~leave(self._ids[at], self.depths[at])

    def batches(self, depth: int) -> Iterator[Batch]:
        wanted = self.kept & (self.depths == depth)
        start = 0
        for rows in self._read() if wanted.any() else ():
            mask = wanted[start : start + rows.num_rows]
            if mask.any():
                yield Batch(
                    rows.filter(pa.array(mask)), self._ids[start : start + rows.num_rows][mask]
                )
            start += rows.num_rows

    def _read(self) -> Iterator[pa.Table]:
        for batches in self._found:
            yield from batches()


def _nearest(ids: Ids, depths: Depths) -> Mask:
    kept = np.zeros(len(ids), np.bool_)
    if len(ids):
        halves = ids.view(">u8").reshape(-1, 2)
        order = np.lexsort((depths, halves[:, 1], halves[:, 0]))
        ordered = halves[order]
        first = np.ones(len(ids), np.bool_)
        first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        kept[order[first]] = True
    return kept
