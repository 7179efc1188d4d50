"""Reads Parquet files in a process of its own first: a file that crashes pyarrow ends as an error.

Of mutated files, one in some thousands aborts the process that opens it, which in a build with
threads would be the build. A file that was read once without a crash is then read in this process.

As a program: one request a line on stdin, `[file, column names]` as JSON; one line of JSON in
return, null or the message of an error.
"""

import atexit
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from wenlan_data.errors import UsageError, WenlanError
from wenlan_data.sandbox.environment import child_environment
from wenlan_data.sources.formats.file_digest import FileState
from wenlan_data.sources.formats.parquet import column_names, decode_all

MAX_DATA_BYTES = 2 << 30
"""Memory that the process may allocate (RLIMIT_DATA)."""
_START_S = 120.0
_BYTES_PER_S = 1 << 20
"""Least speed, in file bytes; usual files are read a hundred times faster."""

_lock = threading.Lock()
_process: subprocess.Popen[bytes] | None = None
_sound: dict[tuple[str, tuple[str, ...]], FileState] = {}


def check_parquet(file: Path, names: Iterable[str]) -> None:
    """Reads the columns whose lower-case names are among `names`, in another process.

    Raises `UsageError` if that process crashes, takes too long, or finds the file corrupt.
    """
    key = str(file), tuple(sorted(names))
    state = FileState.of(file.stat())
    with _lock:
        if _sound.get(key) == state:
            return
        response = _request(key, _START_S + state.size_bytes / _BYTES_PER_S)
        if response is not None:
            raise UsageError(response)
        _sound[key] = state


def _request(key: tuple[str, tuple[str, ...]], timeout_s: float) -> str | None:
    """Returns null or the error of the other process."""
    global _process
    if _process is None or _process.poll() is not None:
        _process = _started()
    process = _process
    assert process.stdin is not None
    assert process.stdout is not None
    line = b""
    try:
        process.stdin.write(json.dumps(key).encode() + b"\n")
        process.stdin.flush()
        if select.select([process.stdout], [], [], timeout_s)[0]:
            line = process.stdout.readline()
    except BrokenPipeError:
        pass
    if line.endswith(b"\n"):
        found = json.loads(line)
        return None if found is None else str(found)
    took_too_long = process.poll() is None and not line
    if took_too_long:
        process.kill()
    status = process.wait()
    _process = None
    why = "takes too long" if took_too_long and status == -signal.SIGKILL else _named(status)
    return f"{key[0]}: reading it as Parquet {why}: give a whole file"


def _named(status: int) -> str:
    ended = signal.Signals(-status).name if status < 0 else f"exit {status}"
    return f"crashes the reader ({ended})"


def _started() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "wenlan_data.sources.formats.parquet_check"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Unbuffered: what is left in a buffer, a fork of this process would write again.
        bufsize=0,
        env=child_environment(os.environ),
    )


def _stop() -> None:
    if _process is not None:
        _process.kill()
        _process.wait()


def _forget() -> None:
    global _lock, _process
    # Another thread may have held the lock, and the responses are for the process that forked.
    _lock = threading.Lock()
    if _process is not None:
        for pipe in (_process.stdin, _process.stdout):
            if pipe is not None:
                pipe.close()
        _process.returncode = 0
        _process = None


atexit.register(_stop)
os.register_at_fork(after_in_child=_forget)


def _limit_memory() -> str:
    """Returns why this process may not allocate what it needs; empty if it may."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY and most < MAX_DATA_BYTES:
        return (
            f"reading it as Parquet needs {MAX_DATA_BYTES >> 20} MiB, and the limit of data"
            f" segments (ulimit -d) is {most >> 20} MiB: raise it"
        )
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    return ""


def _main() -> None:
    # Ctrl-C reaches the whole process group; the build decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    problem = _limit_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        file, names = json.loads(line)
        message = None
        try:
            if problem:
                raise UsageError(f"{file}: {problem}")
            wanted = {name for name in column_names(Path(file)) if name.strip().casefold() in names}
            decode_all(Path(file), sorted(wanted))
        except WenlanError as error:
            message = str(error)
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
