"""The in-process executor: one worker runs parts one by one, several are threads."""

import queue
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from wenlan_data.protocols import Part, Receipt


def run_part(part: Part, out: Path) -> Receipt:
    """Run a part into a new folder; what every executor does in its worker."""
    out.mkdir()
    return part(out)


class LocalExecutor:
    """Runs parts in this process. No start-up cost, easy to debug; the decoders release the interpreter lock."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._waiting: deque[tuple[str, Part, Path]] = deque()
        self._done: queue.SimpleQueue[tuple[str, Receipt | BaseException]] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def submit(self, token: str, part: Part, out: Path) -> None:
        """Start `part`, or note it down where there is one worker."""
        if self._pool is None:
            self._waiting.append((token, part, out))
            return
        future = self._pool.submit(run_part, part, out)
        future.add_done_callback(lambda done: self._done.put((token, _outcome(done))))

    def next_done(self, timeout_s: float) -> tuple[str, Receipt | BaseException] | None:
        """The next outcome; with one worker this runs the part."""
        if self._pool is None:
            if not self._waiting:
                return None
            token, part, out = self._waiting.popleft()
            try:
                return token, run_part(part, out)
            except Exception as error:  # noqa: BLE001 - the worker boundary: the runner re-raises with part and step
                return token, error
        try:
            return self._done.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def finish(self) -> None:
        """Nothing has to be stopped."""

    def close(self) -> None:
        """Drop what waits; what runs is left to end."""
        self._waiting.clear()
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _outcome(done: "Future[Receipt]") -> Receipt | BaseException:
    error = done.exception()
    return done.result() if error is None else error
