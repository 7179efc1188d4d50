"""Builds whose decoders are killed, and builds on a crowded machine: the bytes are those of an
undisturbed build."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.builds.corpus_runs import build, content, photographs, sources_file, table
from wenlan_data.testing import CannedResponse, Site, make_image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SPIN = "while True: pass"


def _children(pid: int) -> list[int]:
    try:
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def _sandboxes(pid: int) -> list[tuple[int, list[int]]]:
    """Sandbox processes below a process, each with its forks."""
    found = []
    for child in _children(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"wenlan_data.sandbox.worker" in command:
            found.append((child, _children(child)))
        else:
            found += _sandboxes(child)
    return found


@contextmanager
def _killer() -> Iterator[dict[str, int]]:
    """Kills forks of the sandboxes of this process's builds, and now and then a sandbox."""
    stop, kills = threading.Event(), {"forks": 0, "processes": 0}

    def run() -> None:
        chance = random.Random(5)
        while not stop.wait(chance.uniform(0, 0.6)):
            for process, forks in _sandboxes(os.getpid()):
                # A process that has no fork yet starts: it would never get any further.
                kind = "processes" if forks and chance.random() < 0.02 else "forks"
                with suppress(ProcessLookupError):
                    for pid in forks[:1] if kind == "forks" else [process]:
                        os.kill(pid, signal.SIGKILL)
                        kills[kind] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield kills
    finally:
        stop.set()
        thread.join()


@contextmanager
def _crowded(processes: int) -> Iterator[None]:
    """A machine with this many processes that use all they get of its processors."""
    busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _sources(folder: Path, site: Site, images: int, *, slow: bool) -> Path:
    """JPEGs that are stored unchanged, images that are encoded again, and perhaps a slow one."""
    rows = photographs(site, range(images))
    for number in range(0, images, 3):
        site.responses[f"/{number}.jpg"] = CannedResponse(make_image(number, kind="PNG"))
    if slow:
        large = make_image(900, width=2400, height=2000, kind="PNG")
        site.responses["/large.png"] = CannedResponse(large)
        rows.append((site.url("/large.png"), "很大的一张照片"))
    table(folder / "a.parquet", rows, row_group_size=20)
    return sources_file(folder / "sources.yaml", site, [{"kind": "table", "path": "a.parquet"}])


def test_killed_decoders_change_no_byte(tmp_path: Path) -> None:
    with Site() as site:
        sources = _sources(tmp_path, site, images=48, slow=False)
        words = ("--sources", sources, "--workers", "2", "--executor", "local",
                 "--set", "detect.detector=proposals")  # fmt: skip
        build(*words, "--out", tmp_path / "calm")
        with _killer() as kills:
            build(*words, "--out", tmp_path / "killed")
    assert kills["forks"] > 5, "a killer that kills nothing proves nothing"
    assert content(tmp_path / "killed") == content(tmp_path / "calm")


def test_a_crowded_machine_changes_no_byte(tmp_path: Path) -> None:
    with Site() as site:
        sources = _sources(tmp_path, site, images=12, slow=True)
        words = ("--sources", sources, "--workers", "2", "--executor", "local")
        build(*words, "--out", tmp_path / "calm")
        with _crowded(8):
            build(*words, "--out", tmp_path / "crowded")
    assert content(tmp_path / "crowded") == content(tmp_path / "calm")
