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
    path = os.pathsep.join(one for one in sys.path if one)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "wenlan_data.sources.formats.parquet_check"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )


def _stop() -> None:
    if _process is not None:
        _process.kill()
        _process.wait()


atexit.register(_stop)


def _main() -> None:
    # Ctrl-C reaches the whole process group; the build decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        file, names = json.loads(line)
        message = None
        try:
            wanted = {name for name in column_names(Path(file)) if name.strip().casefold() in names}
            decode_all(Path(file), sorted(wanted))
        except WenlanError as error:
            message = str(error)
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
