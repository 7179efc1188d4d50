"""The record of committed parts: one rename of its folder commits a part, which never runs again.

`layout` draws the tree of the work folder.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar

from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import open_lock, sync, write_synced
from wenlan_data.layout import RECEIPT, StepTree, WorkFolder
from wenlan_data.part_files import (
    load_receipt,
    made_later,
    part_path,
    redo_part,
    redo_parts,
)
from wenlan_data.protocols import Receipt
from wenlan_data.state_files import encode_state, validated

DetailsT = TypeVar("DetailsT")

_MAX_ID_CHARS = 20


class Ledger:
    """Committed parts of one output. A context manager that holds the lock while it is open.

    Raises `UsageError` where another build holds the same work folder.
    """

    def __init__(self, work: Path, tree: StepTree | None = None) -> None:
        self.folder = WorkFolder(work)
        self.tree = tree or self.folder.generations
        self._lock: FileIO | None = None

    def __enter__(self) -> "Ledger":
        self.folder.root.mkdir(parents=True, exist_ok=True)
        # Not truncated: it would erase the holder's process id before the lock is known to be
        # free. A link would lead the truncation below to a file elsewhere.
        with os_errors(self.folder.lock):
            lock = os.fdopen(open_lock(self.folder.lock), "r+b", buffering=0)
        try:
            # The kernel releases a flock with its process, so a killed build leaves no stale lock.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = (lock.read(_MAX_ID_CHARS) or b"").decode("utf-8", "replace").strip()
            lock.close()
            raise UsageError(
                f"{self.folder.root}: another build (process {holder or 'unknown'}) is running here: "
                "wait for it, or choose another --out"
            ) from None
        try:
            # A failed write does not name its file.
            with os_errors(self.folder.lock):
                lock.truncate(0)
                # Not buffered: `close` would try to write a second time what had failed.
                lock.write(str(os.getpid()).encode())
            # Only now: before the lock is held, the attempts may be those of a build that is
            # running.
            self._clear_attempts()
        except BaseException:
            lock.close()
            raise
        self._lock = lock
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._lock:
            if kind is None:
                # A worker of a killed build may have started an attempt after this build cleared
                # them.
                self._clear_attempts()
            self._lock.close()

    def crawl(self, name: str) -> "Ledger":
        """Returns the ledger of a crawl, whose rounds take the place of generations."""
        return Ledger(self.folder.root, self.folder.crawl(name))

    def generation(self, number: int) -> Path:
        """Returns the folder of a generation."""
        return self.tree.generation(number)

    def part(self, generation: int, step: str, number: int) -> Path:
        """Returns the folder of a part, committed or not."""
        return self.tree.part(generation, step, number)

    def receipt(
        self, generation: int, step: str, number: int, details: type[DetailsT]
    ) -> Receipt[DetailsT] | None:
        """Returns the receipt of a committed part; None for one that is not committed.

        `details` is the dataclass that the step's receipts carry. Raises `DamageError` for a file
        that is no such receipt, and for a part that has lost its receipt.
        """
        # The receipt is the only proof of a commit. No list of parts is kept beside it: after a
        # kill the two might disagree.
        folder = self.part(generation, step, number)
        generic: Any = Receipt
        value = load_receipt(folder)
        if value is not None:
            receipt: Receipt[DetailsT] = validated(
                folder / RECEIPT, value, generic[details], lambda: redo_part(folder)
            )
            return receipt
        # A folder gets this name with its receipt in it. Without one the part would be run again,
        # and could then not be committed.
        if folder.exists():
            raise DamageError(f"{folder / RECEIPT}: is missing: {redo_part(folder)}")
        return None

    def committed(
        self, generation: int, step: str, number: int, details: type[DetailsT]
    ) -> Receipt[DetailsT]:
        """Returns the receipt of a part that must be committed. Raises `DamageError` where it is
        not."""
        receipt = self.receipt(generation, step, number, details)
        if receipt is None:
            path = self.part(generation, step, number) / RECEIPT
            raise DamageError(f"{path}: this receipt of a part is missing: restore it from a copy")
        return receipt

    def check_order(
        self, generation: int, step: str, number: int, passes: Mapping[str, int] | None = None
    ) -> None:
        """Raises `DamageError` where parts that were made from this one are committed: run again,
        it might give them another input.

        `passes` names the steps that take turns, with the lowest number of a part that is made
        later.
        """
        folder = self.part(generation, step, number)
        first = passes or {}
        later = [one for one in made_later(folder) if one.name not in first]
        later += [
            part
            for name, lowest in first.items()
            for part in sorted(self.tree.step(generation, name).glob("[0-9]*"))
            if int(part.name) >= lowest
        ]
        if later:
            raise DamageError(
                f"{folder}: this part is missing, and others that were made from it are committed: "
                f"{redo_parts(folder, later)}"
            )

    def attempt(self) -> Path:
        """Returns a new folder name for an attempt at a part; the task creates the folder."""
        # Unique: a worker that was given up may still write to its folder while the part is tried
        # again.
        return self.folder.attempts / uuid.uuid4().hex

    def discard(self, folder: Path) -> None:
        """Removes a folder. It is renamed first: half of it must never look like a started
        generation."""
        if folder.is_symlink():
            raise UsageError(f"{folder}: is a link: put the folder that it leads to in its place")
        # Into the attempts: if the build is killed here, the next one clears the rest.
        removed = self.attempt()
        folder.rename(removed)
        shutil.rmtree(removed)

    def commit(
        self, attempt: Path, receipt: Receipt[object], generation: int, step: str, number: int
    ) -> Path:
        """Makes the folder of the attempt the part.

        Only the driver commits: a worker that was given up cannot replace a committed part.
        """
        target = self.part(generation, step, number)
        if not attempt.is_dir():
            raise UsageError(
                f"{attempt}: the worker wrote this folder where it cannot be seen here: every node "
                "must reach the same --work under the same path"
            )
        value = {**asdict(receipt), "part": part_path(target)}
        write_synced(attempt / RECEIPT, encode_state(value))
        # All files and folders first, then the rename: after a power cut the part is either absent
        # or whole.
        for path in attempt.rglob("*"):
            sync(path)
        sync(attempt)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Fails where the part is committed already (a folder that is not empty), so the first
        # receipt stands.
        attempt.rename(target)
        # The rename itself: without it a power cut may undo a commit that later steps have built
        # on.
        sync(target.parent)
        return target

    def _clear_attempts(self) -> None:
        # A link would lead workers to a folder elsewhere.
        if self.folder.attempts.is_symlink():
            self.folder.attempts.unlink()
        elif self.folder.attempts.exists() and not self.folder.attempts.is_dir():
            raise UsageError(
                f"{self.folder.attempts}: is no folder: move it out of the work folder"
            )
        shutil.rmtree(self.folder.attempts, ignore_errors=True)
        self.folder.attempts.mkdir(exist_ok=True)
