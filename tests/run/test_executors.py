"""Executors end the parts that run when they are closed, and Ray is closed to strangers."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from wenlan_data.errors import DiskError
from wenlan_data.processes import children, command_line
from wenlan_data.protocols import NoDetails, Receipt
from wenlan_data.run.executors.heartbeat import Heartbeats, Worker, beating
from wenlan_data.run.executors.local import LocalExecutor
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.scheduler import Job, Scheduler
from wenlan_data.testing import CannedResponse, Site


@dataclass(frozen=True)
class Requests:
    """Sends a request every 50 ms for two minutes."""

    url: str

    def __call__(self, out: Path) -> Receipt[NoDetails]:
        for _ in range(2400):
            urlopen(self.url, timeout=10).close()
            time.sleep(0.05)
        return Receipt(rows_in=1, details=NoDetails())


@dataclass(frozen=True)
class FailsSoon:
    def __call__(self, out: Path) -> Receipt[NoDetails]:
        time.sleep(0.5)
        raise DiskError("no room to write x.tar")


def test_a_part_that_fails_ends_the_others_and_their_requests(tmp_path: Path) -> None:
    with Site({"/a": CannedResponse(b"a")}) as site, Ledger(tmp_path) as ledger:
        executor = LocalExecutor(3)
        parts = [FailsSoon(), Requests(site.url("/a")), Requests(site.url("/a"))]
        jobs: list[Job[NoDetails]] = [
            Job(number=number, make=lambda _, part=part: part)  # type: ignore[misc]
            for number, part in enumerate(parts)
        ]
        with pytest.raises(DiskError, match=r"x\.tar"):
            Scheduler(executor, ledger, 0, "fetch", NoDetails).run(jobs, lambda *_: None)
        executor.close()
        time.sleep(1)
        sent = len(site.log)
        assert sent
        time.sleep(1)
        assert len(site.log) == sent


def test_a_worker_without_a_sign_of_life_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wenlan_data.run.executors.heartbeat.BEAT_S", 0.05)
    beats = Heartbeats(limit_s=0.4)
    beats.add("a", tmp_path / "a")
    # A part that waits for a core is not lost.
    _check_for(beats, 1.0)
    assert not beats.anything_began()
    with beating(tmp_path / "a", "node"):
        assert _check_for(beats, 1.0) == []
        assert beats.anything_began()
    assert _check_for(beats, 1.0) == ["a"]
    worker = beats.remove("a")
    assert worker == Worker(
        "node", os.uname().nodename, os.getpid(), worker.start if worker else ""
    )


def _check_for(beats: Heartbeats, seconds: float) -> list[str]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if lost := beats.check():
            return lost
        time.sleep(0.02)
    return []


def _tree(root: int) -> set[int]:
    """Returns a process and its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _listening_addresses(pids: set[int]) -> set[str]:
    """Returns the hexadecimal addresses on which processes listen, from the kernel's tables."""
    sockets = set()
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(file.readlink()))
            except OSError:
                continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(fields[1].partition(":")[0])
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_ray_on_this_machine_is_closed_to_others(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from wenlan_data.run.executors.ray import RayExecutor\n"
        "import ray\n"
        "executor = RayExecutor(1, None)\n"
        "print(ray.get_runtime_context().gcs_address, file=sys.__stdout__, flush=True)\n"
        "sys.stdin.read()\n"
        "executor.finish()\n"
        "executor.close()\n"
        "print(ray.is_initialized(), flush=True)\n"
    )
    # A host with settings of its own is as closed.
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "127.0.0.1:1"}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address.startswith("127.0.0.1:")
        processes = _tree(process.pid)
        listening = _listening_addresses(processes)
        assert listening, "no listener was found"
        assert listening <= LOOPBACK
        lines = [command_line(pid) for pid in processes]
        [folder] = {Path(one.split("/r/session_")[0].split("=")[-1]) for line in lines
                    for one in line.split("\0") if "/wenlan-ray-" in one and "/session_" in one}  # fmt: skip
        assert folder.stat().st_mode & 0o777 == 0o700
        token = next(
            value.partition("=")[2]
            for pid in processes - {process.pid}
            for value in Path(f"/proc/{pid}/environ").read_text("utf-8", "replace").split("\0")
            if value.startswith("RAY_AUTH_TOKEN=")
        )
        assert len(token) == 64
        assert not any(token in line for line in lines)
        assert [_joins(address, one) for one in (None, "0" * 64, token)] == [False, False, True]
        process.stdin.close()
        assert process.stdout.readline() == "False\n"
        assert process.wait(60) == 0
    assert not folder.exists()
    assert _tree(process.pid) == {process.pid}


def _joins(address: str, token: str | None) -> bool:
    """Returns whether a second driver may join the cluster."""
    script = (
        "import sys\n"
        "from wenlan_data.errors import UsageError\n"
        "from wenlan_data.run.executors.cluster_address import check_cluster\n"
        "try:\n    check_cluster(sys.argv[1])\n"
        "except UsageError as error:\n    print(error)"
    )
    environment = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "HOME": "/nonexistent"}
    if token:
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    done = subprocess.run(
        [sys.executable, "-c", script, address],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert "refused the token" in done.stdout or not done.stdout
    return not done.stdout


FROZEN = """
import os, signal, sys
from pathlib import Path
from wenlan_data.protocols import NoDetails, Receipt
from wenlan_data.run.executors.ray import RayExecutor
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.scheduler import Job, Scheduler

def part(out):
    mark = out.parent.parent.parent / "frozen"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return Receipt(rows_in=1, details=NoDetails())

with Ledger(Path(sys.argv[1]) / "work") as ledger:
    executor = RayExecutor(1, None, timeout_s=12)
    try:
        scheduler = Scheduler(executor, ledger, 0, "near", NoDetails)
        scheduler.run([Job(number=0, make=lambda _: part)], lambda *_: None)
        executor.finish()
    finally:
        executor.close()
print("done")
"""


@pytest.mark.slow
def test_the_part_of_a_frozen_worker_is_started_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, str(tmp_path)],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    # Before it Ray prints that the worker died.
    assert done.stdout.splitlines()[-1:] == ["done"], done.stderr
    assert "gives no sign of life" in done.stderr
    assert (tmp_path / "frozen").exists()
    assert not [pid for pid in children() if str(tmp_path) in command_line(pid)]
