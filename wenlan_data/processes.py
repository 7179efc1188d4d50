"""Ends processes together with all that they started."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_STOP_S = 1.0
"""Longest wait for processes to stop; one that waits for a disk stops later."""
_END_S = 5.0
"""Longest wait for killed processes to end."""
_IDLE_S = 0.002
_ROUNDS = 20
_PR_SET_CHILD_SUBREAPER = 36


def end_descendants() -> None:
    """Kills every process that this process started, directly or not, and lets its threads start no
    other one. For its exit; returns when they are gone."""
    sys.addaudithook(_refuse_processes)
    calm = 0
    # Twice: a thread may be between the hook and the start of its process.
    for _ in range(_ROUNDS):
        if _alive(found := set(children())):
            end_processes(found)
            calm = 0
        elif (calm := calm + 1) == 2:
            return
        time.sleep(_IDLE_S)


def _refuse_processes(event: str, _arguments: tuple[object, ...]) -> None:
    # Raised in the thread that wants to start one.
    if event in {"subprocess.Popen", "os.fork", "os.posix_spawn"}:
        raise RuntimeError("no process is started while this one ends")


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent has ended, so that
    `end_descendants` finds them and waits for them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_processes(roots: Iterable[int]) -> None:
    """Kills processes and their descendants; returns when they are gone, after 5 s at most."""
    roots = set(roots)
    deadline = time.monotonic() + _STOP_S
    stopped: set[int] = set()
    # A stopped process starts no other one. Without this, a process that is started between the
    # listing and the kill of its parent would stay.
    while found := _running(_descendants(roots)) - stopped:
        for pid in found:
            _send(pid, signal.SIGSTOP)
        if time.monotonic() > deadline:
            break
        time.sleep(_IDLE_S)
        stopped |= found - _running(found)
    ended = _descendants(roots)
    for pid in ended:
        _send(pid, signal.SIGKILL)
    deadline = time.monotonic() + _END_S
    while _alive(ended) and time.monotonic() < deadline:
        time.sleep(_IDLE_S)


def children() -> list[int]:
    """Returns the process ids of the children of this process."""
    own = os.getpid()
    return [pid for pid, (_, parent) in _processes().items() if parent == own]


def command_line(pid: int) -> str:
    """Returns the command line of a process; an empty text if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def start_time(pid: int) -> str:
    """Returns when a process started, in clock ticks after boot; an empty text if it has ended.

    With the process id it identifies a process, since ids are used again.
    """
    return _stat(str(pid)).get("start", "")


def _descendants(roots: set[int]) -> set[int]:
    processes = _processes()
    found = roots & processes.keys()
    while more := {pid for pid, (_, parent) in processes.items() if parent in found} - found:
        found |= more
    return found


def _running(pids: set[int]) -> set[int]:
    """Returns the processes that may still start others: neither stopped nor ended."""
    return {pid for pid, (state, _) in _processes().items() if pid in pids and state not in "TtZX"}


def _alive(pids: set[int]) -> bool:
    return any(pid in pids and state not in "ZX" for pid, (state, _) in _processes().items())


def _processes() -> Mapping[int, tuple[str, int]]:
    """Returns process id to state and parent, of all processes."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - a tenth of the time of Path.iterdir
        if name.isdigit() and (stat := _stat(name)):
            found[int(name)] = (stat["state"], int(stat["parent"]))
    return found


def _stat(pid: str) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
            # The name of a process is in parentheses, and may hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return {}
    return {"state": fields[0].decode(), "parent": fields[1].decode(), "start": fields[19].decode()}


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
