"""Requests to stop, by a signal or because the launcher is gone: recorded here, read after a
step."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LAUNCHER_PID_VARIABLE = "WENLAN_LAUNCHER_PID"


class StopRequest:
    """True once this process should stop."""

    def __init__(self) -> None:
        self.signalled = False
        launcher_pid = os.environ.get(LAUNCHER_PID_VARIABLE)
        self._launcher_pid = int(launcher_pid) if launcher_pid else None

    def __bool__(self) -> bool:
        # A launcher that was killed cannot forward a signal. Its ranks then have another parent.
        return self.signalled or (
            self._launcher_pid is not None and os.getppid() != self._launcher_pid
        )

    def record(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 # a signal handler
        """Records the first signal; the second one has its default effect and ends the process."""
        self.signalled = True
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns SIGTERM and SIGINT into a stop request; restores the previous handlers at the end."""
    request = StopRequest()
    previous = {
        number: signal.signal(number, request.record) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
