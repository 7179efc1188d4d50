"""Files of committed parts, checked against their receipts where they are read.

Found are files that are missing, of another size, or changed on the disk. A checksum is no proof
against somebody who may write to the work folder.
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import google_crc32c
from pydantic import TypeAdapter

from wenlan_data.errors import DamageError, in_short, os_errors
from wenlan_data.layout import IMAGE_WARC, RECEIPT, STORED_JPEGS, part_name
from wenlan_data.state_files import Remedy, load_json, load_state

ValueT = TypeVar("ValueT")

_PASSES = ("slice", "fetch")
"""Steps that take turns: what a pass leaves, such as redirects, is fetched in the next one."""
_FROM_NEAR = ("dedupe", "shard", "drops")
_LATER_STEPS = {
    "extract": (*_PASSES, "near", *_FROM_NEAR),
    "slice": ("fetch", "near", *_FROM_NEAR),
    "fetch": ("near", *_FROM_NEAR),
    "against": _FROM_NEAR,
    "near": _FROM_NEAR,
    "dedupe": ("shard", "drops"),
    "shard": ("drops",),
    "frontier": ("crawl",),
}
"""Step to those whose parts are made from its parts."""
_CRAWL_STEPS = ("frontier", "crawl")
_CRAWL_DEPTH = 5
"""Folders of `crawls/<crawl>/000003/crawl/00017`."""
_PART_DEPTH = 4
"""Folders of `generations/000003/fetch/00017` and of `<crawl>/000003/crawl/00017`."""

_CHUNK_BYTES = 1 << 22
_CHECKED_WHEN_READ = {IMAGE_WARC, STORED_JPEGS}
"""Files whose images have a digest each. A later part may link such a file to read a few images, so
it is not read as a whole."""
_FOLDERS_UP = 2
"""Files of a part lie in its folder or one below, such as `index/phash.npy`."""


@dataclass(frozen=True, slots=True)
class FileChecksum:
    """State of a file when its part ended."""

    bytes: int
    crc32c: str
    """8 hex digits; empty where only the size is recorded."""


_FILES = TypeAdapter(dict[str, FileChecksum])


def file_checksums(folder: Path) -> dict[str, FileChecksum]:
    """Returns the state of every file below the folder of a part that has ended."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_checksum(path) for path in paths}


def checked(path: Path | str) -> Path:
    """Returns `path`. A file that a receipt names is checked against it, once a process.

    Raises `DamageError` where it is missing or has changed.
    """
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    # First: a table is opened once for each column, and its receipt may be long.
    key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns) if status else None
    if key in _checked:
        return path
    folder, recorded = _recorded(path)
    # Also where nothing is recorded: whoever opens a pipe waits for ever.
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise DamageError(f"{path}: is not a regular file: {redo_part(folder)}")
    if recorded is None:
        return path
    check_file(path, recorded, lambda: redo_part(folder))
    _checked[key] = None
    return path


def part_path(folder: Path) -> str:
    """Returns the path of a part as its receipt holds it, such as `generations/000003/fetch/00017`,
    so that a part which was put in the place of another is found."""
    return "/".join(folder.parts[-_PART_DEPTH:])


def load_receipt(folder: Path) -> dict[str, Any] | None:
    """Returns the receipt of a part as JSON; None where there is none.

    Raises `DamageError` for a file that is no receipt, and for one of another part.
    """
    path, expected = folder / RECEIPT, part_path(folder)
    value = load_json(path, lambda: redo_part(folder))
    if value is None:
        return None
    if not isinstance(value, dict):
        raise DamageError(f"{path}: is no receipt of a part: {redo_part(folder)}")
    # Older builds did not record it.
    found = value.get("part", expected)
    if found != expected:
        raise DamageError(
            f"{path}: belongs to the part {in_short(str(found))}: put each part back into its place"
        )
    return value


def redo_part(folder: Path) -> str:
    """Returns what to do about a part whose files are lost or changed."""
    own = [folder]
    if folder.parent.name in _PASSES and (folder.parents[1] / "slice" / part_name(1)).is_dir():
        # Later passes follow from what earlier ones fetched, and their numbers from both.
        own = [folder.parents[1] / step for step in _PASSES]
    later = [one for one in made_later(folder) if one not in own]
    return redo_parts(folder, [*(one for one in own if one.exists()), *later])


