"""The in-process executor: one worker runs parts in the calling thread, several run in threads."""

import ctypes
import queue
import socket
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from wenlan_data.errors import UsageError
from wenlan_data.part_files import file_checksums
from wenlan_data.protocols import Part, Receipt

DetailsT = TypeVar("DetailsT")


def run_part(part: Part[DetailsT], out: Path) -> Receipt[DetailsT]:
    """Runs a part into a new folder; every executor calls this in its worker.

    The receipt states the checksums of its files.
    """
    if not out.parent.is_dir():
        raise UsageError(
            f"{out.parent}: {socket.gethostname()} cannot see this folder: every node must reach "
            "the same --work under the same path"
        )
    # Fails for an existing folder: two attempts must never mix their files.
    out.mkdir()
    return replace(part(out), files=file_checksums(out))


class LocalExecutor:
    """Runs parts in this process. Starts at once; image decoders release the GIL."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._waiting: deque[tuple[str, Part[object], Path]] = deque()
        self._done: queue.SimpleQueue[tuple[str, Receipt[object] | BaseException]] = (
            queue.SimpleQueue()
        )
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None
        self._threads: set[int] = set()
        """Identifiers of the threads that run a part."""
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, token: str, part: Part[object], out: Path) -> None:
        """Starts `part`, or queues it where there is one worker."""
        if self._pool is None:
            self._waiting.append((token, part, out))
            return
        future = self._pool.submit(self._run_in_thread, part, out)
        future.add_done_callback(lambda done: self._record(token, done))

    def next_done(self, timeout_s: float) -> tuple[str, Receipt[object] | BaseException] | None:
        """Returns the next outcome; with one worker this call runs the part."""
        if self._pool is None:
            if not self._waiting:
                return None
            token, part, out = self._waiting.popleft()
            try:
                return token, run_part(part, out)
            except Exception as error:  # noqa: BLE001 - the scheduler re-raises it
                return token, error
        try:
            return self._done.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def finish(self) -> None:
        """Does nothing: threads stop at once."""

    def close(self) -> None:
        """Drops what is queued, and ends the parts that run: nobody will commit them."""
        self._waiting.clear()
        if self._pool:
            # Without waiting: a thread may sit out a host's gap for minutes, and sees the exception
            # only when it wakes up. It sends no request after that.
            self._pool.shutdown(wait=False, cancel_futures=True)
            with self._lock:
                self._closed = True
                for thread in self._threads:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(_PartCancelled)
                    )

    def _record(self, token: str, done: "Future[Receipt[object]]") -> None:
        # `close` cancels what is queued.
        if not done.cancelled():
            self._done.put((token, _outcome(done)))

    def _run_in_thread(self, part: Part[DetailsT], out: Path) -> Receipt[DetailsT]:
        thread = threading.get_ident()
        with self._lock:
            if self._closed:
                raise _PartCancelled
            self._threads.add(thread)
        try:
            return run_part(part, out)
        finally:
            with self._lock:
                self._threads.discard(thread)


class _PartCancelled(BaseException):
    """Raised in a thread whose part is no longer wanted. Not an `Exception`: parts handle those."""


def _outcome(done: "Future[Receipt[object]]") -> Receipt[object] | BaseException:
    error = done.exception()
    return done.result() if error is None else error
