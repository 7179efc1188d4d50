"""Verifies corpora and tars; each problem names the shard, the member and the byte.

A corpus is compared with its manifest (`verify_corpus.py` reads its tars). A tar without a manifest
has its structure checked (`verify_tar.py`): header checksums, adjacent members, unique keys, valid
JSON, and member names that stay inside the folder.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.files import read_bounded, sha256_of
from wenlan_data.layout import DROPS, MANIFEST, METADATA, SHARDS
from wenlan_data.shard.corpus_files import corpus_file, corpus_folder
from wenlan_data.shard.index import load_offsets
from wenlan_data.shard.index_source import listed_source
from wenlan_data.shard.manifest import FileEntry, Manifest, ShardEntry, load_manifest
from wenlan_data.shard.reader import is_corpus, shard_paths
from wenlan_data.shard.sample_index import MAX_INDEX_BYTES, IndexMismatchError, index_name
from wenlan_data.shard.verify_corpus import Problem, tar_problems
from wenlan_data.shard.verify_tar import structure_problems
from wenlan_data.shard.writer import MemberLocation

__all__ = ["Problem", "verify"]


def verify(*paths: Path, on_shard: Callable[[str], None] = lambda _: None) -> list[Problem]:
    """Returns all problems of these corpora, folders of tars and tars; empty if there are none.

    `on_shard` is called with the name of each shard before it is read. Raises `UsageError` for a
    path that is none of these.
    """
    findings: list[Problem] = []
    owners = _KeyOwners()
    for path in paths:
        if is_corpus(path):
            findings += _corpus_problems(path, owners, on_shard)
        else:
            for tar in shard_paths([path]):
                on_shard(tar.name)
                findings += structure_problems(tar, owners.first_shard)
    return findings


class _KeyOwners:
    """Digest (12 bytes) of each key so far, with the shard that held the key first."""

    def __init__(self) -> None:
        self._shard_of: dict[bytes, str] = {}

    def first_shard(self, key: str, shard: str) -> str | None:
        """Returns the shard that held `key` before; None for a new key, which `shard` then
        holds."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        first = self._shard_of.get(digest)
        if first is None:
            self._shard_of[digest] = shard
        return first


def _corpus_problems(
    corpus: Path, owners: _KeyOwners, on_shard: Callable[[str], None]
) -> Iterator[Problem]:
    manifest = load_manifest(corpus)
    yield from _count_problems(manifest)
    yield from _unknown_files(corpus, manifest)
    for shard in manifest.shards:
        on_shard(shard.name)
        yield from _shard_problems(corpus, shard, owners)
        yield from _index_problems(corpus, manifest, shard)
    for folder, entry in _tables(manifest):
        try:
            path = corpus_file(corpus, folder, entry.name)
        except DamageError as error:
            yield Problem(entry.name, "", 0, str(error))
            continue
        yield from _file_problems(path, entry)


def _count_problems(manifest: Manifest) -> Iterator[Problem]:
    try:
        manifest.check_counts()
    except DamageError as error:
        yield Problem(MANIFEST, "", 0, str(error).removeprefix(f"{MANIFEST}: "))


def _unknown_files(corpus: Path, manifest: Manifest) -> Iterator[Problem]:
    known = {
        f"{SHARDS}/{name}"
        for shard in manifest.shards
        for name in (shard.name, shard.offsets.name, index_name(shard.name))
    }
    known |= {f"{folder}/{entry.name}" for folder, entry in _tables(manifest)}
    for folder in (SHARDS, METADATA, DROPS):
        try:
            inside = corpus_folder(corpus, folder)
        except DamageError as error:
            yield Problem(folder, "", 0, str(error))
            continue
        for path in sorted(inside.glob("*")):
            if f"{folder}/{path.name}" not in known and not path.name.startswith("."):
                yield Problem(
                    f"{folder}/{path.name}", "", 0, "the manifest does not name this file"
                )


def _tables(manifest: Manifest) -> list[tuple[str, FileEntry]]:
    metadata = [(METADATA, entry) for entry in manifest.times.metadata]
    return [*metadata, *((DROPS, entry) for entry in manifest.drops)]


def _shard_problems(corpus: Path, shard: ShardEntry, owners: _KeyOwners) -> Iterator[Problem]:
    try:
        tar = corpus_file(corpus, SHARDS, shard.name)
        offsets = corpus_file(corpus, SHARDS, shard.offsets.name)
    except DamageError as error:
        yield Problem(shard.name, "", 0, str(error))
        return
    if not tar.is_file():
        yield Problem(shard.name, "", 0, f"missing: {shard.bytes} bytes expected")
        return
    broken = list(_file_problems(offsets, shard.offsets))
    yield from broken
    if broken:
        # Without its checksums the structure still shows where a tar breaks.
        found = list(structure_problems(tar, owners.first_shard))
        yield from found or _file_problems(tar, shard)
        return
    try:
        locations = load_offsets(offsets)
    except DamageError as error:
        yield Problem(shard.offsets.name, "", 0, str(error))
        yield from structure_problems(tar, owners.first_shard)
        return
    yield from _key_problems(tar, shard, locations, owners)
    yield from tar_problems(tar, shard, locations)


def _index_problems(corpus: Path, manifest: Manifest, shard: ShardEntry) -> Iterator[Problem]:
    path = corpus / SHARDS / index_name(shard.name)
    if not path.exists():
        return
    metadata = (one for one in manifest.times.metadata if one.name == shard.metadata.name)
    try:
        source = listed_source(corpus, shard, next(metadata, None))
        source.open(path)
        with os_errors(path):
            if read_bounded(path, MAX_INDEX_BYTES) != source.build():
                raise IndexMismatchError(path, "a record is corrupt")
    except DamageError as error:
        yield Problem(path.name, "", 0, str(error))


def _key_problems(
    tar: Path, shard: ShardEntry, locations: list[MemberLocation], owners: _KeyOwners
) -> Iterator[Problem]:
    keys = list(dict.fromkeys(location.key for location in locations))
    if len(keys) != shard.samples:
        yield Problem(shard.name, "", 0, f"{shard.samples} samples expected, {len(keys)} found")
    for key in keys:
        first = owners.first_shard(key, str(tar))
        if first:
            yield Problem(shard.name, key, 0, f"the key is in {first} too")


def _file_problems(path: Path, entry: FileEntry) -> Iterator[Problem]:
    if not path.is_file():
        yield Problem(entry.name, "", 0, f"missing: {entry.bytes} bytes expected")
        return
    bytes_found = path.stat().st_size
    if bytes_found != entry.bytes:
        problem = f"{entry.bytes} bytes expected, {bytes_found} found"
        yield Problem(entry.name, "", min(bytes_found, entry.bytes), problem)
        return
    with os_errors(path):
        digest = sha256_of(path)
    if digest != entry.sha256:
        yield Problem(entry.name, "", 0, "the SHA-256 is not the one in the manifest")
