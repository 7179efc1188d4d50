"""Reads samples by their index in the epoch: bytes of the members, of which a share is verified."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import google_crc32c
import numpy as np

from wenlan_data.load.byte_ranges import ByteReader, MappedFiles
from wenlan_data.load.node_shares import NodeShares, ShareOrders
from wenlan_data.load.shard_index import Shard, ShardOffsets, load_shard_offsets
from wenlan_data.load.shuffle import (
    DrawStream,
    ShuffleSettings,
    uniform_draws,
)
from wenlan_data.npy import Bools, Indices
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.shard.format import HEADER_BYTES
from wenlan_data.shard.reader import MAX_MEMBER_BYTES
from wenlan_data.shard.tar_entries import header_matches
from wenlan_data.shard.verify_corpus import header
from wenlan_data.shard.writer import padded_end

# About 1 MB per table of 10,000 samples. A window of the default order touches at most 32 shards,
# and a batch at most two windows.
MAX_OFFSET_TABLES = 64


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """A sample as stored in the tar."""

    key: str
    shard: int
    members: dict[str, memoryview]
    """By extension, lower case."""
    problem: Drop | None = None
    """Why the stored bytes failed verification."""

    @property
    def bytes(self) -> int:
        """Size of the members."""
        return sum(len(data) for data in self.members.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSpec:
    """Everything that the order of an epoch depends on. Small, so that it is cheap to pickle."""

    shares: NodeShares
    seed: int
    epoch: int
    shuffle: ShuffleSettings | None

    def order(self) -> ShareOrders:
        """Returns the order, which takes milliseconds for a million samples when it is used."""
        return ShareOrders(self.shares, seed=self.seed, epoch=self.epoch, shuffle=self.shuffle)


@dataclass(slots=True, kw_only=True)
class SampleReader:
    """Reads samples by their index in the epoch. Picklable; every worker opens its own files."""

    shards: tuple[Shard, ...]
    epoch: EpochSpec
    check_share: float = 0.0
    """Share of the samples whose checksums, tar headers and padding are verified."""
    reader: ByteReader = field(default_factory=MappedFiles)
    _order: ShareOrders | None = field(default=None, repr=False)
    _tables: OrderedDict[int, ShardOffsets] = field(default_factory=OrderedDict, repr=False)

    def set_epoch(self, epoch: int) -> None:
        """Reads samples of another epoch from now on."""
        if epoch != self.epoch.epoch:
            self.epoch, self._order = replace(self.epoch, epoch=epoch), None

    def read(self, indices: Indices) -> list[EncodedSample]:
        """Returns the samples at `indices`, in that order. Reads shard by shard."""
        if self._order is None:
            self._order = self.epoch.order()
        shards, rows = self._order.rows(indices)
        checked = self._checked(indices)
        found: list[EncodedSample | None] = [None] * len(indices)
        for shard in np.unique(shards).tolist():
            at = np.flatnonzero(shards == shard)
            samples = self._read_shard(shard, rows[at].tolist(), checked[at].tolist())
            for position, sample in zip(at.tolist(), samples, strict=True):
                found[position] = sample
        return [sample for sample in found if sample is not None]

    def __reduce__(self) -> tuple[Callable[[], "SampleReader"], tuple[()]]:
        # Without the order and the tables, which every worker builds when it needs them.
        copy = partial(
            SampleReader,
            shards=self.shards,
            epoch=self.epoch,
            check_share=self.check_share,
            reader=self.reader,
        )
        return copy, ()

    def _checked(self, indices: Indices) -> Bools:
        if not self.check_share:
            return np.zeros(len(indices), np.bool_)
        # Drawn by index, so that the same samples are checked whatever the ranks and workers.
        draw = uniform_draws(
            indices, 1, seed=self.epoch.seed, epoch=self.epoch.epoch, stream=DrawStream.CHECK
        )[:, 0]
        return np.asarray(draw < self.check_share)

    def _table(self, shard: int) -> ShardOffsets:
        if shard in self._tables:
            self._tables.move_to_end(shard)
            return self._tables[shard]
        while len(self._tables) >= MAX_OFFSET_TABLES:
            self._tables.popitem(last=False)
        self._tables[shard] = load_shard_offsets(self.shards[shard])
        return self._tables[shard]

    def _read_shard(
        self, shard: int, rows: Sequence[int], checked: Sequence[bool]
    ) -> list[EncodedSample]:
        table, path = self._table(shard), self.shards[shard].path
        wanted = [
            (number, extension, int(table.offset[extension][row]), int(table.size[extension][row]))
            for number, row in enumerate(rows)
            for extension in table.offset
            if table.offset[extension][row] >= 0
        ]
        data = self.reader.read(path, [(offset, size) for _, _, offset, size in wanted])
        members: list[dict[str, memoryview]] = [{} for _ in rows]
        for (number, extension, _, _), view in zip(wanted, data, strict=True):
            members[number][extension] = view
        samples = [
            EncodedSample(table.keys[row], shard, views)
            for row, views in zip(rows, members, strict=True)
        ]
        return [
            replace(sample, problem=Drop(Reason.TOO_LARGE, f"{sample.bytes} bytes"))
            if sample.bytes > MAX_MEMBER_BYTES
            else replace(sample, problem=self._problem(sample, table, row, path))
            if check
            else sample
            for sample, row, check in zip(samples, rows, checked, strict=True)
        ]

    def _problem(
        self, sample: EncodedSample, table: ShardOffsets, row: int, path: str
    ) -> Drop | None:
        for extension, data in sample.members.items():
            offset, size = int(table.offset[extension][row]), int(table.size[extension][row])
            if google_crc32c.value(bytes(data)) != table.crc32c[extension][row]:
                return Drop(
                    Reason.WRONG_BYTES,
                    f".{extension} at byte {offset}: not the bytes that were written",
                )
            # A tar may end right after its last member, without padding.
            end = min(padded_end(offset, size), self.shards[sample.shard].bytes)
            head, padding = self.reader.read(
                path, [(offset - HEADER_BYTES, HEADER_BYTES), (offset + size, end - offset - size)]
            )
            exact = self.shards[sample.shard].in_manifest
            member = f"{sample.key}.{extension}"
            if not _is_header(bytes(head), member, size, exact=exact) or any(padding):
                return Drop(
                    Reason.WRONG_HEADER,
                    f".{extension} at byte {offset - HEADER_BYTES}: the tar is corrupt here",
                )
        return None


def _is_header(block: bytes, member: str, size: int, *, exact: bool) -> bool:
    # Shards of this package have one possible header per member, so any flipped bit shows. Other
    # writers set owners, times and modes, so there only type and size can be compared.
    if exact:
        return block == header(member, size)
    return header_matches(block, size)
