"""What can be said of a stranger's WebDataset tar, which comes without a manifest."""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.shard.reader import (
    CorruptTarError,
    Member,
    is_plain,
    read_at,
    split_name,
    tar_entries,
)
from wenlan_data.shard.verify_corpus import END, Problem

FirstShard = Callable[[str, str], str]
"""Of a key and the shard it is met in, the shard that held the key first."""


def structure_problems(path: Path, first_shard: FirstShard) -> Iterator[Problem]:
    """Everything wrong with the tar at `path`; where it breaks, the rest of it cannot be read."""
    samples = _Samples(path, first_shard)
    last = ""
    picture: tarfile.TarInfo | None = None
    with os_errors(path), path.open("rb") as file:
        try:
            for entry in tar_entries(path):
                last = entry.name
                yield from samples.take(entry)
                yield from _json(path.name, file, entry, picture)
                picture = entry if is_plain(entry) and entry.name.endswith(".jpg") else picture
        except CorruptTarError as error:
            inside = "unexpected end of data" in error.problem
            after = f", after {last}" if last and not inside else ""
            yield Problem(path.name, last if inside else END, error.offset, error.problem + after)
    if not samples.keys:
        yield Problem(path.name, "", 0, "there is no sample in it")


class _Samples:
    """The grouping of members by neighbourhood, and what offends it."""

    def __init__(self, path: Path, first_shard: FirstShard) -> None:
        self._path = path
        self._first_shard = first_shard
        self._key = ""
        self._extensions: set[str] = set()
        self.keys: set[str] = set()

    def take(self, entry: tarfile.TarInfo) -> Iterator[Problem]:
        """Findings about one entry as such and about its place."""
        for problem in (
            _kind_problem(entry),
            _name_problem(entry.name),
            self._place_problem(entry),
        ):
            if problem:
                yield Problem(self._path.name, entry.name, entry.offset, problem)

    def _place_problem(self, entry: tarfile.TarInfo) -> str:
        key, extension = split_name(entry.name)
        if not is_plain(entry) or not key:
            return ""
        if key == self._key:
            again = extension in self._extensions
            self._extensions.add(extension)
            return f".{extension} is there twice in one sample" if again else ""
        self._key, self._extensions = key, {extension}
        return self._new_key_problem(key)

    def _new_key_problem(self, key: str) -> str:
        if key in self.keys:
            return "not beside the other members of its sample: readers see two samples of one key"
        self.keys.add(key)
        first = self._first_shard(key, str(self._path))
        return "" if first == str(self._path) else f"the key is in {first} too"


def _kind_problem(entry: tarfile.TarInfo) -> str:
    if is_plain(entry) or entry.isdir():
        return ""
    kinds = {
        "a symbolic link": entry.issym(),
        "a hard link": entry.islnk(),
        "a device or pipe": entry.isdev(),
    }
    kind = next((name for name, holds in kinds.items() if holds), "no regular file")
    return f"{kind}: a shard holds regular files only"


def _name_problem(name: str) -> str:
    if name.startswith(("/", "\\")) or name[1:3] == ":\\":
        return "an absolute path"
    return "the path leads out of its folder" if ".." in name.replace("\\", "/").split("/") else ""


def _json(
    shard: str, file: BinaryIO, entry: tarfile.TarInfo, picture: tarfile.TarInfo | None
) -> Iterator[Problem]:
    """Findings about a .json member, and about the picture before it where the member records its digest."""
    if not is_plain(entry) or not entry.name.lower().endswith(".json"):
        return
    try:
        value = json.loads(read_at(file, Member(entry.name, entry.offset_data, entry.size)))
        if picture and _is_recorded(value, picture, entry):
            data = read_at(file, Member(picture.name, picture.offset_data, picture.size))
            if hashlib.sha256(data).hexdigest() != value["jpg_sha256"]:
                problem = f"not the bytes whose SHA-256 {entry.name} records"
                yield Problem(shard, picture.name, picture.offset_data, problem)
    except DamageError:
        return  # too large to be looked at, or cut: then the end of the tar says so
    except (ValueError, RecursionError) as error:
        yield Problem(shard, entry.name, entry.offset_data, f"not valid JSON ({error})")


def _is_recorded(value: object, picture: tarfile.TarInfo, entry: tarfile.TarInfo) -> bool:
    same = split_name(picture.name)[0] == split_name(entry.name)[0]
    return same and isinstance(value, dict) and isinstance(value.get("jpg_sha256"), str)