def redo_parts(folder: Path, removed: Sequence[Path]) -> str:
    """Returns what to do about a lost part, where these folders hold it and what follows from
    it."""
    remedy, condition = "restore it from a copy", "its generation is not published yet"
    if folder.parent.name in _CRAWL_STEPS:
        # A generation does not know which of its parts belong to this page.
        generations = (
            [folder.parents[4] / "generations"] if len(folder.parts) > _CRAWL_DEPTH else []
        )
        if any(map(_is_filled, generations)):
            removed, condition = [*removed, *generations], "nothing is published yet"
    if not removed:
        return remedy
    parts = "this part" if [*removed] == [folder] else "these parts"
    return (
        f"{remedy} or, if {condition}, remove {_listed(removed)}: the same command then runs "
        f"{parts} again"
    )


def made_later(folder: Path) -> list[Path]:
    """Returns the folders of steps and rounds that follow from a part, where there are any parts in
    them."""
    generation, step = folder.parents[1], folder.parent.name
    later = [generation / one for one in _LATER_STEPS.get(step, ())]
    if step in _CRAWL_STEPS and generation.parent.is_dir():
        later += sorted(one for one in generation.parent.iterdir() if one.name > generation.name)
    return list(filter(_is_filled, later))


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _listed(paths: Sequence[Path]) -> str:
    """Returns the paths as a list in words; neighbours of one folder as a range."""
    words: list[str] = []
    for _, group in groupby(paths, lambda path: path.parent if path.name.isdigit() else path):
        first, *others = group
        words.append(f"{first} to {others[-1].name}" if others else str(first))
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def load_part_state(path: Path, kind: type[ValueT]) -> ValueT:
    """Returns the content of a JSON file of a part as `kind`. Raises `DamageError` where it is
    missing or not as the part wrote it."""
    value = load_state(checked(path), kind, lambda: redo_part(path.parent))
    if value is None:
        raise DamageError(f"{path}: is missing: {redo_part(path.parent)}")
    return value


_checked: dict[tuple[str, int, int, int] | None, None] = {}
"""Path, inode, size and time of files that were found as recorded."""


def check_file(path: Path, recorded: FileChecksum, remedy: Remedy) -> None:
    """Raises `DamageError`, which states the `remedy`, unless a file is as it was recorded."""
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        problem = "is missing"
    elif size != recorded.bytes:
        problem = f"has {size} bytes, {recorded.bytes} were written"
    elif recorded.crc32c and (found := _crc32c(path)) != recorded.crc32c:
        problem = f"its CRC-32C is {found}, {recorded.crc32c} was written"
    else:
        return
    raise DamageError(f"{path}: {problem}: {remedy if isinstance(remedy, str) else remedy()}")


def _recorded(path: Path) -> tuple[Path, FileChecksum | None]:
    """Returns the folder of the part that a file belongs to, and what its receipt records."""
    folder = path.parent
    for _ in range(_FOLDERS_UP):
        receipt = folder / RECEIPT
        try:
            status = receipt.stat()
        except OSError:
            folder = folder.parent
            continue
        files = _files_of(receipt, status.st_ino, status.st_size, status.st_mtime_ns)
        return folder, files.get(path.relative_to(folder).as_posix())
    return path.parent, None


@lru_cache(maxsize=1024)
def _files_of(receipt: Path, *_state: int) -> dict[str, FileChecksum]:
    files = (load_receipt(receipt.parent) or {}).get("files", {})
    try:
        return _FILES.validate_python(files)
    except ValueError as error:
        problem = "its list of files is not valid"
        raise DamageError(f"{receipt}: {problem}: {redo_part(receipt.parent)}") from error


def file_checksum(path: Path) -> FileChecksum:
    """Returns the state of a file."""
    crc32c = "" if path.name in _CHECKED_WHEN_READ else _crc32c(path)
    return FileChecksum(path.stat().st_size, crc32c)


def _crc32c(path: Path) -> str:
    value = 0
    with os_errors(path), path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            value = google_crc32c.extend(value, chunk)
    return f"{value:08x}"
