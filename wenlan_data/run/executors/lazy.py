"""An executor that starts when the first part needs it: a build with nothing new waits for none."""

import time
from collections.abc import Callable
from pathlib import Path

from wenlan_data.protocols import Executor, Part, Receipt
from wenlan_data.run.executors.local import LocalExecutor
from wenlan_data.run.options import BuildOptions


class DeferredExecutor:
    """The role `Executor`, by one that `start` makes when the first part comes."""

    def __init__(self, workers: int, start: Callable[[], Executor]) -> None:
        self.workers = workers
        self.start_s: float | None = None
        """How long the start took; None before it."""
        self._start = start
        self._running: Executor | None = None

    def clock(self) -> float:
        """Seconds from some moment on; the clock stands still while the executor starts."""
        return time.monotonic() - (self.start_s or 0.0)

    def submit(self, token: str, part: Part, out: Path) -> None:
        """Start `part`, and before the first one the executor. Raises what its start raises."""
        self._started().submit(token, part, out)

    def next_done(self, timeout_s: float) -> tuple[str, Receipt | BaseException] | None:
        """The next outcome; None after `timeout_s`, and at once where no part ever came."""
        return self._running.next_done(timeout_s) if self._running else None

    def finish(self) -> None:
        """No part will come any more."""
        if self._running:
            self._running.finish()

    def close(self) -> None:
        """Stop everything that runs."""
        if self._running:
            self._running.close()

    def _started(self) -> Executor:
        if self._running is None:
            began = time.monotonic()
            self._running = self._start()
            self.start_s = time.monotonic() - began
        return self._running


def executor_of(options: BuildOptions) -> DeferredExecutor:
    """The executor that the operator chose, not yet started."""

    def start() -> Executor:
        if options.executor == "local":
            return LocalExecutor(options.workers)
        from wenlan_data.run.executors.ray import RayExecutor

        return RayExecutor(options.workers, options.ray_address)

    return DeferredExecutor(options.workers, start)
