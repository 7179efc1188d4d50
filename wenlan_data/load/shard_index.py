"""Finds shards, their sample counts, and the byte offsets of every member of a sample."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.files import atomic_path
from wenlan_data.layout import SHARDS
from wenlan_data.npy import Indices
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.format import HEADER_BYTES, offsets_name
from wenlan_data.shard.index import build_offsets, read_offsets, save_offsets
from wenlan_data.shard.manifest import ShardEntry, load_manifest
from wenlan_data.shard.reader import MAX_SAMPLE_MEMBERS, is_corpus, shard_paths

MAX_CELLS = 1 << 24
"""Samples of a shard times kinds of members, each of 24 bytes. Names such as `a.0001.jpg` make
many kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A tar and its offsets table."""

    path: str
    offsets: str
    samples: int
    bytes: int
    """Size of the tar when its table was made."""
    in_manifest: bool = False
    """Whether a manifest lists it; then its tar headers are known to the byte."""


@dataclass(frozen=True, slots=True)
class ShardOffsets:
    """Byte ranges of all members of a shard; row i of each int64 array is sample i."""

    keys: list[str]
    offset: dict[str, Indices]
    """By extension, in bytes; -1 if the sample lacks the member."""
    size: dict[str, Indices]
    crc32c: dict[str, Indices]


def find_shards(
    paths: Sequence[Path],
    *,
    skip_corrupt: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[Shard]:
    """Returns the shards of corpora, folders of tars and tars, in order.

    A tar without an offsets table is indexed once, and its table is cached.
    Raises `UsageError` for a path that is missing or holds no tar, and `DamageError` for a shard
    that is missing, truncated or changed. With `skip_corrupt` such a shard is left out, and `note`
    is called with its name and the number of samples that are lost.
    """
    found: list[Shard] = []
    for path in paths:
        for open_shard, samples in _openers(path):
            try:
                found.append(open_shard())
            except DamageError as error:
                if not skip_corrupt:
                    raise
                note(
                    f"left out, {samples} samples lost: {error}"
                    if samples is not None
                    else f"left out: {error}"
                )
    return found


def load_shard_offsets(shard: Shard) -> ShardOffsets:
    """Loads the offsets table of a shard, in about 10 ms for 10,000 samples.

    Raises `DamageError` if it cannot be read or does not hold the expected number of samples.
    """
    table = read_offsets(Path(shard.offsets))
    keys, members = table["key"].combine_chunks(), table["member"].combine_chunks()
    if not len(keys):
        _check_samples(shard, 0)
        return ShardOffsets([], {}, {}, {})
    # The table has one row per member and the members of a sample are adjacent: a sample begins
    # where the key changes.
    starts = np.append(
        0, 1 + np.flatnonzero(_numbers(pc.not_equal(keys[1:], keys[:-1]).cast(pa.uint8())))
    )
    sample = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(keys))))
    first = pa.Array.from_buffers(pa.int64(), len(starts), [None, pa.py_buffer(starts)])
    offsets = ShardOffsets(keys.take(first).to_pylist(), {}, {}, {})
    _check_samples(shard, len(offsets.keys))
    extensions = _extensions(keys, members)
    kinds = len(extensions.dictionary)
    if kinds > MAX_SAMPLE_MEMBERS or kinds * len(offsets.keys) > MAX_CELLS:
        problem = f"{kinds} kinds of members in {len(offsets.keys)} samples"
        raise DamageError(f"{shard.offsets}: {problem}: split the tar into smaller ones")
    ends = pc.max(pc.add(table["offset"], table["size"])).as_py()
    if ends > shard.bytes:
        raise DamageError(
            f"{shard.path}: cut short: {ends} bytes expected, {shard.bytes} found: "
            "restore it from a copy"
        )
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


def cache_folder() -> Path:
    """Returns the folder for offsets tables of tars that have none beside them."""
    # Nothing is written beside data that is not ours.
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wenlan-data" / "offsets"


def _check_samples(shard: Shard, found: int) -> None:
    if found != shard.samples:
        problem = f"{shard.samples} samples expected, {found} found"
        raise DamageError(f"{shard.offsets}: {problem}: run `shards verify`")


def _openers(path: Path) -> list[tuple[Callable[[], Shard], int | None]]:
    if not is_corpus(path):
        return [(partial(_open_tar, tar), None) for tar in shard_paths([path])]
    return [
        (partial(_open_listed, path, entry), entry.samples) for entry in load_manifest(path).shards
    ]


def _open_listed(corpus: Path, entry: ShardEntry) -> Shard:
    tar = corpus_file(corpus, SHARDS, entry.name)
    # Only the size is compared here: `check_share` and `shards verify` look at the bytes.
    found = _size(tar)
    if found != entry.bytes:
        expected = f"{entry.bytes} bytes with {entry.samples} samples expected, {found} bytes found"
        raise DamageError(f"{tar}: {expected}: run `shards verify`")
    if entry.samples * HEADER_BYTES > entry.bytes:
        raise DamageError(f"{tar}: {entry.samples} samples cannot be in {entry.bytes} bytes")
    offsets = str(corpus_file(corpus, SHARDS, entry.offsets.name))
    return Shard(
        path=str(tar), offsets=offsets, samples=entry.samples, bytes=entry.bytes, in_manifest=True
    )


def _open_tar(tar: Path) -> Shard:
    beside = tar.with_name(offsets_name(tar.name))
    table = beside if beside.is_file() else _cached(tar)
    shard = Shard(path=str(tar), offsets=str(table), samples=_count(table), bytes=_size(tar))
    end = _table_end(table)
    if end > shard.bytes:
        raise DamageError(
            f"{tar}: cut short: {end} bytes expected, {shard.bytes} found: restore it from a copy"
        )
    return shard


def _cached(tar: Path) -> Path:
    with os_errors(tar):
        status = tar.stat()
    # A tar that was replaced or moved gets another name in the cache, hence a new table.
    identity = f"{tar.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"
    cached = (
        cache_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.offsets.parquet"
    )
    if not cached.is_file():
        locations = build_offsets(tar)
        with os_errors(cached):
            cached.parent.mkdir(parents=True, exist_ok=True)
            # Several ranks may index the same tar at the same time.
            with atomic_path(cached) as temporary:
                save_offsets(temporary, locations)
    return cached


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise DamageError(f"{path}: this shard is missing: restore it from a copy") from error


def _count(table: Path) -> int:
    keys = read_offsets(table, ["key"])["key"].combine_chunks()
    if not len(keys):
        return 0
    return 1 + int(pc.sum(pc.not_equal(keys[1:], keys[:-1])).as_py() or 0)


def _table_end(table: Path) -> int:
    columns = read_offsets(table, ["offset", "size"])
    return int(pc.max(pc.add(columns["offset"], columns["size"])).as_py() or 0)


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
