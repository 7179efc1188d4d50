"""How the loader found samples before there was an index, for comparison: whole offsets tables in
Python lists, and the page of every sample of the corpus in two sorted arrays.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wenlan_data.bounded_tables import read_batches
from wenlan_data.load.node_shares import ShareOrders
from wenlan_data.load.sample_reader import EpochSpec
from wenlan_data.load.shard_index import Shard
from wenlan_data.shard.index import read_offsets
from wenlan_data.shard.sample_index import first_64_bits, page_id

MAX_OFFSET_TABLES = 64
PAGE_COLUMNS = pa.schema([("key", pa.string()), ("page_url", pa.string())])
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardOffsets:
    """Byte ranges of all members of a shard, by extension."""

    keys: list[str]
    offset: dict[str, Numbers]
    size: dict[str, Numbers]
    crc32c: dict[str, Numbers]


@dataclass(slots=True, kw_only=True)
class TableReader:
    """Finds samples by their index in the epoch, in the offsets tables."""

    shards: tuple[Shard, ...]
    epoch: EpochSpec
    _order: ShareOrders | None = None
    _tables: OrderedDict[int, ShardOffsets] = field(default_factory=OrderedDict)

    def locate(self, indices: Numbers) -> list[tuple[str, list[tuple[str, int, int]]]]:
        """Returns key and ranges of each sample, by shard."""
        if self._order is None:
            self._order = self.epoch.order()
        shards, rows = self._order.rows(indices)
        found = []
        for shard in np.unique(shards).tolist():
            table = self._table(shard)
            for row in rows[np.flatnonzero(shards == shard)].tolist():
                ranges = [
                    (name, int(table.offset[name][row]), int(table.size[name][row]))
                    for name in table.offset
                    if table.offset[name][row] >= 0
                ]
                found.append((table.keys[row], ranges))
        return found

    def _table(self, shard: int) -> ShardOffsets:
        if shard in self._tables:
            self._tables.move_to_end(shard)
            return self._tables[shard]
        while len(self._tables) >= MAX_OFFSET_TABLES:
            self._tables.popitem(last=False)
        self._tables[shard] = load_shard_offsets(Path(self.shards[shard].source.offsets))
        return self._tables[shard]


def load_shard_offsets(path: Path) -> ShardOffsets:
    """Loads the offsets table of a shard whose keys have one length."""
    table = read_offsets(path)
    keys, members = table["key"].combine_chunks(), table["member"].combine_chunks()
    changes = pc.not_equal(keys[1:], keys[:-1]).cast(pa.uint8())
    starts = np.append(0, 1 + np.flatnonzero(_numbers(changes)))
    sample = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(keys))))
    first = pa.Array.from_buffers(pa.int64(), len(starts), [None, pa.py_buffer(starts)])
    offsets = ShardOffsets(keys.take(first).to_pylist(), {}, {}, {})
    length = pc.unique(pc.utf8_length(keys))[0].as_py()
    cut = pc.utf8_lower(pc.utf8_slice_codeunits(members, length + 1))
    extensions = pc.dictionary_encode(cut)
    columns = [_numbers(table[name].combine_chunks()) for name in ("offset", "size", "crc32c")]
    for code, extension in enumerate(extensions.dictionary.to_pylist()):
        chosen = _numbers(extensions.indices) == code
        for by_extension, column in zip(
            (offsets.offset, offsets.size, offsets.crc32c), columns, strict=True
        ):
            by_sample = np.full(len(offsets.keys), -1, np.int64)
            by_sample[sample[chosen]] = column[chosen]
            by_extension[extension] = by_sample
    return offsets


class PageMap:
    """The page id of every sample."""

    def __init__(self, tables: Sequence[Path]) -> None:
        ids, pages = [], []
        for path in tables:
            for batch in read_batches(path, PAGE_COLUMNS):
                ids.append(_ids(batch["key"].to_pylist()))
                urls = batch["page_url"].to_pylist()
                pages.append(np.array([page_id(url) for url in urls], np.int64))
        joined, joined_pages = np.concatenate(ids), np.concatenate(pages)
        order = np.argsort(joined)
        self._ids, self._pages = joined[order], joined_pages[order]

    def page_ids(self, keys: Sequence[str]) -> Numbers:
        """Returns the pages of the samples with these keys."""
        ids = _ids(keys)
        rows = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        return np.where(self._ids[rows] == ids, self._pages[rows], 0)


def _ids(keys: Sequence[str]) -> Numbers:
    return np.array([first_64_bits(key) for key in keys], np.int64)


def _numbers(column: pa.Array) -> NDArray[np.generic]:
    return np.asarray(np.from_dlpack(column))
