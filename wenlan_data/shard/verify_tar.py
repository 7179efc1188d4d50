"""Checks the structure of a WebDataset tar that has no manifest."""

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
"""Key and current shard to the shard that held the key first."""


def structure_problems(path: Path, first_shard: FirstShard) -> Iterator[Problem]:
    """Yields all problems of the tar at `path`, up to the byte at which its structure breaks."""
    grouping = _SampleGrouping(path, first_shard)
    last = ""
    jpeg: tarfile.TarInfo | None = None
    with os_errors(path), path.open("rb") as file:
        try:
            for entry in tar_entries(path):
                last = entry.name
                yield from grouping.problems(entry)
                yield from _json_problems(path.name, file, entry, jpeg)
                jpeg = entry if is_plain(entry) and entry.name.endswith(".jpg") else jpeg
        except CorruptTarError as error:
            inside = "unexpected end of data" in error.problem
            after = f", after {last}" if last and not inside else ""
            yield Problem(path.name, last if inside else END, error.offset, error.problem + after)
    if not grouping.keys:
        yield Problem(path.name, "", 0, "there is no sample in it")


class _SampleGrouping:
    """Groups adjacent members into samples, and reports members that break the grouping."""

    def __init__(self, path: Path, first_shard: FirstShard) -> None:
        self._path = path
        self._first_shard = first_shard
        self._key = ""
        self._extensions: set[str] = set()
        self.keys: set[str] = set()

    def problems(self, entry: tarfile.TarInfo) -> Iterator[Problem]:
        """Yields problems of one entry: its type, its name and its place."""
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


def _json_problems(
    shard: str, file: BinaryIO, entry: tarfile.TarInfo, jpeg: tarfile.TarInfo | None
) -> Iterator[Problem]:
    """Yields problems of a .json member, and of the image before it if the member has its
    digest."""
    if not is_plain(entry) or not entry.name.lower().endswith(".json"):
        return
    try:
        value = json.loads(read_at(file, Member(entry.name, entry.offset_data, entry.size)))
        if jpeg and _has_digest(value, jpeg, entry):
            data = read_at(file, Member(jpeg.name, jpeg.offset_data, jpeg.size))
            if hashlib.sha256(data).hexdigest() != value["jpg_sha256"]:
                problem = f"not the bytes whose SHA-256 {entry.name} records"
                yield Problem(shard, jpeg.name, jpeg.offset_data, problem)
    except DamageError:
        return  # too large to load; or truncated, which the end of the tar reports
    except (ValueError, RecursionError) as error:
        yield Problem(shard, entry.name, entry.offset_data, f"not valid JSON ({error})")


def _has_digest(value: object, jpeg: tarfile.TarInfo, entry: tarfile.TarInfo) -> bool:
    same = split_name(jpeg.name)[0] == split_name(entry.name)[0]
    return same and isinstance(value, dict) and isinstance(value.get("jpg_sha256"), str)
