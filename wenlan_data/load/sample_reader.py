"""Samples by their place in the epoch: bytes of the members, checked at a set rate. No pixels yet."""

import tarfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from wenlan_data.load.byte_ranges import ByteReader, MappedFiles
from wenlan_data.load.shard_index import Rows, Shard, load_rows
from wenlan_data.load.shuffle import EpochOrder, Shuffle, SourceSize, draws
from wenlan_data.records import Drop
from wenlan_data.shard.format import HEADER_BYTES
from wenlan_data.shard.verify_corpus import header
from wenlan_data.shard.writer import padded_end

Int64s = NDArray[np.int64]
KEPT_TABLES = 64
"""Offsets tables in memory, about 1 MB each for 10,000 samples; a window of the order touches 32 shards at most."""
_CHECK_STREAM = 1


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample as it lies in the tar."""

    key: str
    shard: int
    members: dict[str, memoryview]
    """By extension, lower case."""
    problem: Drop | None = None
    """Set where the bytes are not those that were written."""

    @property
    def bytes(self) -> int:
        """Of the members that were read."""
        return sum(len(data) for data in self.members.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """All that the order of an epoch depends on."""

    sources: tuple[SourceSize, ...]
    seed: int
    epoch: int
    shuffle: Shuffle | None

    def order(self) -> EpochOrder:
        """The order; milliseconds for a million samples."""
        return EpochOrder(self.sources, seed=self.seed, epoch=self.epoch, shuffle=self.shuffle)


@dataclass(slots=True, kw_only=True)
class SampleReader:
    """Reads the samples at given places. Picklable; each worker opens its own files."""

    shards: tuple[Shard, ...]
    epoch: Epoch
    check_share: float = 0.0
    """Of all samples: their checksums, tar headers and padding are held against the offsets table."""
    without: frozenset[str] = frozenset()
    """Extensions that nobody wants; a sample that is checked is checked whole."""
    reader: ByteReader = field(default_factory=MappedFiles)
    _order: EpochOrder | None = field(default=None, repr=False)
    _tables: OrderedDict[int, Rows] = field(default_factory=OrderedDict, repr=False)

    def read(self, places: Int64s) -> list[Encoded]:
        """The samples at `places`, in that order, read shard by shard."""
        if self._order is None:
            self._order = self.epoch.order()
        shards, rows = self._order.rows(places)
        checked = self._checked(places)
        found: list[Encoded | None] = [None] * len(places)
        for shard in np.unique(shards).tolist():
            at = np.flatnonzero(shards == shard)
            samples = self._read_shard(shard, rows[at].tolist(), checked[at].tolist())
            for place, sample in zip(at.tolist(), samples, strict=True):
                found[place] = sample
        return [sample for sample in found if sample is not None]

    def __getstate__(self) -> tuple[object, ...]:
        return (self.shards, self.epoch, self.check_share, self.without, self.reader)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.shards, self.epoch, self.check_share, self.without, self.reader = state  # type: ignore[assignment]
        self._order, self._tables = None, OrderedDict()

    def _checked(self, places: Int64s) -> NDArray[np.bool_]:
        if not self.check_share:
            return np.zeros(len(places), np.bool_)
        chance = draws(
            places, 1, seed=self.epoch.seed, epoch=self.epoch.epoch, stream=_CHECK_STREAM
        )[:, 0]
        return np.asarray(chance < self.check_share)

    def _table(self, shard: int) -> Rows:
        if shard in self._tables:
            self._tables.move_to_end(shard)
            return self._tables[shard]
        while len(self._tables) >= KEPT_TABLES:
            self._tables.popitem(last=False)
        self._tables[shard] = load_rows(self.shards[shard])
        return self._tables[shard]

    def _read_shard(
        self, shard: int, rows: Sequence[int], checked: Sequence[bool]
    ) -> list[Encoded]:
        table, path = self._table(shard), self.shards[shard].path
        wanted = [
            (number, extension, int(table.offset[extension][row]), int(table.size[extension][row]))
            for number, row in enumerate(rows)
            for extension in table.offset
            if (extension not in self.without or checked[number])
            and table.offset[extension][row] >= 0
        ]
        samples = [Encoded(table.keys[row], shard, {}) for row in rows]
        data = self.reader.read(path, [(offset, size) for _, _, offset, size in wanted])
        for (number, extension, _, _), view in zip(wanted, data, strict=True):
            samples[number].members[extension] = view
        for number, row in enumerate(rows):
            if checked[number]:
                problem = self._problem(samples[number], table, row, path)
                samples[number] = Encoded(
                    samples[number].key, shard, samples[number].members, problem
                )
        return samples

    def _problem(self, sample: Encoded, table: Rows, row: int, path: str) -> Drop | None:
        for extension, data in sample.members.items():
            offset, size = int(table.offset[extension][row]), int(table.size[extension][row])
            if google_crc32c.value(bytes(data)) != table.crc32c[extension][row]:
                return Drop(
                    "wrong_bytes", f".{extension} at byte {offset}: not the bytes that were written"
                )
            end = min(padded_end(offset, size), self.shards[sample.shard].bytes)
            head, tail = self.reader.read(
                path, [(offset - HEADER_BYTES, HEADER_BYTES), (offset + size, end - offset - size)]
            )
            if not _is_header(
                bytes(head), f"{sample.key}.{extension}", size, ours=self.shards[sample.shard].ours
            ) or any(tail):
                return Drop(
                    "wrong_header",
                    f".{extension} at byte {offset - HEADER_BYTES}: the tar is damaged here",
                )
        return None


def _is_header(block: bytes, member: str, size: int, *, ours: bool) -> bool:
    if ours:
        return block == header(member, size)
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return entry.isreg() and entry.size == size
