"""A lock on a folder, by which two processes do not write to it at once."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.files import open_lock

LOCK = ".lock"


class FolderLock:
    """Creates a folder, and holds its lock file while the context is open.

    The end removes the lock file, and the folders that the lock created where they are empty. The
    kernel releases the lock of a killed process.

    Raises `UsageError`, at once, where another process holds the lock, or `folder` is no folder.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._holder = holder
        """What another holder is, for the message."""
        self._descriptor = -1
        self._created: list[Path] = []

    def __enter__(self) -> "FolderLock":
        if self._folder.exists() and not self._folder.is_dir():
            raise UsageError(f"{self._folder}: not a folder: choose another --out")
        folders = (self._folder, *self._folder.parents)
        self._created = [path for path in folders if not path.exists()]
        with os_errors(self._path):
            self._folder.mkdir(parents=True, exist_ok=True)
            while not self._acquire():
                pass
        _held.append(self._descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Ends the lock, if it is held."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        # Before it is unlocked: afterwards it may be the file of the next holder.
        with suppress(OSError):
            self._path.unlink()
        _held.remove(descriptor)
        os.close(descriptor)
        for path in self._created:
            with suppress(OSError):
                path.rmdir()

    def _acquire(self) -> bool:
        """Locks the file; False where its last holder removed it meanwhile."""
        descriptor = open_lock(self._path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_at_path(descriptor):
                self._descriptor = descriptor
        except BlockingIOError:
            raise UsageError(
                f"{self._folder}: another {self._holder} is running here: wait for it, or choose "
                "another --out"
            ) from None
        finally:
            if self._descriptor < 0:
                os.close(descriptor)
        return self._descriptor >= 0

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False


_held: list[int] = []
"""Descriptors of the locks that this process holds."""


def _close_in_child() -> None:
    """A forked worker may outlive its parent, and would keep the lock."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
