"""Atomic writes (whoever opens a file finds the old one or the new one, never a part of it), and
digests of files."""

import ctypes
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""Suffix of a file that is being written. Hidden as well (leading dot), so no reader of a folder
takes it for a result; `gc` removes those that a kill left behind."""
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync(path: Path) -> None:
    """Flushes a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Writes a whole file and flushes it. Not atomic: for folders that nobody reads yet."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_new(path: Path, data: bytes) -> None:
    """Writes a file that must not exist; raises `FileExistsError` where it does."""
    with path.open("xb") as file:
        file.write(data)


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces `path` by a file with these bytes, flushed to the disk."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def partial_path(path: Path, *, unique: bool = False) -> Path:
    """Returns the hidden path beside `path` that is written first.

    Where several processes may write the same file, `unique` gives each its own.
    """
    writer = f".{os.getpid()}" if unique else ""
    return path.with_name(f".{path.name}{writer}{PARTIAL}")


@contextmanager
def atomic_path(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """Yields a path to write to; at the end its file is flushed and renamed to `path`.

    Where the body raises, the partial file is removed and `path` stays as it was.
    """
    partial = partial_path(path, unique=unique)
    try:
        yield partial
        sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    # Without this, a power cut may restore the old name after the caller has continued.
    sync(path.parent)


def exchange(one: Path, other: Path) -> bool:
    """Gives two files or folders of one file system each other's name, in one system call.

    Returns False, without effect, where the system or the file system has no such call (it is
    Linux's `renameat2`; ext4, XFS, Btrfs and tmpfs have it). Raises `OSError`.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number), str(other))
