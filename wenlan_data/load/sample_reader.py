"""Reads samples by their index in the epoch: bytes of the members, of which a share is verified."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import google_crc32c
import numpy as np

from wenlan_data.errors import WenlanError
from wenlan_data.load.byte_ranges import ByteReader, MappedFiles, Range
from wenlan_data.load.node_shares import NodeShares, ShareOrders
from wenlan_data.load.shard_index import Shard, open_index
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
from wenlan_data.shard.sample_index import IndexedSample, MemberRange, SampleIndex
from wenlan_data.shard.tar_entries import header_matches
from wenlan_data.shard.verify_corpus import header
from wenlan_data.shard.writer import padded_end

# A mapping each, of which only the pages that were read take memory. A window of the default order
# touches at most 32 shards; this batch and the next one lie in at most four windows.
MAX_OPEN_INDEXES = 128


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """A sample as stored in the tar."""

    key: str
    shard: int
    members: dict[str, memoryview]
    """By extension, lower case."""
    page: int = 0
    """64 bits of the hash of the page's URL; 0 if no page is known."""
    problem: Drop | None = None
    """Why the stored bytes failed verification."""

    @property
    def bytes(self) -> int:
        """Size of the members."""
        return sum(len(data) for data in self.members.values())


class LocatedSample(NamedTuple):
    """The number of a shard, and what its index holds of a sample."""

    shard: int
    sample: IndexedSample


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
    _indexes: OrderedDict[int, SampleIndex] = field(default_factory=OrderedDict, repr=False)
    _ahead: tuple[Indices, list[LocatedSample]] | None = field(default=None, repr=False)

    def set_epoch(self, epoch: int) -> None:
        """Reads samples of another epoch from now on."""
        if epoch != self.epoch.epoch:
            self.epoch, self._order = replace(self.epoch, epoch=epoch), None
            self._ahead = None

    def read(self, indices: Indices) -> list[EncodedSample]:
        """Returns the samples at `indices`, in that order."""
        ahead, self._ahead = self._ahead, None
        known = ahead is not None and np.array_equal(ahead[0], indices)
        located = ahead[1] if ahead and known else self.locate(indices)
        checked = self._checked(indices).tolist()
        return [self._read(*pair) for pair in zip(located, checked, strict=True)]

    def locate(self, indices: Indices) -> list[LocatedSample]:
        """Returns where the samples at `indices` lie, in that order. Reads indexes only."""
        if self._order is None:
            self._order = self.epoch.order()
        shards, rows = (column.tolist() for column in self._order.rows(indices))
        found: dict[int, LocatedSample] = {}
        # Shard by shard, so that each index is looked up while its pages are in the caches.
        for at in sorted(range(len(shards)), key=shards.__getitem__):
            found[at] = LocatedSample(shards[at], self._index(shards[at]).sample(rows[at]))
        return [found[at] for at in range(len(shards))]

    def read_ahead(self, indices: Indices) -> None:
        """Lets the system read the samples at `indices` from the disk, without waiting for it."""
        self._ahead = None
        # The batch that needs a corrupt shard reports it.
        with suppress(WenlanError):
            self._ahead = indices, self.locate(indices)
        for shard, sample in self._ahead[1] if self._ahead else ():
            ranges = [(one.offset, one.size) for one in sample.members.values()]
            if ranges:
                start = min(offset for offset, _ in ranges)
                end = max(offset + size for offset, size in ranges)
                self.reader.read_ahead(self.shards[shard].path, (start, end - start))

    def __reduce__(self) -> tuple[Callable[[], "SampleReader"], tuple[()]]:
        # Without the order and the indexes, which every worker builds when it needs them.
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

    def _index(self, shard: int) -> SampleIndex:
        if shard in self._indexes:
            self._indexes.move_to_end(shard)
            return self._indexes[shard]
        while len(self._indexes) >= MAX_OPEN_INDEXES:
            self._indexes.popitem(last=False)
        self._indexes[shard] = open_index(self.shards[shard].source)
        return self._indexes[shard]

    def _read(self, located: LocatedSample, check: bool) -> EncodedSample:
        shard, (key, page, members) = located
        path = self.shards[shard].path
        data = self.reader.read(path, [(one.offset, one.size) for one in members.values()])
        sample = EncodedSample(key, shard, dict(zip(members, data, strict=True)), page)
        if sample.bytes > MAX_MEMBER_BYTES:
            return replace(sample, problem=Drop(Reason.TOO_LARGE, f"{sample.bytes} bytes"))
        return replace(sample, problem=self._problem(sample, members)) if check else sample

    def _problem(self, sample: EncodedSample, members: dict[str, MemberRange]) -> Drop | None:
        shard = self.shards[sample.shard]
        for extension, data in sample.members.items():
            offset, size, crc32c = members[extension]
            if google_crc32c.value(bytes(data)) != crc32c:
                return Drop(
                    Reason.WRONG_BYTES,
                    f".{extension} at byte {offset}: not the bytes that were written",
                )
            # A tar may end right after its last member, without padding.
            end = min(padded_end(offset, size), shard.bytes)
            around: list[Range] = [
                (offset - HEADER_BYTES, HEADER_BYTES),
                (offset + size, end - offset - size),
            ]
            head, padding = self.reader.read(shard.path, around)
            member = f"{sample.key}.{extension}"
            if not _is_header(bytes(head), member, size, exact=shard.in_manifest) or any(padding):
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
