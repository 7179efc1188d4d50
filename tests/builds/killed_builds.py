"""Builds that are killed at a chosen rename, and run again: `python -m tests.builds.killed_builds`.

Each build is a fork of one process that has imported everything, so that dozens of kills take
seconds. A rename commits a part, a plan or the manifest: between two of them nothing is decided.
"""

import os
import signal
import sys
from pathlib import Path

from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import build


def run(out: Path, words: list[str], rows: int, *, killed_at: int = 0) -> int:
    """Builds in a fork that is killed at that rename (0: never); returns its exit status."""
    child = os.fork()
    if child == 0:
        if killed_at:
            _kill_at(killed_at)
        options = BuildOptions(out=out, workers=1, executor="local", generation_rows=rows)
        prepared = prepare(options, words, None, (), "")
        build(prepared)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill_at(number: int) -> None:
    left = number

    def watch(event: str, _args: object) -> None:
        nonlocal left
        if event == "os.rename":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def main() -> None:
    """Builds into FOLDER/whole, and into FOLDER/NNN after a kill at each STEP-th rename."""
    folder, rows, step = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    words = sys.argv[4:]
    assert run(folder / "whole", words, rows) == 0
    number = 1
    while (status := run(folder / f"{number:03d}", words, rows, killed_at=number)) != 0:
        assert status == -signal.SIGKILL, status
        assert run(folder / f"{number:03d}", words, rows) == 0
        number += step


if __name__ == "__main__":
    main()
