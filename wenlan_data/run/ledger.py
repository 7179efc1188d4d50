"""What is done is not done again: each part's files lie in one folder that came to be by one rename.

WORK/lock                                   held by the build that runs
WORK/attempts/<attempt>/                    where a task writes; nobody reads it
WORK/generations/000003/<step>/00017/       a committed part: its files and receipt.json
WORK/crawls/<crawl>/000003/<step>/00017/    the same of a round of a crawl
"""

import fcntl
import json
import os
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import IO

from wenlan_data.errors import DamageError, UsageError
from wenlan_data.files import sync, write_synced
from wenlan_data.protocols import Receipt

RECEIPT = "receipt.json"


class Ledger:
    """The parts of one output. Use as a context manager: it holds the lock while it is open.

    Raises `UsageError` where another build holds the same work folder.
    """

    def __init__(self, work: Path, tree: str = "generations") -> None:
        self.work = work
        self._tree = tree
        self._lock: IO[str] | None = None

    def __enter__(self) -> "Ledger":
        self.work.mkdir(parents=True, exist_ok=True)
        lock = (self.work / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise UsageError(
                f"{self.work}: another build (process {holder}) is at work here: wait for it, or choose another --out"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self._clear_attempts()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._lock:
            if kind is None:
                # A worker of a build that was killed may have begun one after this build had cleared them.
                self._clear_attempts()
            self._lock.close()

    def crawl(self, name: str) -> "Ledger":
        """The same ledger for the rounds of a crawl, which stand where the generations stand here."""
        return Ledger(self.work, f"crawls/{name}")

    def generation(self, number: int) -> Path:
        """The folder of a generation."""
        return self.work / self._tree / f"{number:06d}"

    def part(self, generation: int, step: str, number: int) -> Path:
        """Where a part's files lie once it is committed."""
        return self.generation(generation) / step / f"{number:05d}"

    def receipt(self, generation: int, step: str, number: int) -> Receipt | None:
        """The receipt of a committed part, None for one that is still to be done."""
        path = self.part(generation, step, number) / RECEIPT
        try:
            return Receipt(**json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise DamageError(
                f"{path}: not a receipt ({error}): remove {path.parent}, the part is done again"
            ) from error

    def attempt(self) -> Path:
        """A folder's name for one attempt at a part; the task makes the folder."""
        return self.work / "attempts" / uuid.uuid4().hex

    def discard(self, folder: Path) -> None:
        """Remove a folder at once: half-removed, it must never be taken for one that is begun."""
        grave = self.attempt()
        folder.rename(grave)
        shutil.rmtree(grave)

    def commit(
        self, attempt: Path, receipt: Receipt, generation: int, step: str, number: int
    ) -> Path:
        """Make the attempt's files the part. Only the driver calls this; what is committed stays."""
        write_synced(
            attempt / RECEIPT,
            json.dumps(asdict(receipt), ensure_ascii=False, sort_keys=True).encode(),
        )
        for path in attempt.rglob("*"):
            if path.is_file():
                sync(path)
        sync(attempt)
        target = self.part(generation, step, number)
        target.parent.mkdir(parents=True, exist_ok=True)
        attempt.rename(target)
        sync(target.parent)
        return target

    def _clear_attempts(self) -> None:
        shutil.rmtree(self.work / "attempts", ignore_errors=True)
        (self.work / "attempts").mkdir(exist_ok=True)
