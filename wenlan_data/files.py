"""Atomic writes: a file is there whole, or not at all."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a whole file and flush it; not atomic, so for folders that nobody reads yet."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_synced(path: Path, data: bytes) -> None:
    """Put a whole file in the place of `path`, which others may read: it is the old one or the new one."""
    temporary = path.with_name(f".{path.stem}.tmp")
    write_synced(temporary, data)
    temporary.replace(path)
