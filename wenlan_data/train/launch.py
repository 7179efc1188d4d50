"""Starts one process a rank, with the variables of torchrun, and ends all of them when one ends.

torchrun turns every exit code into 1 and kills ranks while they save; here a rank's own code (9, 11) comes out, and a
signal is passed on. Started by torchrun itself, on one node or many, a rank finds its variables and does not come here.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from wenlan_data.errors import UsageError
from wenlan_data.model.config import TrainConfig
from wenlan_data.train.signals import PARENT

POLL_S = 0.2
GRACE_S = 60.0
"""How long ranks may take to save after one has ended or a signal came."""


def launch(arguments: Sequence[str], ranks: int) -> int:
    """Run `wenlan-data ARGUMENTS` on `ranks` ranks of this machine; the exit code of the first that failed, or 0."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "wenlan_data", *arguments], env=env, stdin=subprocess.DEVNULL
        )
        for env in _environments(ranks)
    ]
    asked = _pass_on(processes)
    try:
        while True:
            codes = [process.poll() for process in processes]
            if all(code is not None for code in codes):
                return _first_failure(codes)
            if any(code not in (None, 0) for code in codes):
                return _end(processes, asked)
            time.sleep(POLL_S)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()


def check_division(config: TrainConfig, ranks: int) -> None:
    """Raise `UsageError` where the batch cannot be cut into equal parts."""
    parts = ranks * config.accumulation
    if config.batch_size % parts:
        raise UsageError(
            f"batch_size {config.batch_size} cannot be cut into {ranks} ranks x {config.accumulation} parts: "
            f"choose a multiple of {parts}"
        )


def inside_launch() -> bool:
    """Whether this process is a rank already."""
    return "RANK" in os.environ


def _environments(ranks: int) -> list[dict[str, str]]:
    threads = max(1, (os.cpu_count() or 1) // ranks)
    shared = {
        **os.environ,
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        PARENT: str(os.getpid()),
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


def _pass_on(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Hand signals to the ranks; the list holds those that came."""
    asked: list[int] = []

    def hand(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 # the role of signal handlers
        asked.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand)
    return asked


def _end(processes: Sequence[subprocess.Popen[bytes]], asked: list[int]) -> int:
    """One rank has failed: the others cannot go on. After a signal they are saving, and get their time."""
    first = _first_failure([process.poll() for process in processes])
    deadline = time.monotonic() + (GRACE_S if asked or first in (9, 11) else 5.0)
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(POLL_S)
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    return first


def _first_failure(codes: Sequence[int | None]) -> int:
    """The code of a rank that says why, before one that was killed (128 + signal)."""
    failed = [code for code in codes if code not in (None, 0)]
    said = [code for code in failed if code is not None and code > 0]
    killed = [128 - code for code in failed if code is not None and code < 0]
    return (said + killed + [0])[0]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
