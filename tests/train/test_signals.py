"""SIGTERM and SIGINT at any moment of a training: exit 11, the last whole step is saved, and no
process or partial file is left."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.thorough import amount
from tests.train.runs import ROOT, WORDS, corpus, losses
from wenlan_data.model.checkpoint import checkpoint_step, list_checkpoints, load_checkpoint

MARK = "WENLAN_TEST_MARK"


class Training:
    """A training in a process group of its own, whose processes are known by a variable."""

    def __init__(self, shards: Path, out: Path, ranks: int, *more: str) -> None:
        self.mark = uuid.uuid4().hex
        self.out = out
        words = [
            "train",
            "--config",
            "brivl-tiny",
            "--shards",
            str(shards),
            "--val-shards",
            str(shards),
            "--out",
            str(out),
            "--nproc",
            str(ranks),
            "--resume",
            "auto",
            *WORDS,
            "--set",
            "validation.every_steps=3",
            "--set",
            "validation.max_samples=20",
            *more,
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wenlan_data", *words],
            env={**environment, MARK: self.mark},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def wait_until(self, reached: object) -> None:
        """Waits until a function returns true, or the training has ended."""
        assert callable(reached)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None and not reached():
            time.sleep(0.005)

    def catches_signals(self) -> bool:
        """Whether Python handles SIGTERM yet: before, nothing that a program does can."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(next(line for line in status.splitlines() if line[:6] == "SigCgt")[7:], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def send(self, number: int, *, group: bool = False) -> None:
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Exit code and stderr; kills what is left after a while."""
        try:
            _, stderr = self.process.communicate(timeout=120)
        finally:
            for pid in self.left():
                os.kill(pid, signal.SIGKILL)
        return self.process.returncode, stderr.decode()

    def left(self) -> list[int]:
        """Processes of the training that exist."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environ = (folder / "environ").read_bytes()
            except OSError:
                continue
            if f"{MARK}={self.mark}".encode() in environ.split(b"\0"):
                found.append(int(folder.name))
        return found

    def check_interrupted(self) -> None:
        """Waits for exit 11, and checks what it left."""
        self.process.wait(timeout=120)
        deadline = time.monotonic() + 10
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.05)
        left = self.left()
        code, stderr = self.end()
        assert (code, left) == (11, []), stderr
        assert "Traceback" not in stderr
        assert stderr.count("stopped at step") + stderr.count("wenlan-data: interrupted\n") == 1, (
            stderr
        )
        assert [path for path in self.out.rglob(".*") if self.out.exists()] == []
        done = len(losses(self.out)) if self.out.exists() else 0
        saved = list_checkpoints(self.out)
        assert (checkpoint_step(saved[-1]) if saved else 0) == done, stderr
        for path in saved[-1:]:
            load_checkpoint(path)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.mark.parametrize(
    ("rounds", "ranks"),
    [
        (2, 1),
        (1, 2),
        pytest.param(amount(4, 30), 1, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
        pytest.param(amount(4, 30), 2, marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_a_signal_at_any_moment_ends_with_11_and_leaves_the_last_step(
    rounds: int, ranks: int, shards: Path, tmp_path: Path
) -> None:
    draw = random.Random(100 * ranks + rounds)
    for number in range(rounds):
        workers = draw.choice(["0", "0", "2"])
        training = Training(
            shards, tmp_path / str(number), ranks, "--max-steps", "100000", "--workers", workers
        )
        training.wait_until(training.catches_signals)
        time.sleep(draw.choice([0.0, draw.uniform(0, 2), draw.uniform(0, 12)]))
        training.send(draw.choice([signal.SIGTERM, signal.SIGINT]), group=draw.random() < 0.5)
        training.check_interrupted()


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_signal_ends_at_once(ranks: int, shards: Path, tmp_path: Path) -> None:
    # No step ends: the loop never looks at the first request.
    slow = ("--set", "validation.every_steps=1", "--set", "validation.max_samples=20")
    training = Training(
        shards, tmp_path / "run", ranks, "--max-steps", "100000", "--workers", "0", *slow
    )
    training.wait_until(lambda: len(losses(tmp_path / "run")) > 1)
    pids = training.left()
    os.kill(max(pids), signal.SIGSTOP)
    training.send(signal.SIGTERM)
    time.sleep(1)
    if ranks == 1:
        # A stopped process handles both once it runs again.
        training.send(signal.SIGTERM)
        os.kill(max(pids), signal.SIGCONT)
    else:
        training.send(signal.SIGTERM)
    start = time.monotonic()
    code, _ = training.end()
    assert code == 11
    assert time.monotonic() - start < 20
    assert training.left() == []
