"""Reads a corpus or any WebDataset tars, member by member, without extracting files.

At a corrupt header `tarfile` stops as if the archive ended there. This reader checks that a tar
ends with zero blocks, and raises otherwise.
"""

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.layout import MANIFEST, SHARDS
from wenlan_data.records import Sample
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.manifest import load_manifest

MAX_MEMBER_BYTES = 1 << 28
"""Members larger than this are not loaded into memory."""
MAX_TAIL_BYTES = 1 << 24
"""Length of the region after the end of an archive that is searched for hidden bytes."""
_NAME = re.compile(r"((?:.*/|)[^./]+)\.([^/]+)", re.DOTALL)
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


class CorruptTarError(DamageError):
    """A tar whose structure is invalid at byte `offset`."""

    def __init__(self, path: Path, *, offset: int, problem: str) -> None:
        super().__init__(f"{path}: byte {offset}: {problem}: `shards verify` lists all corruption")
        self.offset = offset
        self.problem = problem


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
    with os_errors(path), path.open("rb") as file:
        for group in scan(path):
            yield group.key, {name: read_at(file, member) for name, member in group.members.items()}


def read_members(path: Path, group: SampleMembers) -> dict[str, bytes]:
    """Reads the members of one sample, extension to bytes, by range reads."""
    with os_errors(path), path.open("rb") as file:
        return {name: read_at(file, member) for name, member in group.members.items()}


def scan(path: Path) -> Iterator[SampleMembers]:
    """Yields the samples of a tar without reading their bytes.

    Skips entries that are not regular files or have no extension. Raises `DamageError` that names
    the tar and the byte at which its structure breaks.
    """
    group: SampleMembers | None = None
    for entry in tar_entries(path):
        key, extension = split_name(entry.name)
        if not is_plain(entry) or not key:
            continue
        if group is None or group.key != key:
            if group:
                yield group
            group = SampleMembers(key)
        if extension in group.members:
            raise DamageError(
                f"{path}: {entry.name!r} at {entry.offset} is there twice: see `shards verify`"
            )
        group.members[extension] = Member(entry.name, entry.offset_data, entry.size)
    if group:
        yield group


def tar_entries(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yields all entries of an uncompressed tar, of any type; checks each header's checksum."""
    with os_errors(path), path.open("rb") as file:
        _refuse_compressed(path, file)
        end = 0
        try:
            with tarfile.open(fileobj=file, mode="r:", errorlevel=2) as tar:
                while (entry := tar.next()) is not None:
                    yield entry
                    # `tarfile` keeps every header, and there can be millions.
                    tar.members = []  # type: ignore[attr-defined]
                    end = tar.offset
                end = tar.offset
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise _corrupt(path, file, end, f"no tar entry starts here ({error})") from error
        _check_end(path, file, end)


def is_plain(entry: tarfile.TarInfo) -> bool:
    """Returns whether the entry is a regular file with its bytes in one piece."""
    return entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and entry.sparse is None


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


def _check_end(path: Path, file: BinaryIO, offset: int) -> None:
    tail = os.pread(file.fileno(), MAX_TAIL_BYTES, offset)
    if any(tail[: shard_format.HEADER_BYTES]):
        raise _corrupt(path, file, offset, "the tar header here is corrupt")
    if len(tail) < 2 * shard_format.HEADER_BYTES:
        raise _corrupt(
            path, file, offset + len(tail), "cut short: the end-of-archive blocks are missing"
        )
    if tail.count(0) != len(tail):
        first = next(at for at, byte in enumerate(tail) if byte)
        raise _corrupt(
            path,
            file,
            offset + first,
            "bytes after the end of the archive: what they hold is hidden",
        )


def _corrupt(path: Path, file: BinaryIO, offset: int, problem: str) -> CorruptTarError:
    bytes_found = os.fstat(file.fileno()).st_size
    return CorruptTarError(
        path, offset=min(offset, bytes_found), problem=f"{problem} ({bytes_found} bytes in all)"
    )


def _refuse_compressed(path: Path, file: BinaryIO) -> None:
    kind = _COMPRESSED.get(os.pread(file.fileno(), 2, 0))
    if kind:
        raise UsageError(
            f"{path}: this tar is compressed ({kind}): decompress it first, "
            "shards are read by byte range"
        )


def _expand(path: Path) -> list[Path]:
    if is_corpus(path):
        return [path / SHARDS / shard.name for shard in load_manifest(path).shards]
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
