"""Finds shards with their sample counts, and opens their indexes."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wenlan_data.errors import DamageError, UsageError, from_os_error
from wenlan_data.files import write_atomic
from wenlan_data.shard.format import HEADER_BYTES
from wenlan_data.shard.index_source import IndexSource, listed_source, tar_source
from wenlan_data.shard.manifest import FileEntry, ShardEntry, load_manifest
from wenlan_data.shard.reader import is_corpus, shard_paths
from wenlan_data.shard.sample_index import IndexMismatchError, SampleIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A tar, and what its index is made of."""

    path: str
    samples: int
    bytes: int
    """Size of the tar when its table was made."""
    source: IndexSource
    in_manifest: bool = False
    """Whether a manifest lists it; then its tar headers are known to the byte."""


def find_shards(
    paths: Sequence[Path],
    *,
    skip_corrupt: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[Shard]:
    """Returns the shards of corpora, folders of tars and tars, in order.

    A tar that no manifest lists is indexed here, once, and its index is cached.
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


def open_index(source: IndexSource) -> SampleIndex:
    """Opens the index beside a tar if it fits, else the one in the cache, which is made if needed.

    Making it takes about 36 ms of processor time for 10,000 samples. Raises `DamageError` if the tables of the shard
    cannot be read or do not hold the expected number of samples, and `UsageError` if the cache
    cannot be written.
    """
    # A stale index is as good as none: it is derived from the tables, which are read again.
    with suppress(FileNotFoundError, IndexMismatchError):
        return source.open(source.beside)
    cached = _cached_path(source)
    with suppress(FileNotFoundError, IndexMismatchError):
        return source.open(cached)
    source.check_tables()
    data = source.build()
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Several ranks may index the same tar at the same time.
        write_atomic(cached, data)
        return source.open(cached)
    except OSError as error:
        problem = from_os_error(error, cached)
        if not isinstance(problem, UsageError):
            raise problem from error
        raise UsageError(
            f"{cached}: an index cannot be written here ({error.strerror}): set XDG_CACHE_HOME to "
            "another folder, or run `wenlan-data shards index` beforehand"
        ) from error


def cache_folder() -> Path:
    """Returns the folder for the indexes of shards that have none beside them."""
    # Nothing is written beside data that is not ours.
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "wenlan-data" / "indexes"


def _openers(path: Path) -> list[tuple[Callable[[], Shard], int | None]]:
    if not is_corpus(path):
        return [(partial(_open_tar, tar), None) for tar in shard_paths([path])]
    manifest = load_manifest(path)
    tables = {one.name: one for one in manifest.times.metadata}
    return [
        (partial(_open_listed, path, entry, tables.get(entry.metadata.name)), entry.samples)
        for entry in manifest.shards
    ]


def _open_listed(corpus: Path, entry: ShardEntry, metadata: FileEntry | None) -> Shard:
    source = listed_source(corpus, entry, metadata)
    # Only the size is compared here: `check_share` and `shards verify` look at the bytes.
    found = _size(Path(source.tar))
    if found != entry.bytes:
        expected = f"{entry.bytes} bytes with {entry.samples} samples expected, {found} bytes found"
        raise DamageError(f"{source.tar}: {expected}: run `shards verify`")
    if entry.samples * HEADER_BYTES > entry.bytes:
        raise DamageError(f"{source.tar}: {entry.samples} samples cannot be in {entry.bytes} bytes")
    return Shard(
        path=source.tar, samples=entry.samples, bytes=entry.bytes, source=source, in_manifest=True
    )


def _open_tar(tar: Path) -> Shard:
    source = tar_source(tar)
    samples = open_index(source).samples
    return Shard(path=str(tar), samples=samples, bytes=source.tar_bytes, source=source)


def _cached_path(source: IndexSource) -> Path:
    # Files that were replaced or moved give another name in the cache, hence a new index.
    states: list[object] = [source.identity.hex(), str(Path(source.tar).resolve())]
    for path in filter(None, (source.tar, source.offsets, source.metadata)):
        # What is missing is reported where the index is made.
        with suppress(OSError):
            status = Path(path).stat()
            states += [status.st_size, status.st_mtime_ns]
    return cache_folder() / f"{hashlib.sha256(json.dumps(states).encode()).hexdigest()[:32]}.index"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise DamageError(f"{path}: this shard is missing: restore it from a copy") from error
