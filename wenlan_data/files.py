"""Files in folders to which strangers may have added: atomic writes that follow no link (whoever
opens a file finds the old one or the new one, never a part of it), reads that never block, digests.
"""

import ctypes
import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wenlan_data.errors import DamageError, UsageError

PARTIAL = ".partial"
"""Suffix of a file that is being written. Hidden as well (leading dot), so no reader of a folder
takes it for a result; `gc` removes those that a kill left behind."""
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync(path: Path) -> None:
    """Flushes a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path | str) -> io.BufferedReader:
    """Opens a regular file for reading.

    Raises `OSError` for anything else, at once: a pipe without a writer would block for ever, and
    opening a device may start it. Also for a NUL character in the path, which no file can have.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a path with a NUL character", str(path))
    _expect_regular(Path(path).stat(), path)
    # Not blocking: a pipe may have taken the file's place since.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _expect_regular(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _expect_regular(status: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Returns the bytes of a file. Raises `OSError` for what is not a regular file, and
    `DamageError` for more than `max_bytes`."""
    with open_regular(path) as file:
        # First its size: a file with holes takes no disk, and all the memory that it is read into.
        is_larger = os.fstat(file.fileno()).st_size > max_bytes
        data = b"" if is_larger else file.read(max_bytes + 1)
    if is_larger or len(data) > max_bytes:
        raise DamageError(f"{path}: larger than {max_bytes} bytes, the limit of such a file")
    return data


def open_lock(path: Path, flags: int = 0) -> int:
    """Opens, and creates if it is missing, a file to be locked; returns its descriptor. `flags` are
    further ones of `os.open`, such as `os.O_APPEND`.

    Raises `OSError` for a link, and for anything else that is not a regular file.
    """
    with suppress(FileNotFoundError):
        _expect_regular(path.lstat(), path)
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        _expect_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def inner_folder(root: Path, name: str) -> Path:
    """Returns the folder `root/name`, created if it is missing.

    Raises `UsageError` for a link that leads out of `root`: what is written must stay inside.
    """
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{folder}: a link that leads out of {root}: put a folder in its place")
    return folder


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Gives an `OSError` of the body the name of the file: one of a write or a flush has none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, 64 hex digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Writes a new file and flushes it. Not atomic: for folders that nobody reads yet."""
    with _named(path), path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_new(path: Path, data: bytes) -> None:
    """Writes a file that must not exist; raises `FileExistsError` where it does, or a link does.

    It appears whole or not at all.
    """
    partial = partial_path(path)
    try:
        with _named(path), partial.open("xb") as file:
            file.write(data)
        _rename_new(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _rename_new(partial: Path, path: Path) -> None:
    try:
        # Unlike a rename, this replaces nothing.
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:
        # The file system has no hard links.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        partial.rename(path)


def write_atomic(path: Path, data: bytes) -> None:
    """Replaces `path` by a file with these bytes, flushed to the disk."""
    with atomic_path(path) as partial, _named(path):
        partial.write_bytes(data)


def partial_path(path: Path) -> Path:
    """Returns a hidden path beside `path` that is written first.

    It is another one each time, and cannot be foreseen: no link can wait there, and writers of one
    file do not meet.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields the `partial_path` of a new empty file; at the end it is flushed and renamed to `path`.

    A link at `path` is replaced, not followed. Where the body raises, the partial file is removed
    and `path` stays as it was.
    """
    partial = partial_path(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(partial, flags, 0o666))
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
