"""Reads a corpus or any WebDataset tars, member by member, without extracting files.

Nothing that a tar states is trusted: `tar_entries` checks its structure, and no more is read of a
sample than memory can hold.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import open_regular
from wenlan_data.layout import MANIFEST, SHARDS
from wenlan_data.records import Sample
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.tar_entries import tar_entries

MAX_MEMBER_BYTES = 1 << 28
"""Members larger than this, and samples whose members are together, are not loaded into memory."""
MAX_SAMPLE_MEMBERS = 4096
"""Members of one sample; the frames of a video are some hundred."""
_NAME = re.compile(r"((?:.*/|)[^./]+)\.([^/]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a tar."""

    name: str
    offset: int
    """Bytes from the start of the tar to its data."""
    size: int


@dataclass(frozen=True, slots=True)
class SampleMembers:
    """A sample as webdataset groups it: adjacent members with one stem."""

    key: str
    """The member name up to the first dot of its last part."""
    members: dict[str, Member] = field(default_factory=dict)
    """By extension, lower case."""


def shard_paths(paths: Sequence[Path]) -> list[Path]:
    """Returns the tars of corpora (in the manifest's order) and folders (by name), and single tars.

    Raises `UsageError` for a path that is missing or holds no tar.
    """
    return [tar for path in paths for tar in _expand(path)]


def is_corpus(path: Path) -> bool:
    """Returns whether `path` is a folder with a manifest."""
    return (path / MANIFEST).is_file()


def read_corpus(corpus: Path) -> Iterator[Sample]:
    """Yields every sample of a corpus, in the order of the manifest.

    Shards are read one after the other and no image is decoded, so memory stays small.
    Raises `DamageError` for a shard that cannot be read and for a sample that breaks the format.

    >>> from tempfile import mkdtemp
    >>> from wenlan_data.testing import make_sample, write_corpus
    >>> corpus = write_corpus(Path(mkdtemp()) / "corpus", [[make_sample(0), make_sample(1)]])
    >>> for sample in read_corpus(corpus):
    ...     print(sample.caption, sample.width, sample.height)
    窗台旁边的小猫 64 48
    窗台旁边的火车 64 48
    """
    for path in shard_paths([corpus]):
        for key, members in read_tar(path):
            yield shard_format.decode_sample(members, f"{path}: {key}")


def read_tar(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yields key and members, extension to bytes, of each sample of a tar."""
    with os_errors(path), open_regular(path) as file:
        for group in scan(path):
            yield group.key, _read_all(file, group)


def read_members(path: Path, group: SampleMembers) -> dict[str, bytes]:
    """Reads the members of one sample, extension to bytes, by range reads."""
    with os_errors(path), open_regular(path) as file:
        return _read_all(file, group)


def _read_all(file: BinaryIO, group: SampleMembers) -> dict[str, bytes]:
    size = sum(member.size for member in group.members.values())
    if size > MAX_MEMBER_BYTES:
        raise DamageError(
            f"{file.name}: {group.key!r}: {size} bytes exceed the limit of {MAX_MEMBER_BYTES} bytes"
        )
    return {name: read_at(file, member) for name, member in group.members.items()}


def scan(path: Path) -> Iterator[SampleMembers]:
    """Yields the samples of a tar without reading their bytes.

    Skips entries that are not regular files or have no extension. Raises `DamageError` that names
    the tar and the byte at which its structure breaks.
    """
    group: SampleMembers | None = None
    for entry in tar_entries(path):
        key, extension = split_name(entry.name)
        if not entry.is_plain or not key:
            continue
        if group is None or group.key != key:
            if group:
                yield group
            group = SampleMembers(key)
        if extension in group.members:
            raise DamageError(
                f"{path}: {entry.name!r} at {entry.offset} is there twice: see `shards verify`"
            )
        if len(group.members) == MAX_SAMPLE_MEMBERS:
            raise DamageError(
                f"{path}: {group.key!r} at {entry.offset}: more than {MAX_SAMPLE_MEMBERS} members "
                "of one sample"
            )
        group.members[extension] = Member(entry.name, entry.offset_data, entry.size)
    if group:
        yield group


def split_name(name: str) -> tuple[str, str]:
    """Splits a member's name into key and lower-case extension.

    Both empty if it has no extension.
    """
    match = _NAME.fullmatch(name)
    return (match[1], match[2].lower()) if match else ("", "")


def read_at(file: BinaryIO, member: Member) -> bytes:
    """Reads a member's bytes; raises `DamageError` if the file ends before them."""
    if member.size > MAX_MEMBER_BYTES:
        raise DamageError(
            f"{file.name}: {member.name!r}: {member.size} bytes exceed the limit of "
            f"{MAX_MEMBER_BYTES} bytes"
        )
    data = os.pread(file.fileno(), member.size, member.offset)
    if len(data) != member.size:
        problem = f"cut short: {member.size} bytes expected, {len(data)} found"
        raise DamageError(f"{file.name}: {member.name!r} at byte {member.offset} is {problem}")
    return data


def _expand(path: Path) -> list[Path]:
    if is_corpus(path):
        return [corpus_file(path, SHARDS, shard.name) for shard in load_manifest(path).shards]
    if path.is_dir():
        tars = sorted(path.glob("*.tar"))
        if not tars:
            raise UsageError(
                f"{path}: neither a corpus (no {MANIFEST}) nor a folder with .tar files"
            )
        return tars
    if not path.is_file():
        raise UsageError(f"{path}: there is no such corpus, folder or tar")
    return [path]
