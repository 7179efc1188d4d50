"""Watches the memory of a process and all its descendants."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path

INTERVAL_S = 0.5


class MemoryWatch:
    """Samples the peak resident memory of every process below `root_pid`, in a thread."""

    def __init__(self, root_pid: int) -> None:
        self._root_pid = root_pid
        self._peaks: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def largest_bytes(self) -> int:
        """Returns the peak of the largest process."""
        return max(self._peaks.values(), default=0)

    def largest_name(self) -> str:
        """Returns the name of that process."""
        return (
            self._names[max(self._peaks, key=lambda pid: self._peaks[pid])] if self._peaks else ""
        )

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            for pid in descendants(self._root_pid):
                fields = status_of(pid)
                if "VmHWM" in fields:
                    self._peaks[pid] = int(fields["VmHWM"].split()[0]) * 1024
                    self._names[pid] = fields["Name"]


def descendants(root_pid: int) -> list[int]:
    """Returns the process ids below `root_pid`, itself first."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children[int(status_of(int(entry.name)).get("PPid", "0"))].append(int(entry.name))
    found = [root_pid]
    for pid in found:
        found.extend(children[pid])
    return found


def status_of(pid: int) -> dict[str, str]:
    """Returns the fields of `/proc/PID/status`; empty if the process has ended."""
    # A process may end between being listed and being read.
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
