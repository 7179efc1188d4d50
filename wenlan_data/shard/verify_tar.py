"""Checks the structure of a WebDataset tar that has no manifest."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeGuard

from wenlan_data.bounded_json import MAX_JSON_BYTES, parse_json
from wenlan_data.errors import DamageError, in_short, os_errors
from wenlan_data.files import open_regular
from wenlan_data.shard.reader import MAX_SAMPLE_MEMBERS, Member, read_at, split_name
from wenlan_data.shard.tar_entries import CorruptTarError, EntryKind, TarEntry, tar_entries
from wenlan_data.shard.verify_corpus import END, Problem

FirstShard = Callable[[str, str], str | None]
"""Key and current shard to the shard that held the key before; None for a new key."""


def structure_problems(path: Path, first_shard: FirstShard) -> Iterator[Problem]:
    """Yields all problems of the tar at `path`, up to the byte at which its structure breaks."""
    grouping = _SampleGrouping(path, first_shard)
    last, jpeg = "", None
    with os_errors(path), open_regular(path) as file:
        try:
            for entry in tar_entries(path):
                last = entry.name
                yield from grouping.problems(entry)
                yield from _json_problems(path.name, file, entry, jpeg)
                jpeg = entry if entry.is_plain and entry.name.endswith(".jpg") else jpeg
        except CorruptTarError as error:
            after = f", after {last}" if last and not error.member else ""
            yield Problem(path.name, error.member or END, error.offset, error.problem + after)
            return
    if not grouping.has_sample:
        yield Problem(path.name, "", 0, "there is no sample in it")


class _SampleGrouping:
    """Groups adjacent members into samples, and reports members that break the grouping."""

    def __init__(self, path: Path, first_shard: FirstShard) -> None:
        self._path = path
        self._first_shard = first_shard
        self._key = ""
        self._extensions: set[str] = set()
        self.has_sample = False

    def problems(self, entry: TarEntry) -> Iterator[Problem]:
        """Yields problems of one entry: its type, its name and its place."""
        for problem in (
            _kind_problem(entry),
            _name_problem(entry.name),
            self._place_problem(entry),
        ):
            if problem:
                yield Problem(self._path.name, entry.name, entry.offset, problem)

    def _place_problem(self, entry: TarEntry) -> str:
        key, extension = split_name(entry.name)
        if not entry.is_plain or not key:
            return ""
        if key != self._key:
            self._key, self._extensions, self.has_sample = key, {extension}, True
            return self._new_key_problem(key)
        if extension in self._extensions:
            return f".{extension} is there twice in one sample"
        self._extensions.add(extension)
        # Said once: readers stop at this member.
        is_first = len(self._extensions) == MAX_SAMPLE_MEMBERS + 1
        return f"more than {MAX_SAMPLE_MEMBERS} members of one sample" if is_first else ""

    def _new_key_problem(self, key: str) -> str:
        first = self._first_shard(key, str(self._path))
        if first == str(self._path):
            return "not beside the other members of its sample: readers see two samples of one key"
        return f"the key is in {first} too" if first else ""


def _kind_problem(entry: TarEntry) -> str:
    if entry.kind in (EntryKind.FILE, EntryKind.FOLDER):
        return ""
    return f"{entry.kind}: a shard holds regular files only"


def _name_problem(name: str) -> str:
    if name.startswith(("/", "\\")) or name[1:3] == ":\\":
        return "an absolute path"
    return "the path leads out of its folder" if ".." in name.replace("\\", "/").split("/") else ""


def _json_problems(
    shard: str, file: BinaryIO, entry: TarEntry, jpeg: TarEntry | None
) -> Iterator[Problem]:
    """Yields problems of a .json member, and of the image before it if the member has its
    digest."""
    if not entry.is_plain or not entry.name.lower().endswith(".json"):
        return
    if entry.size > MAX_JSON_BYTES:
        problem = f"{entry.size} bytes of JSON, more than the {MAX_JSON_BYTES} that readers parse"
        yield Problem(shard, entry.name, entry.offset_data, problem)
        return
    try:
        value = parse_json(read_at(file, Member(entry.name, entry.offset_data, entry.size)))
        if jpeg and _has_digest(value, jpeg, entry):
            data = read_at(file, Member(jpeg.name, jpeg.offset_data, jpeg.size))
            if hashlib.sha256(data).hexdigest() != value["jpg_sha256"]:
                problem = f"not the bytes whose SHA-256 {entry.name} records"
                yield Problem(shard, jpeg.name, jpeg.offset_data, problem)
    except DamageError:
        return  # an image too large to load
    except ValueError as error:
        problem = f"not valid JSON ({in_short(error)})"
        yield Problem(shard, entry.name, entry.offset_data, problem)


def _has_digest(value: object, jpeg: TarEntry, entry: TarEntry) -> TypeGuard[dict[str, str]]:
    same = split_name(jpeg.name)[0] == split_name(entry.name)[0]
    return same and isinstance(value, dict) and isinstance(value.get("jpg_sha256"), str)
