"""Starts one process for each rank on this machine, with the environment variables of torchrun.

torchrun turns every exit code into 1 and kills ranks while they save a checkpoint. Here a rank's
own exit code (9, 11) is returned, and signals are forwarded. A rank that torchrun itself started,
on one node or many, finds its variables set and does not use this module.
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
from wenlan_data.train.signals import LAUNCHER_PID_VARIABLE

POLL_S = 0.2
SAVE_GRACE_S = 60.0
"""How long the other ranks may take to save after one has ended or a signal came."""
CRASH_GRACE_S = 5.0
"""How long they may take after one has crashed."""


def launch(arguments: Sequence[str], world_size: int) -> int:
    """Runs `wenlan-data ARGUMENTS` on `world_size` ranks; returns the first failure's exit code, or
    0."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "wenlan_data", *arguments], env=env, stdin=subprocess.DEVNULL
        )
        for env in _environments(world_size)
    ]
    received = _forward_signals(processes)
    try:
        while True:
            codes = [process.poll() for process in processes]
            if all(code is not None for code in codes):
                return _first_failure(codes)
            if any(code not in (None, 0) for code in codes):
                return _end_all(processes, received)
            time.sleep(POLL_S)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()


def check_division(config: TrainConfig, world_size: int) -> None:
    """Raises `UsageError` where the global batch cannot be divided into equal micro-batches."""
    parts = world_size * config.accumulation
    if config.batch_size % parts:
        raise UsageError(
            f"batch_size {config.batch_size} cannot be divided by {world_size} ranks x "
            f"{config.accumulation} accumulation: choose a multiple of {parts}"
        )


def inside_launch() -> bool:
    """Whether this process is a rank already."""
    return "RANK" in os.environ


def _environments(world_size: int) -> list[dict[str, str]]:
    # Without a limit every rank would start a thread for each core.
    threads = max(1, (os.cpu_count() or 1) // world_size)
    shared = {
        **os.environ,
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        LAUNCHER_PID_VARIABLE: str(os.getpid()),
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world_size)]


def _forward_signals(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Forwards SIGTERM and SIGINT to the ranks as SIGTERM; the list returned receives them."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 # a signal handler
        received.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    return received


def _end_all(processes: Sequence[subprocess.Popen[bytes]], received: list[int]) -> int:
    """Ends the job after one rank has failed: the others would wait for it in a collective.

    After a signal, and after exits 9 and 11, the ranks are saving and get the time for it.
    """
    first = _first_failure([process.poll() for process in processes])
    grace_s = SAVE_GRACE_S if received or first in (9, 11) else CRASH_GRACE_S
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(POLL_S)
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    return first


def _first_failure(codes: Sequence[int | None]) -> int:
    """The exit code of a rank that exited, else 128 + signal of one that was killed, else 0.

    A rank that a signal killed tells less about the cause than one that raised an error.
    """
    exited = [code for code in codes if code is not None and code > 0]
    killed = [128 - code for code in codes if code is not None and code < 0]
    return (exited + killed + [0])[0]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
