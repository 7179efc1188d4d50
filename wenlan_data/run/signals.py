"""Ctrl-C and SIGTERM during a build: the first ends it cleanly, the second at once; exit code 11.

A thread watches over both: native code, such as Ray's, may keep the main thread from handling a
signal.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from wenlan_data.stop_signals import NUMBERS, SAME_REQUEST_S, exit_interrupted, interrupt_handler

GRACE_S = 10.0
"""Time that a build has to end after the first signal. Then it is ended: committed parts stay."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes the first SIGINT or SIGTERM raise `KeyboardInterrupt` in the body, and ends the process
    at the second, or `GRACE_S` seconds after the first.

    Also while the main thread is in a library that runs no Python code. Committed parts stay
    committed. Does nothing outside the main thread. A signal that is ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A shell starts what runs in its background with SIGINT ignored.
    before = {
        number: handler
        for number in NUMBERS
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    read, write = os.pipe()
    os.set_blocking(write, False)
    # The C handler writes the number of each signal, whatever the main thread does.
    before_fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watch = _SignalWatch(read, frozenset(before))
    watch.start()
    interrupt = interrupt_handler()
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
        # The exception is lost where it is raised in a callback of a library.
        watch.raise_if_interrupted()
    finally:
        signal.set_wakeup_fd(before_fd)
        os.close(write)
        for number, handler in before.items():
            signal.signal(number, handler)


class _SignalWatch(threading.Thread):
    """Ends the process at the second signal, or some time after the first one."""

    def __init__(self, read: int, numbers: frozenset[int]) -> None:
        super().__init__(name="signals", daemon=True)
        self.interrupted = False
        self._read = read
        self._numbers = numbers

    def raise_if_interrupted(self) -> None:
        """Raises `KeyboardInterrupt` after the first signal."""
        if self.interrupted:
            raise KeyboardInterrupt

    def run(self) -> None:
        """Reads the numbers of signals until the pipe is closed."""
        first_s = 0.0
        with open(self._read, "rb", buffering=0) as pipe:  # noqa: PTH123 - a file descriptor
            while True:
                left = max(first_s + GRACE_S - time.monotonic(), 0) if self.interrupted else None
                if not select.select([pipe], [], [], left)[0]:
                    exit_interrupted()
                number = pipe.read(1)
                if not number:
                    return
                if number[0] not in self._numbers:
                    continue
                if not self.interrupted:
                    self.interrupted, first_s = True, time.monotonic()
                elif time.monotonic() - first_s > SAME_REQUEST_S:
                    exit_interrupted()
