"""Makes the sample index of a shard from its offsets table and its metadata table."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wenlan_data.bounded_tables import read_batches
from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import sha256_of, write_atomic
from wenlan_data.layout import METADATA, SHARDS
from wenlan_data.npy import Indices
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.format import offsets_name
from wenlan_data.shard.index import build_offsets, offsets_table, read_offsets
from wenlan_data.shard.manifest import FileEntry, ShardEntry, load_manifest
from wenlan_data.shard.reader import is_corpus, shard_paths
from wenlan_data.shard.sample_index import (
    IndexMismatchError,
    MemberColumns,
    SampleIndex,
    encode_index,
    index_name,
    is_index,
    open_sample_index,
    page_id,
)
from wenlan_data.tables import METADATA as METADATA_SCHEMA

_PAGE_COLUMNS = pa.schema([METADATA_SCHEMA.field(name) for name in ("key", "page_url")])


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSource:
    """A shard, and the files that its index is made of."""

    tar: str
    tar_bytes: int
    offsets: str = ""
    """Path of the offsets table; empty where there is none, so that the tar is read."""
    metadata: str = ""
    """Path of the metadata table; empty where there is none, so that no page is known."""
    samples: int | None = None
    """As the manifest states it."""
    digests: tuple[tuple[str, str], ...] = ()
    """Tables with their SHA-256, as the manifest states it."""
    identity: bytes
    """Digest of what is known of the files without reading a large one: size of the tar, number of
    samples, digests of the tables. An index that states another one is stale."""

    @property
    def beside(self) -> Path:
        """Path of the index beside the tar."""
        tar = Path(self.tar)
        return tar.with_name(index_name(tar.name))

    def check_tables(self) -> None:
        """Raises `DamageError` unless the tables are those that the manifest states: the index
        states their digests as its own."""
        for table, sha256 in self.digests:
            with os_errors(table):
                if not Path(table).is_file() or sha256_of(Path(table)) != sha256:
                    raise DamageError(f"{table}: not the one in the manifest: run `shards verify`")

    def open(self, path: Path) -> SampleIndex:
        """Opens the index at `path`; raises as `open_sample_index` does."""
        return open_sample_index(
            path, identity=self.identity, tar_bytes=self.tar_bytes, samples=self.samples
        )

    def build(self) -> bytes:
        """Returns the bytes of the index: a pure function of tables and identity.

        Raises `DamageError` for tables that are corrupt, or not those of the shard.
        """
        table = (
            read_offsets(Path(self.offsets))
            if self.offsets
            else offsets_table(build_offsets(Path(self.tar)))
        )
        where = self.offsets or self.tar
        columns = _columns(table)
        if self.samples is not None and len(columns.keys) != self.samples:
            problem = f"{self.samples} samples expected, {len(columns.keys)} found"
            raise DamageError(f"{where}: {problem}: run `shards verify`")
        ends = int((columns.offset + columns.size).max(initial=0))
        if ends > self.tar_bytes:
            raise DamageError(
                f"{self.tar}: cut short: {ends} bytes expected, {self.tar_bytes} found: "
                "restore it from a copy"
            )
        pages = self._pages([str(key, "utf-8") for key in columns.keys])
        try:
            return encode_index(columns, pages, tar_bytes=self.tar_bytes, identity=self.identity)
        except ValueError as error:
            problem = f"{error} in {len(columns.keys)} samples"
            raise DamageError(f"{where}: {problem}: split the tar into smaller ones") from error

    def _pages(self, keys: list[str]) -> Indices:
        pages = np.zeros(len(keys), np.int64)
        row_of = {key: row for row, key in enumerate(keys)}
        for batch in read_batches(Path(self.metadata), _PAGE_COLUMNS) if self.metadata else ():
            names, urls = (batch[name].to_pylist() for name in _PAGE_COLUMNS.names)
            for key, url in zip(names, urls, strict=True):
                row = row_of.get(key)
                if row is not None:
                    pages[row] = page_id(url)
        return pages


def find_sources(paths: Sequence[Path]) -> list[IndexSource]:
    """Returns what makes the indexes of corpora, folders of tars and tars, in order.

    Raises `UsageError` for a path that is missing or holds no tar, `DamageError` for a manifest or
    links that are corrupt.
    """
    found: list[IndexSource] = []
    for path in paths:
        if not is_corpus(path):
            found += [tar_source(tar) for tar in shard_paths([path])]
            continue
        manifest = load_manifest(path)
        tables = {one.name: one for one in manifest.times.metadata}
        for entry in manifest.shards:
            found.append(listed_source(path, entry, tables.get(entry.metadata.name)))
    return found


def write_beside(source: IndexSource) -> tuple[SampleIndex, bool]:
    """Writes the index beside a tar unless it is there; returns it, and whether it was written.

    Raises `DamageError` for tables that are corrupt or not those of the shard, and `UsageError`
    for a file of this name that is none of this package.
    """
    path, tar = source.beside, Path(source.tar)
    if not tar.is_file():
        raise DamageError(f"{tar}: this shard is missing: restore it from a copy")
    with os_errors(tar):
        found = tar.stat().st_size
    if found != source.tar_bytes:
        problem = f"{source.tar_bytes} bytes expected, {found} found"
        raise DamageError(f"{tar}: {problem}: run `shards verify`")
    with suppress(FileNotFoundError, IndexMismatchError):
        return source.open(path), False
    source.check_tables()
    data = source.build()
    with os_errors(path):
        if path.exists() and not is_index(path):
            raise UsageError(f"{path}: a file of another program: move it elsewhere")
        write_atomic(path, data)
    return source.open(path), True


def listed_source(corpus: Path, entry: ShardEntry, metadata: FileEntry | None) -> IndexSource:
    """Returns what makes the index of a shard in the manifest; `metadata` is its table's entry.

    Raises `DamageError` for a file or a link that leads out of the corpus.
    """
    table = corpus_file(corpus, METADATA, entry.metadata.name)
    # A corpus may be used without the metadata, and then its pages are not known.
    has_pages = table.is_file()
    offsets = str(corpus_file(corpus, SHARDS, entry.offsets.name))
    digests = [(offsets, entry.offsets.sha256)]
    if has_pages and metadata:
        digests.append((str(table), metadata.sha256))
    known = [entry.bytes, entry.samples, has_pages, *(sha256 for _, sha256 in digests)]
    return IndexSource(
        tar=str(corpus_file(corpus, SHARDS, entry.name)),
        tar_bytes=entry.bytes,
        offsets=offsets,
        metadata=str(table) if has_pages else "",
        samples=entry.samples,
        digests=tuple(digests),
        identity=_digest(["listed", *known]),
    )


def tar_source(tar: Path) -> IndexSource:
    """Returns what makes the index of a tar that is in no manifest: the table beside it, if any."""
    with os_errors(tar):
        status = tar.stat()
        table = tar.with_name(offsets_name(tar.name))
        if table.is_file():
            known: list[object] = ["table", status.st_size, sha256_of(table)]
        else:
            table, known = Path(), ["tar", status.st_size, status.st_mtime_ns]
    return IndexSource(
        tar=str(tar),
        tar_bytes=status.st_size,
        offsets=str(table) if table.name else "",
        identity=_digest(known),
    )


def _digest(known: list[object]) -> bytes:
    return hashlib.sha256(json.dumps(known).encode()).digest()


def _columns(table: pa.Table) -> MemberColumns:
    keys, members = table["key"].combine_chunks(), table["member"].combine_chunks()
    if not len(keys):
        nothing = np.zeros(0, np.int64)
        return MemberColumns(
            keys=[], counts=nothing, offset=nothing, size=nothing, crc32c=nothing, kind=nothing,
            kinds=[],
        )  # fmt: skip
    # The table has one row per member and the members of a sample are adjacent: a sample begins
    # where the key changes.
    changes = pc.not_equal(keys[1:], keys[:-1]).cast(pa.uint8())
    starts = np.append(0, 1 + np.flatnonzero(_numbers(changes)))
    first = pa.Array.from_buffers(pa.int64(), len(starts), [None, pa.py_buffer(starts)])
    extensions = _extensions(keys, members)
    offset, size, crc32c = (
        _numbers(table[name].combine_chunks()).astype(np.int64)
        for name in ("offset", "size", "crc32c")
    )
    return MemberColumns(
        keys=[key.encode() for key in keys.take(first).to_pylist()],
        counts=np.diff(np.append(starts, len(keys))),
        offset=offset,
        size=size,
        crc32c=crc32c,
        kind=_numbers(extensions.indices).astype(np.int64),
        kinds=extensions.dictionary.to_pylist(),
    )


def _extensions(keys: pa.Array, members: pa.Array) -> pa.DictionaryArray:
    lengths = pc.unique(pc.utf8_length(keys))
    # Keys of this package all have one length, so the extensions are cut by Arrow, not by Python.
    if len(lengths) == 1:
        cut = pc.utf8_slice_codeunits(members, lengths[0].as_py() + 1)
    else:
        pairs = zip(keys.to_pylist(), members.to_pylist(), strict=True)
        cut = pa.array([member[len(key) + 1 :] for key, member in pairs], pa.string())
    return pc.dictionary_encode(pc.utf8_lower(cut))


def _numbers(column: pa.Array) -> NDArray[np.generic]:
    """Returns the numbers of a column without nulls."""
    # Not by `to_numpy`: that, `pa.array` and `pa.scalar` import pandas, 1 s in every worker.
    return np.asarray(np.from_dlpack(column))
