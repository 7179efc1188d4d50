"""Requests to stop a training, by a signal or because the launcher is gone.

In the loop a request is recorded, and read after the step. Before and after the loop, where nothing
is to be saved, it interrupts the main thread. A thread watches over both: native code, such as
the rendezvous of ranks, may keep the main thread from handling a signal.
"""

import ctypes
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from wenlan_data.errors import InterruptedBuildError
from wenlan_data.stop_signals import MESSAGE, NUMBERS, SAME_REQUEST_S, exit_interrupted

LAUNCHER_PID_VARIABLE = "WENLAN_LAUNCHER_PID"
RESTARTS_VARIABLE = "WENLAN_RAY_TRAIN"
"""Set where Ray Train started this rank, and starts another one in its place if it dies."""
STUCK_S = 5.0
"""How long the main thread may take to notice a signal before the loop."""
END_S = 60.0
"""How long it may take to end after the loop, where loaders and logs are closed."""
_PR_SET_PDEATHSIG = 1
_END = 0
"""No signal has this number."""


class StopRequest:
    """True once this process should stop."""

    def __init__(self) -> None:
        self.signalled = False
        self.cleanups: list[Callable[[], None]] = []
        """Undo what was written, last first, where the main thread cannot."""
        self._is_recording = False
        self._deadline_s = 0.0
        """Seconds of the monotonic clock; 0 for none."""
        launcher_pid = os.environ.get(LAUNCHER_PID_VARIABLE)
        self._launcher_pid = int(launcher_pid) if launcher_pid else None

    def __bool__(self) -> bool:
        return self.signalled or self._is_orphan()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """In the body, signals do not interrupt: the body looks at the request."""
        self._is_recording = True
        try:
            yield
        finally:
            self._deadline_s = time.monotonic() + END_S
            self._is_recording = False
        if self.signalled:
            raise KeyboardInterrupt

    def record(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Records a signal; the first one interrupts the main thread outside of `recording`."""
        is_first, self.signalled = not self.signalled, True
        if is_first and not self._is_recording:
            raise KeyboardInterrupt

    def end_with_launcher(self) -> None:
        """Makes the death of the launcher a request to stop: a launcher that was killed cannot
        forward a signal. Under Ray Train it ends this process at once, before another one takes
        its place. Raises `InterruptedBuildError` where it is gone already."""
        if self._launcher_pid is None:
            return
        # Where the system has no such call, the loop still notices its new parent.
        with suppress(AttributeError):
            number = signal.SIGKILL if os.environ.get(RESTARTS_VARIABLE) else signal.SIGTERM
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
        if self._is_orphan():
            raise InterruptedBuildError(MESSAGE)

    def watch(self, reader: int) -> None:
        """Ends the process at the second signal, or where the first one is not noticed.

        Reads the numbers of signals from `reader` until there is an `_END` among them. A second
        signal to a rank is left to the launcher, which forwards them and kills.
        """
        first_s = 0.0
        while True:
            ready, _, _ = select.select([reader], [], [], 0.2)
            now = time.monotonic()
            numbers = os.read(reader, 64) if ready else b""
            if _END in numbers:
                return
            if any(number in NUMBERS for number in numbers):
                is_second = first_s and now - first_s > SAME_REQUEST_S
                if is_second and self._launcher_pid is None:
                    exit_interrupted()
                first_s = first_s or now
            deadline_s = max(self._deadline_s, first_s + STUCK_S)
            if first_s and not self._is_recording and now > deadline_s:
                for cleanup in reversed(self.cleanups):
                    cleanup()
                exit_interrupted()

    def _is_orphan(self) -> bool:
        return self._launcher_pid is not None and os.getppid() != self._launcher_pid


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turns SIGTERM and SIGINT into a stop request; restores the previous handlers at the end.

    In other threads than the main one signals cannot be handled: nothing is changed then.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # The system writes the numbers of signals there, whatever the main thread is doing.
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=request.watch, args=(reader,), daemon=True)
    previous = {
        number: signal.signal(number, request.record)
        for number in NUMBERS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    _active.append(request)
    watcher.start()
    try:
        request.end_with_launcher()
        yield request
    finally:
        _active.remove(request)
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        # Not by closing it: a forked worker may hold it open.
        os.write(writer, bytes([_END]))
        watcher.join()
        os.close(writer)
        os.close(reader)


_active: list[StopRequest] = []


def _reset_in_child() -> None:
    """Gives a forked loader worker no part in requests: it would report its signals as ours."""
    if _active:
        _active.clear()
        signal.set_wakeup_fd(-1)
        # Ctrl-C reaches the whole process group; the training decides when its workers end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_reset_in_child)
