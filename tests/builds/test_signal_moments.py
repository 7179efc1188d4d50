"""SIGINT and SIGTERM at moments spread over a build: exit 11, nothing left, and the same bytes
after the same command."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds.corpus_runs import COMMAND, build, content
from tests.thorough import amount
from wenlan_data.testing import make_caption, make_image

SLOW = (pytest.mark.slow, pytest.mark.timeout(1800))


def _words(tmp_path: Path) -> list[str]:
    photos = tmp_path / "photos"
    if not photos.exists():
        photos.mkdir()
        for number in range(24):
            (photos / f"{number}.jpg").write_bytes(make_image(number))
            (photos / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return ["--sources", f"folder:{photos}", "--set", "shard.max_samples=4"]


def _of_session(session: int) -> list[str]:
    """Returns the command lines of the living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            fields = stat.rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append(f"{stat[:60]}: {words}")
    return found


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _interrupted(words: list[str], moment_s: float, how: str) -> tuple[int, str, list[str]]:
    """Starts a build in a session of its own and interrupts it.

    Returns exit code, stderr, and the processes that are left.
    """
    with subprocess.Popen(
        [*COMMAND, "build", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        # Before this, while the interpreter starts, nothing of this package runs.
        while process.poll() is None and not _handles_sigterm(process.pid):
            time.sleep(0.001)
        time.sleep(moment_s)
        number = signal.SIGINT if "INT" in how else signal.SIGTERM
        for _ in range(2 if "twice" in how else 1):
            (os.killpg if "group" in how else os.kill)(process.pid, number)
            time.sleep(0.03)
            if process.poll() is not None:
                break
        code = process.wait(60)
        left = _of_session(process.pid)
        assert process.stderr
        return code, process.stderr.read(), left


HOWS = ("TERM", "INT group", "TERM group", "INT twice", "TERM group twice", "INT")


@pytest.mark.parametrize(
    ("executor", "moments"),
    [
        (["--executor", "local", "--workers", "3"], 4),
        (["--workers", "2"], 4),
        pytest.param(["--executor", "local", "--workers", "1"], amount(6, 40), marks=SLOW),
        pytest.param(["--executor", "local", "--workers", "3"], amount(6, 40), marks=SLOW),
        pytest.param(["--workers", "2"], amount(6, 48), marks=SLOW),
    ],
)
def test_a_signal_at_any_moment_ends_with_11_and_leaves_nothing(
    tmp_path: Path, executor: list[str], moments: int
) -> None:
    words = [*_words(tmp_path), *executor]
    began = time.monotonic()
    build(*words, "--out", tmp_path / "golden")
    whole_s = time.monotonic() - began
    golden = content(tmp_path / "golden")
    dice = random.Random(moments)
    for number in range(moments):
        how = HOWS[number % len(HOWS)]
        share = (number + dice.random()) / moments
        out = tmp_path / f"c{number}"
        moment_s = share * whole_s
        code, errors, left = _interrupted([*words, "--out", str(out)], moment_s, how)
        where = f"{how} after {moment_s:.2f} s of {whole_s:.2f} s: {errors}"
        # A build that was faster this time had ended before.
        assert code == 11 or (code == 0 and share > 0.5), (code, where)
        assert "Traceback" not in errors, where
        assert not left, (left, where)
        # Some builds are resumed, so that the quick suite stays quick.
        if out.exists() and (moments > 4 or number == 2):
            build(*words, "--out", out)
            assert content(out) == golden, where
