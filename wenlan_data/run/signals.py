"""Handles Ctrl-C and SIGTERM: the first ends a build cleanly, the second at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from wenlan_data.errors import InterruptedBuildError


@contextmanager
def keeping_handlers() -> Iterator[None]:
    """Restores this process's signal handlers after the body, in which a library may set its own.

    Ray sets one handler in Python and one in C, which end the driver with another exit code.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Not after an exception: Ctrl-C in the body has set the handler for the next Ctrl-C.
    yield
    for number, handler in before.items():
        if handler is not None:
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes the first SIGINT or SIGTERM raise `KeyboardInterrupt`, and the next exit the process.

    The second one does not wait until Ray has stopped; committed parts stay committed. Does nothing
    outside the main thread. A SIGINT that the shell has set to be ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] is signal.SIG_IGN:
        del before[signal.SIGINT]

    def exit_at_once(_signal: int, _frame: FrameType | None) -> None:
        os._exit(InterruptedBuildError.exit_code)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        # First: the second signal may arrive while this exception propagates.
        for number in before:
            signal.signal(number, exit_at_once)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        # Not after an interruption: the process is ending, and a second signal must still exit.
        for number, handler in before.items():
            if signal.getsignal(number) is interrupt:
                signal.signal(number, handler)
