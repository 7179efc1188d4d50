"""A wish to stop, from the system or from a launcher that is gone: noted here, obeyed between two steps."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PARENT = "WENLAN_LAUNCHER_PID"


class StopWish:
    """True once this process should stop."""

    def __init__(self) -> None:
        self.asked = False
        parent = os.environ.get(PARENT)
        self._launcher = int(parent) if parent else None

    def __bool__(self) -> bool:
        # A launcher that was killed cannot pass a signal on: its children see that they have another parent.
        return self.asked or (self._launcher is not None and os.getppid() != self._launcher)

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 # the role of signal handlers
        """A signal came; the second one ends the process as if we were not here."""
        self.asked = True
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def listening() -> Iterator[StopWish]:
    """SIGTERM and Ctrl-C make the wish; what handled them before does again afterwards."""
    wish = StopWish()
    before = {
        number: signal.signal(number, wish.note) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
