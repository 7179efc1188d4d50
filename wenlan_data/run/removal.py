"""Removal of files below a given folder, never through a link."""

import os
from collections.abc import Iterable
from pathlib import Path

from wenlan_data.errors import UsageError, os_errors


def check_removable(paths: Iterable[Path], roots: Iterable[Path]) -> None:
    """Raises `UsageError` where a path is below none of the folders, or a link is on its way."""
    known: set[Path] = set()
    folders = [root.absolute() for root in roots]
    for path in paths:
        root = next((one for one in folders if path.absolute().is_relative_to(one)), None)
        if root is None or ".." in path.absolute().relative_to(root).parts:
            raise UsageError(f"{path}: is not in {folders[0]}: nothing was removed")
        parent = path.absolute().parent
        while parent != root and parent not in known:
            if parent.is_symlink():
                raise UsageError(
                    f"{parent}: is a link, and gc removes nothing behind links: replace it by the "
                    "folder itself"
                )
            known.add(parent)
            parent = parent.parent


def remove_file(path: Path, root: Path) -> None:
    """Removes a file below `root`. Raises `UsageError` where a link is on the way."""
    folders = path.relative_to(root).parts[:-1]
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with os_errors(path):
        # Folder by folder, so that none can be replaced by a link between check and removal.
        descriptor = os.open(root, flags)
        try:
            for name in folders:
                inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            os.unlink(path.name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
