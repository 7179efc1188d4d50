"""Files of committed parts, checked against their receipts where they are read.

Found are files that are missing, of another size, or changed on the disk. A checksum is no proof
against somebody who may write to the work folder.
"""

import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import google_crc32c
from pydantic import TypeAdapter

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.layout import IMAGE_WARC, RECEIPT, STORED_JPEGS
from wenlan_data.state_files import load_json, load_state

ValueT = TypeVar("ValueT")

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
    return {path.relative_to(folder).as_posix(): _state_of(path) for path in paths}


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
    if key is None or status is None:
        raise DamageError(f"{path}: is missing: {redo_part(folder)}")
    _check(path, recorded, status.st_size, folder)
    _checked[key] = None
    return path


def redo_part(folder: Path) -> str:
    """Returns what to do about a part whose files are lost or changed."""
    return (
        f"restore the file from a copy or, if its generation is not published yet, remove {folder}:"
        " the same command then runs this part again"
    )


def load_part_state(path: Path, kind: type[ValueT]) -> ValueT:
    """Returns the content of a JSON file of a part as `kind`. Raises `DamageError` where it is
    missing or not as the part wrote it."""
    remedy = redo_part(path.parent)
    value = load_state(checked(path), kind, remedy)
    if value is None:
        raise DamageError(f"{path}: is missing: {remedy}")
    return value


_checked: dict[tuple[str, int, int, int] | None, None] = {}
"""Path, inode, size and time of files that were found as recorded."""


def _check(path: Path, recorded: FileChecksum, size: int, folder: Path) -> None:
    if size != recorded.bytes:
        problem = f"has {size} bytes, {recorded.bytes} were written"
    elif recorded.crc32c and (found := _crc32c(path)) != recorded.crc32c:
        problem = f"its CRC-32C is {found}, {recorded.crc32c} was written"
    else:
        return
    raise DamageError(f"{path}: {problem}: {redo_part(folder)}")


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
    value = load_json(receipt, redo_part(receipt.parent))
    files = value.get("files", {}) if isinstance(value, dict) else {}
    try:
        return _FILES.validate_python(files)
    except ValueError as error:
        problem = "its list of files is not valid"
        raise DamageError(f"{receipt}: {problem}: {redo_part(receipt.parent)}") from error


def _state_of(path: Path) -> FileChecksum:
    crc32c = "" if path.name in _CHECKED_WHEN_READ else _crc32c(path)
    return FileChecksum(path.stat().st_size, crc32c)


def _crc32c(path: Path) -> str:
    value = 0
    with os_errors(path), path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            value = google_crc32c.extend(value, chunk)
    return f"{value:08x}"
