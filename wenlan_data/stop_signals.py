"""What Ctrl-C and SIGTERM do while no part of the program has installed handlers of its own.

Only the standard library is imported, so that `__main__` can call this before anything else. A
signal that comes before, while Python itself starts, has its default effect.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from wenlan_data.errors import InterruptedBuildError
from wenlan_data.processes import end_descendants

NUMBERS = (signal.SIGTERM, signal.SIGINT)
SAME_REQUEST_S = 0.3
"""Signals closer than this are one request: `timeout` and process groups send two at once."""
MESSAGE = "interrupted"
RESUME_MESSAGE = "interrupted: run the same command to resume"


def exit_on_signals() -> None:
    """Makes a signal end the process at once with exit code 11, for phases that write nothing.

    Unblocks both signals: the launcher of ranks starts them blocked, so that none is lost.
    """
    _install(_exit_at_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def interrupt_on_signals() -> None:
    """Makes the first signal raise `KeyboardInterrupt`, and a second one end the process."""
    _install(interrupt_handler())


def interrupt_handler() -> Callable[[int, FrameType | None], None]:
    """Returns a handler that raises `KeyboardInterrupt` at the first signal, and ends the process
    at a second one."""
    first_s: list[float] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not first_s:
            first_s.append(time.monotonic())
            raise KeyboardInterrupt
        if time.monotonic() - first_s[0] > SAME_REQUEST_S:
            _exit_at_once(number, frame)

    return interrupt


def ignore_signals() -> None:
    """Makes further signals have no effect: the process is ending with its exit code.

    At exit the interpreter gives handlers back their default effect, but leaves ignored signals.
    """
    _install(signal.SIG_IGN)


def exit_now(code: int) -> NoReturn:
    """Ends the process without waiting for threads, and all processes that it started."""
    try:
        end_descendants()
    finally:
        os._exit(code)


@contextmanager
def resumable() -> Iterator[None]:
    """An interruption of the body is reported as one that the same command resumes."""
    _resumable.append(True)
    try:
        yield
    except KeyboardInterrupt as error:
        raise InterruptedBuildError(RESUME_MESSAGE) from error
    finally:
        _resumable.pop()


_resumable: list[bool] = []


def can_write_stderr() -> bool:
    """Whether a line can be written to stderr without waiting for a reader that has stopped."""
    try:
        return bool(select.select([], [2], [], 0)[1])
    except OSError:
        return False


def exit_interrupted(message: str = "") -> NoReturn:
    """Ends the process by `exit_now` with code 11; reports it where this is the main rank."""
    ignore_signals()
    if is_main_rank() and can_write_stderr():
        message = message or (RESUME_MESSAGE if _resumable else MESSAGE)
        # Not by `sys.stderr`: the signal may have come while it was being written to.
        with suppress(OSError):
            os.write(2, f"wenlan-data: {message}\n".encode())
    exit_now(InterruptedBuildError.exit_code)


def is_main_rank() -> bool:
    """Whether this process reports for all ranks of a training, or is the only one."""
    return os.environ.get("RANK", "0") == "0"


def _exit_at_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 # a signal handler
    exit_interrupted()


def _reset_in_child() -> None:
    """Gives a forked worker the default effects: its parent ends it by SIGTERM."""
    if _installed:
        for number, handler in _installed.items():
            if signal.getsignal(number) is handler:
                default = signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler
                signal.signal(number, default)
        _installed.clear()


_installed: dict[signal.Signals, Callable[[int, FrameType | None], object] | signal.Handlers] = {}
os.register_at_fork(after_in_child=_reset_in_child)


def _install(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number in NUMBERS:
        # A shell starts background jobs with SIGINT ignored, and means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
            _installed[number] = handler
