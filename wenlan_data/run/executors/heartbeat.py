"""Signs of life of parts that run on other processes or nodes, as files beside their folders."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wenlan_data.processes import start_time

BEAT_S = 5.0
"""Time between two signs of life of a worker."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs a part."""

    node: str
    """Ray's id of the node."""
    host: str
    pid: int
    start: str
    """`processes.start_time` of the process."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def heartbeat_file(attempt: Path) -> Path:
    """Returns the path of the signs of life of an attempt at a part."""
    return attempt.with_name(f"{attempt.name}.alive")


@contextmanager
def beating(attempt: Path, node: str) -> Iterator[None]:
    """Records which process runs the attempt, then touches the record while the body runs."""
    path, pid = heartbeat_file(attempt), os.getpid()
    worker = Worker(node=node, host=socket.gethostname(), pid=pid, start=start_time(pid))
    path.write_text(json.dumps(asdict(worker)), "utf-8")
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_S):
            try:
                os.utime(path)
            except OSError:
                # The driver has given the attempt up, and removed its files.
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        path.unlink(missing_ok=True)


@dataclass(slots=True)
class _Attempt:
    path: Path
    worker: Worker | None = None
    changed_ns: int = 0
    silent_s: float = 0.0


@dataclass(slots=True)
class Heartbeats:
    """Signs of life as the driver sees them."""

    limit_s: float
    """A worker that is silent for longer is lost."""
    _attempts: dict[str, _Attempt] = field(default_factory=dict)
    _checked: float = 0.0

    def add(self, token: str, attempt: Path) -> None:
        """Begins to watch an attempt. Its file is created here, so that a worker without it knows
        that it does not see the folder of the driver."""
        path = heartbeat_file(attempt)
        path.touch()
        self._attempts[token] = _Attempt(path)

    def remove(self, token: str) -> Worker | None:
        """Ends the watch of an attempt; returns the worker that ran it, None if none began."""
        attempt = self._attempts.pop(token)
        self._look_at(attempt)
        return attempt.worker

    def anything_began(self) -> bool:
        """Returns whether a worker has begun one of the attempts."""
        return any(attempt.worker for attempt in self._attempts.values())

    def check(self) -> list[str]:
        """Looks at the signs of life, every few seconds; returns the tokens of lost attempts."""
        now = time.monotonic()
        if now - self._checked < BEAT_S:
            return []
        # At most two periods count: if this process was suspended, the others may have been too.
        passed = min(now - self._checked, 2 * BEAT_S)
        self._checked = now
        lost = []
        for token, attempt in self._attempts.items():
            if self._look_at(attempt) or attempt.worker is None:
                attempt.silent_s = 0.0
                continue
            attempt.silent_s += passed
            if attempt.silent_s > self.limit_s:
                lost.append(token)
        return lost

    def _look_at(self, attempt: _Attempt) -> bool:
        """Returns whether the file has changed since the last look."""
        # Times are compared with earlier ones of the same file alone: clocks of nodes differ.
        try:
            changed_ns = attempt.path.stat().st_mtime_ns
            if attempt.worker is None and (text := attempt.path.read_text("utf-8")):
                attempt.worker = Worker(**json.loads(text))
        except (OSError, ValueError):
            return False
        changed, attempt.changed_ns = changed_ns != attempt.changed_ns, changed_ns
        return changed
