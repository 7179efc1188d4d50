"""Builds that end, or fail, at their n-th call that changes a file.

`python -m tests.builds.crash_points` reads a JSON request on stdin (see `Request`), runs the builds
in forks of one process that has everything imported, and prints one JSON outcome a line.

A point is a call that Python's audit events show (open for writing, rename, remove, mkdir, rmdir,
link, symlink, truncate, chmod) or that is wrapped here (`os.fsync`, `os.write`, and Arrow's writers
of Parquet before and after each write), on a path below the output. Not seen: single writes of
Python's buffered files and of Arrow inside one table, and what happens in the sandbox process,
which opens no file.
"""

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq

from tests.builds.corpus_runs import content
from wenlan_data.cli import main as cli_main
from wenlan_data.run import runner as _runner  # noqa: F401 - imported once, for all forks

_EVENTS = {
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod",
}  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True, slots=True)
class Request:
    """Which points of which command are tried."""

    words: list[str]
    """Of `wenlan-data`; `{out}` stands for the output."""
    folder: str
    golden: str
    """The corpus of an undisturbed build."""
    points: list[int]
    fault: str
    """`kill`, or the name of an errno that the call fails with, once."""


class _Counter:
    """Counts the calls on files below a folder, and acts at one of them."""

    def __init__(self, folder: Path, at: int, fault: str) -> None:
        self.folder = str(folder.resolve())
        self.at, self.fault = at, fault
        self.calls = 0
        self.call = ""
        self._busy = False

    def see(self, name: str, path: object) -> None:
        if self._busy or not isinstance(path, str | bytes | os.PathLike):
            return
        self._busy = True
        try:
            where = os.fsdecode(os.fspath(path))
            inside = where.startswith(self.folder)
        finally:
            self._busy = False
        if not inside:
            return
        self.calls += 1
        if self.calls == self.at:
            self.call = f"{name} {where.removeprefix(self.folder)}"
            if self.fault == "kill":
                os.write(2, f"\nPOINT {self.call}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, self.fault)
            raise OSError(number, os.strerror(number), where)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & _WRITING
            if writes:
                self.see("open", path)
        elif event in _EVENTS:
            self.see(event, arguments[0])

    def install(self) -> None:
        """Begins to count."""
        sys.addaudithook(self.audit)
        os.fsync = self._on_descriptor("os.fsync", os.fsync)
        os.write = self._on_descriptor("os.write", os.write)
        for name in ("__init__", "write_table", "write_batch", "close"):
            setattr(pq.ParquetWriter, name, self._around(name, getattr(pq.ParquetWriter, name)))

    def _on_descriptor(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(descriptor: int, *rest: object) -> object:
            if not self._busy:
                try:
                    path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
                except OSError:
                    path = ""
                self.see(name, path)
            return call(descriptor, *rest)

        return wrapped

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(writer: pq.ParquetWriter, *rest: object, **named: object) -> object:
            where = rest[0] if name == "__init__" else getattr(writer, "_crash_path", "")
            if name == "__init__":
                writer._crash_path = where
            self.see(f"ParquetWriter.{name}", where)
            result = call(writer, *rest, **named)
            self.see(f"after ParquetWriter.{name}", where)
            return result

        return wrapped


def _run(words: list[str], log: Path, counter: _Counter | None) -> NoReturn:
    """Runs the command in this fork and ends it."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if counter:
        counter.install()
    sys.argv = ["wenlan-data", *words]
    code = 1
    try:
        cli_main.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the test reads the log
        traceback.print_exc()
        code = 77
    sys.stdout.flush()
    sys.stderr.flush()
    if counter:
        os.write(2, f"\nCALLS {counter.calls}\nPOINT {counter.call}\n".encode())
    os._exit(code)


def _status(words: list[str], log: Path, counter: _Counter | None) -> int:
    child = os.fork()
    if child == 0:
        _run(words, log, counter)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _logged(log: Path, word: str) -> str:
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    return next((line.removeprefix(word) for line in reversed(lines) if line.startswith(word)), "")


def main() -> None:
    """Tries every point of the request."""
    request = Request(**json.loads(sys.stdin.read()))
    golden = content(Path(request.golden)) if request.golden else {}
    for point in request.points:
        out = Path(request.folder) / f"{request.fault}-{point}"
        words = [word.replace("{out}", str(out)) for word in request.words]
        log = Path(request.folder) / f"{request.fault}-{point}.log"
        first = _status(words, log, _Counter(out, point, request.fault))
        again_log = log.with_suffix(".again.log")
        again = _status(words, again_log, None)
        outcome = {
            "point": point,
            "call": _logged(log, "POINT "),
            "calls": _logged(log, "CALLS "),
            "first": first,
            "again": again,
            "equal": again == 0 and (not golden or content(out) == golden),
            "attempts": [path.name for path in (out / ".work" / "attempts").glob("*")],
            "message": log.read_text("utf-8", "replace")[-400:],
            "again_message": again_log.read_text("utf-8", "replace")[-400:],
        }
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
