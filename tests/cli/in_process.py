"""Runs `wenlan-data` in this process, on pipes or on a terminal."""

import io
import os
import pty
import select
import signal
import sys
import termios
import threading
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.cli.main import main


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


class _Collector:
    """Reads a file descriptor in a thread, so that no writer ever waits.

    Until it is stopped, not to the end: a sandbox process keeps the writing side open.
    """

    def __init__(self, descriptor: int) -> None:
        self._data = b""
        self._descriptor = descriptor
        self._is_stopped = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            is_stopped = self._is_stopped
            if select.select([self._descriptor], [], [], 0.02)[0]:
                try:
                    piece = os.read(self._descriptor, 1 << 16)
                except OSError:  # a terminal that nobody holds open any more
                    return
                if not piece:
                    return
                self._data += piece
            elif is_stopped:
                return

    def text(self) -> str:
        """Stops after what was written so far, and returns it. It must be UTF-8."""
        self._is_stopped = True
        self._thread.join()
        os.close(self._descriptor)
        return self._data.decode()


def run(*words: str | Path, terminal: bool = False, stdin: bytes = b"") -> Ran:
    """Runs `wenlan-data WORDS` in this process on real file descriptors."""
    pairs = [pty.openpty() if terminal else os.pipe() for _ in range(2)]
    reading, writing = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if terminal:
        for descriptor in writing:
            termios.tcsetwinsize(descriptor, (50, 400))
    given, giver = os.pipe()
    os.write(giver, stdin)
    os.close(giver)
    collectors = [_Collector(one) for one in reading]
    saved = [os.dup(one) for one in range(3)]
    before = (sys.argv, sys.stdin, sys.stdout, sys.stderr, threading.excepthook)
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    sys.stdout.flush()
    for target, descriptor in enumerate((given, *writing)):
        os.dup2(descriptor, target)
        os.close(descriptor)
    sys.argv = ["wenlan-data", *map(str, words)]
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False), encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.argv, sys.stdin, sys.stdout, sys.stderr, threading.excepthook = before
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for target, descriptor in enumerate(saved):
            os.dup2(descriptor, target)
            os.close(descriptor)
    return Ran(code, collectors[0].text(), collectors[1].text())
