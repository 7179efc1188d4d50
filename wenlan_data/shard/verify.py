"""Finds what is wrong with a corpus or with tars, and names the shard, the member and the byte.

A corpus is held against its manifest (`verify_corpus.py` reads its tars). Of a stranger's tar the structure
is checked (`verify_tar.py`): header checksums, adjacency, unique keys, JSON, names that lead out of
the folder.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.shard.index import load_offsets
from wenlan_data.shard.manifest import FileEntry, Manifest, ShardEntry, load_manifest
from wenlan_data.shard.reader import is_corpus, shard_paths
from wenlan_data.shard.verify_corpus import Problem, tar_problems
from wenlan_data.shard.verify_tar import structure_problems
from wenlan_data.shard.writer import MemberLocation

__all__ = ["Problem", "verify"]


def verify(*paths: Path, on_shard: Callable[[str], None] = lambda _: None) -> list[Problem]:
    """Everything wrong with these corpora, folders of tars and tars; empty when all is sound.

    `on_shard` hears the name of each shard before it is read. Raises a user's error for what is neither.
    """
    findings: list[Problem] = []
    seen = _Seen()
    for path in paths:
        if is_corpus(path):
            findings += _corpus(path, seen, on_shard)
        else:
            for tar in shard_paths([path]):
                on_shard(tar.name)
                findings += structure_problems(tar, seen.first)
    return findings


class _Seen:
    """The keys seen so far, as digests of 12 bytes, and where each was first."""

    def __init__(self) -> None:
        self._shard_of: dict[bytes, str] = {}

    def first(self, key: str, shard: str) -> str:
        """The shard that held `key` first: `shard` itself for a new key."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        return self._shard_of.setdefault(digest, shard)


def _corpus(corpus: Path, seen: _Seen, on_shard: Callable[[str], None]) -> Iterator[Problem]:
    manifest = load_manifest(corpus)
    yield from _counts(manifest)
    yield from _unknown_files(corpus, manifest)
    for shard in manifest.shards:
        on_shard(shard.name)
        yield from _shard(corpus, shard, seen)
    for folder, entry in _tables(manifest):
        yield from _file(corpus / folder / entry.name, entry)


def _counts(manifest: Manifest) -> Iterator[Problem]:
    try:
        manifest.check_counts()
    except DamageError as error:
        yield Problem("manifest.json", "", 0, str(error).removeprefix("manifest.json: "))


def _unknown_files(corpus: Path, manifest: Manifest) -> Iterator[Problem]:
    known = {
        f"shards/{name}" for shard in manifest.shards for name in (shard.name, shard.offsets.name)
    }
    known |= {f"{folder}/{entry.name}" for folder, entry in _tables(manifest)}
    for folder in ("shards", "metadata", "drops"):
        for path in sorted((corpus / folder).glob("*")):
            if f"{folder}/{path.name}" not in known and not path.name.startswith("."):
                yield Problem(
                    f"{folder}/{path.name}", "", 0, "the manifest does not know this file"
                )


def _tables(manifest: Manifest) -> list[tuple[str, FileEntry]]:
    metadata = [("metadata", entry) for entry in manifest.times.metadata]
    return [*metadata, *(("drops", entry) for entry in manifest.drops)]


def _shard(corpus: Path, shard: ShardEntry, seen: _Seen) -> Iterator[Problem]:
    tar = corpus / "shards" / shard.name
    offsets = corpus / "shards" / shard.offsets.name
    if not tar.is_file():
        yield Problem(shard.name, "", 0, f"missing: {shard.bytes} bytes expected")
        return
    broken = list(_file(offsets, shard.offsets))
    yield from broken
    if broken:
        # Without the table of checksums the structure still tells where a tar breaks.
        found = list(structure_problems(tar, seen.first))
        yield from found or _file(tar, shard)
        return
    places = load_offsets(offsets)
    yield from _keys(tar, shard, places, seen)
    yield from tar_problems(tar, shard, places)


def _keys(
    tar: Path, shard: ShardEntry, places: list[MemberLocation], seen: _Seen
) -> Iterator[Problem]:
    keys = list(dict.fromkeys(place.key for place in places))
    if len(keys) != shard.samples:
        yield Problem(shard.name, "", 0, f"{shard.samples} samples expected, {len(keys)} found")
    for key in keys:
        first = seen.first(key, str(tar))
        if first != str(tar):
            yield Problem(shard.name, key, 0, f"the key is in {first} too")


def _file(path: Path, entry: FileEntry) -> Iterator[Problem]:
    if not path.is_file():
        yield Problem(entry.name, "", 0, f"missing: {entry.bytes} bytes expected")
        return
    bytes_found = path.stat().st_size
    if bytes_found != entry.bytes:
        problem = f"{entry.bytes} bytes expected, {bytes_found} found"
        yield Problem(entry.name, "", min(bytes_found, entry.bytes), problem)
    elif _sha256(path) != entry.sha256:
        yield Problem(entry.name, "", 0, "the SHA-256 is not the one in the manifest")


def _sha256(path: Path) -> str:
    with os_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
