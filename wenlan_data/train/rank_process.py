"""A rank in a process of its own, whose lines are read: what a worker of Ray Train runs.

Not in Ray's process: signals need a main thread, the loader forks its workers, which threads of
gRPC do not survive, and an error of NCCL or CUDA can be ended by killing the process alone.
"""

import math
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from wenlan_data.train.launch import RESTART, grace_s, kill_rank, start_rank
from wenlan_data.train.signals import LAUNCHER_PID_VARIABLE, RESTARTS_VARIABLE

MAX_LINE_BYTES = 8192
MAX_OUTPUT_BYTES = 1 << 20
MAX_WAITING_LINES = 10_000
"""Lines that wait for the driver; older ones are left out."""
KEPT_LINES = 5
WATCH_S = 0.5
"""Between two looks at a rank and at the job, which each look costs a call."""
DRAIN_S = 2.0
"""Longest wait for the last lines of a rank that has ended."""
_ERROR = "wenlan-data: "
"""Begin of the line with which a command ends in an error."""


class RankProcess:
    """Runs `wenlan-data ARGUMENTS` as a rank; collects what it prints."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_WAITING_LINES)
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._output = b""
        own = {LAUNCHER_PID_VARIABLE: str(os.getpid()), RESTARTS_VARIABLE: "1"}
        self._process = start_rank(
            arguments,
            {**environment, **own},
            output=subprocess.PIPE,
            # A node without it reads no files by relative paths.
            folder=folder if folder.is_dir() else None,
        )
        assert self._process.stdout
        assert self._process.stderr
        self._readers = [
            threading.Thread(target=self._read_lines, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read_output, args=(self._process.stdout,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def watch(self, exchange: Callable[[list[str]], tuple[bool, int]]) -> None:
        """Waits for the end of the rank, and kills what is left of it.

        `exchange` takes lines of stderr, and returns whether the rank should save and stop, and
        the exit code of another rank that ends the job, or 0: this one may save then.
        """
        try:
            is_stopping, deadline_s = False, math.inf
            while self._process.poll() is None and time.monotonic() < deadline_s:
                should_stop, code = exchange(self._take_lines())
                if should_stop and not is_stopping:
                    is_stopping = True
                    self._process.send_signal(signal.SIGTERM)
                if code and deadline_s == math.inf:
                    deadline_s = time.monotonic() + grace_s(code)
                time.sleep(WATCH_S)
        finally:
            kill_rank(self._process)
            for reader in self._readers:
                reader.join(DRAIN_S)
        exchange(self._take_lines())

    def exit_code(self) -> int:
        """Returns the exit code, negative for a signal, after `watch`."""
        return self._process.returncode

    def output(self) -> str:
        """Returns what it printed on stdout, after `watch`."""
        return self._output.decode("utf-8", "replace")

    def reasons(self) -> list[str]:
        """Returns the lines that state why it ended, after `watch`: those of its error, or where
        native code ended it the last ones."""
        if self._errors or self.exit_code() in (0, -signal.SIGKILL, RESTART):
            return list(self._errors)
        return list(self._last)

    def _take_lines(self) -> list[str]:
        found = []
        while self._lines:
            found.append(self._lines.popleft())
        return found

    def _read_lines(self, stream: IO[bytes]) -> None:
        while piece := stream.readline(MAX_LINE_BYTES):
            line = piece.decode("utf-8", "replace").rstrip("\n")
            if line.startswith(_ERROR):
                self._errors.append(line)
            else:
                self._lines.append(line)
                self._last.append(line)

    def _read_output(self, stream: IO[bytes]) -> None:
        while piece := stream.read(MAX_LINE_BYTES):
            self._output = (self._output + piece)[:MAX_OUTPUT_BYTES]
