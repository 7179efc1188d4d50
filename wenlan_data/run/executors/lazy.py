"""Starts the executor with the first part, so that a build without new rows never waits for Ray."""

import time
from collections.abc import Callable
from pathlib import Path

from wenlan_data.protocols import Executor, Part, Receipt
from wenlan_data.run.executors.local import LocalExecutor
from wenlan_data.run.options import BuildOptions, cores


class LazyExecutor:
    """Role `Executor`: calls `start` for the real executor when the first part is submitted."""

    def __init__(self, start: Callable[[], Executor], spare: int = 0) -> None:
        self.start_s: float | None = None
        """Seconds that the start took; None before it."""
        self._start = start
        self._spare = spare
        self._running: Executor | None = None

    @property
    def workers(self) -> int:
        """Number of parallel parts. Starts the executor: only that knows the size of a cluster."""
        return self._started().workers

    def most_at_once(self) -> int:
        """Returns the largest number of parts that run at once. Starts the executor."""
        return self.workers + self._spare

    def clock(self) -> float:
        """Returns a monotonic time in seconds that does not count the start of the executor."""
        return time.monotonic() - (self.start_s or 0.0)

    def submit(self, token: str, part: Part[object], out: Path) -> None:
        """Starts `part`, after the executor for the first one. Raises what that start raises."""
        self._started().submit(token, part, out)

    def next_done(self, timeout_s: float) -> tuple[str, Receipt[object] | BaseException] | None:
        """Returns the next outcome; None after `timeout_s`, or at once if no part was submitted."""
        return self._running.next_done(timeout_s) if self._running else None

    def finish(self) -> None:
        """Announces that no part will follow."""
        if self._running:
            self._running.finish()

    def close(self) -> None:
        """Stops everything that runs."""
        if self._running:
            self._running.close()

    def _started(self) -> Executor:
        if self._running is None:
            began = time.monotonic()
            self._running = self._start()
            self.start_s = time.monotonic() - began
        return self._running


def lazy_executor(options: BuildOptions, log: Callable[[str], None]) -> LazyExecutor:
    """Returns the executor that the operator chose, not yet started; `log` prints a line."""

    def start() -> Executor:
        if options.executor == "local":
            return LocalExecutor(options.workers or cores())
        # Imported here: a build with local threads, or without new rows, never loads Ray.
        from wenlan_data.run.executors.ray import RayExecutor

        workers = options.workers or (None if options.ray_address else cores())
        return RayExecutor(
            workers, options.ray_address, timeout_s=options.worker_timeout_s, log=log
        )

    # A cluster may have a core for the part that the scheduler holds ready.
    return LazyExecutor(start, spare=1 if options.ray_address else 0)
