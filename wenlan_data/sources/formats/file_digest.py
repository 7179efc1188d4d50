"""SHA-256 of large files, computed again only when a file may have changed."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import open_regular, read_bounded, write_atomic

_SETTLED_NS = 2_000_000_000
"""A digest is kept only of a file that was last changed this long before it was hashed. A file can
change twice within one tick of its file system's clock, with equal times: FAT has ticks of 2 s."""
_SAVE_GAP_S, _SAVE_GAP_FACTOR = 1.0, 20
"""Least time between two writes of the cache, and how often it is at least that of a write: what
was found since the last one is hashed again after a restart."""


_MAX_CACHE_BYTES = 1 << 29


class FileState(NamedTuple):
    """What changes with the content. No program can set the change time (`ctime`) of a file."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileState":
        return cls(
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
        )


class FileDigests:
    """Digests of files, kept in memory and, with `path`, over restarts.

    The file at `path` is a cache: if it is missing or corrupt, files are hashed again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, tuple[FileState, str]] = _load(path) if path else {}
        self._next_save_s = 0.0

    def sha256(self, file: Path) -> str:
        """Returns the SHA-256 of the file as it is now, 64 hex digits.

        Raises `UsageError` if it cannot be read, or changes meanwhile.
        """
        with os_errors(file), open_regular(file) as opened:
            status = os.fstat(opened.fileno())
            before = FileState.of(status)
            known = self._known.get(str(file))
            if known and known[0] == before:
                return known[1]
            started_ns = time.time_ns()
            found = hashlib.file_digest(opened, "sha256").hexdigest()
            if FileState.of(os.fstat(opened.fileno())) != before:
                raise UsageError(
                    f"{file}: it changes while it is read: wait until it is complete, and run the "
                    "same command"
                )
        if before.changed_ns + _SETTLED_NS < started_ns:
            self._known[str(file)] = before, found
            self._save()
        return found

    def _save(self) -> None:
        started_s = time.monotonic()
        if self._path and started_s >= self._next_save_s:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            value = {name: [*state, digest] for name, (state, digest) in self._known.items()}
            write_atomic(self._path, json.dumps(value).encode())
            # The whole cache is written: after each of 10,000 files it would take minutes.
            ended_s = time.monotonic()
            gap_s = max(_SAVE_GAP_S, _SAVE_GAP_FACTOR * (ended_s - started_s))
            self._next_save_s = ended_s + gap_s


def _load(path: Path) -> dict[str, tuple[FileState, str]]:
    try:
        value = json.loads(read_bounded(path, _MAX_CACHE_BYTES))
        return {
            str(name): (FileState(*map(int, state)), str(digest))
            for name, (*state, digest) in value.items()
        }
    except (OSError, DamageError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
