"""Ctrl-C and SIGTERM: one ends a build cleanly, a second one at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from wenlan_data.errors import InterruptedBuildError


@contextmanager
def keeping_handlers() -> Iterator[None]:
    """Set this process's handlers again after a library set its own inside.

    Ray's end a driver that is told to end at once, with another exit code; one is set in Python, one in C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Not after an exception: Ctrl-C inside has set what the next Ctrl-C does.
    yield
    for number, handler in before.items():
        if handler is not None:
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, the first SIGINT or SIGTERM raises `KeyboardInterrupt` and the next ends this process.

    Whoever asks twice does not want to wait until Ray has stopped; what is committed stays committed. Only the main
    thread may set this. A SIGINT that the shell told us to ignore stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] is signal.SIG_IGN:
        del before[signal.SIGINT]

    def at_once(_signal: int, _frame: FrameType | None) -> None:
        os._exit(InterruptedBuildError.exit_code)

    def once(_signal: int, _frame: FrameType | None) -> None:
        # Before anything else: the second one may come while this one is on its way up.
        for number in before:
            signal.signal(number, at_once)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, once)
    try:
        yield
    finally:
        # Not after an interruption: the process is about to end, and may be told so again.
        for number, handler in before.items():
            if signal.getsignal(number) is once:
                signal.signal(number, handler)
