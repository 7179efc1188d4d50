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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from wenlan_data.errors import (
    DeviceError,
    FailureBudgetError,
    InterruptedBuildError,
    UsageError,
    WenlanError,
    WorkerLostError,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.stop_signals import NUMBERS, SAME_REQUEST_S
from wenlan_data.train.signals import LAUNCHER_PID_VARIABLE, RESTARTS_VARIABLE

POLL_S = 0.05
RESTART = 75
"""Exit code (EX_TEMPFAIL) of a rank that Ray Train should start again; a command never has it."""
_SAVED = (FailureBudgetError.exit_code, InterruptedBuildError.exit_code)
SAVE_GRACE_S = 60.0
"""How long the other ranks may take to save after one has ended or a signal came."""
CRASH_GRACE_S = 5.0
"""How long they may take after one has crashed."""


def launch(arguments: Sequence[str], world_size: int) -> int:
    """Runs `wenlan-data ARGUMENTS` on `world_size` ranks; returns the first failure's exit code, or
    0.

    After SIGTERM or SIGINT it is 11, unless a rank failed for a reason of its own. A second signal
    kills the ranks. No process of a rank is left at the end.
    """
    received = record_signals()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for environment in _environments(world_size):
            if received:
                break
            processes.append(start_rank(arguments, environment))
        return _wait(processes, received)
    finally:
        for process in processes:
            kill_rank(process)


def record_signals() -> list[float]:
    """Returns a list to which SIGTERM and SIGINT add their time from now on, in seconds of the
    monotonic clock, and have no other effect."""
    received: list[float] = []
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: received.append(time.monotonic()))
    return received


def is_second_request(received: Sequence[float]) -> bool:
    """Whether the recorded signals are two requests to stop."""
    return bool(received) and received[-1] - received[0] > SAME_REQUEST_S


def start_rank(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: int | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a rank in a session of its own, with signals blocked until it can handle them.

    A signal to the process group reaches the launcher alone then, which forwards it once. `output`
    is for stdout and stderr, as in `subprocess`; `folder` is the rank's working folder.
    """
    # The mask is inherited; a signal that comes meanwhile is handled when it is restored.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "wenlan_data", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(processes: Sequence[subprocess.Popen[bytes]], received: list[float]) -> int:
    """Waits for all ranks, forwards the first signal to them, and ends the job after a failure: the
    other ranks would wait in a collective."""
    is_forwarded = False
    deadline_s = 0.0
    while any(process.poll() is None for process in processes):
        if received and not is_forwarded:
            is_forwarded = True
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
        if is_second_request(received):
            return InterruptedBuildError.exit_code
        failure = _first_failure([process.poll() for process in processes])
        if failure and not deadline_s:
            deadline_s = time.monotonic() + (SAVE_GRACE_S if received else grace_s(failure))
        if deadline_s and time.monotonic() > deadline_s:
            break
        time.sleep(POLL_S)
    code = _first_failure([process.poll() for process in processes])
    # Ranks that lose another one to the signal end in the errors of their collectives.
    is_consequence = code == 1 or code > 128 or len(processes) == 0
    return InterruptedBuildError.exit_code if received and is_consequence else code


def grace_s(code: int) -> float:
    """How long the other ranks may take to end after one has ended with `code`: after 9 and 11 they
    are saving, as after a signal."""
    return SAVE_GRACE_S if code in _SAVED else CRASH_GRACE_S


def kill_rank(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of a rank: it leads a process group, in which its loader workers are."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check_division(config: TrainConfig, world_size: int) -> None:
    """Raises `UsageError` where the global batch cannot be divided into equal micro-batches."""
    parts = world_size * config.accumulation
    if config.batch_size % parts:
        raise UsageError(
            f"batch_size {config.batch_size} cannot be divided by {world_size} ranks x "
            f"{config.accumulation} accumulation: choose a multiple of {parts}"
        )


def check_batch_norm(config: TrainConfig, world_size: int) -> None:
    """Raises `UsageError` where BatchNorm would train on several ranks without sharing statistics,
    which `torch.nn.SyncBatchNorm` does on GPUs only."""
    if config.image.batch_norm == "frozen" or world_size == 1:
        return
    # Not at the top: the launcher needs no torch, which takes seconds to import.
    import torch

    if not torch.cuda.is_available():
        raise UsageError(
            "image.batch_norm: train: ranks without GPUs cannot share its statistics: train on one "
            "rank, or set it to frozen"
        )


def newest_checkpoint(out: Path) -> Path | None:
    """The newest checkpoint of a run, not checked; None where there is none."""
    # Not at the top: it imports all that a model needs, which takes seconds in every worker of Ray.
    from wenlan_data.model.checkpoint import list_checkpoints

    return [None, *list_checkpoints(out)][-1]


def check_restarts(out: Path, resume: str) -> None:
    """Raises `UsageError` where ranks that start again could not tell the checkpoints of this job
    from older ones."""
    newest = newest_checkpoint(out)
    if resume == "auto" or newest is None:
        return
    if resume == "no":
        raise UsageError(
            f"{out} holds a run already: continue it with --resume auto, or choose another --out"
        )
    # Not at the top: the launcher needs no torch, which takes seconds to import.
    from wenlan_data.model.checkpoint import checkpoint_path, checkpoint_step

    given = Path(resume)
    # The name of a checkpoint, or a run, whose best checkpoint is meant.
    step = checkpoint_step(given) or checkpoint_step(checkpoint_path(given))
    if checkpoint_step(newest) > step:
        raise UsageError(
            f"{out} holds {newest.name}, from which ranks under --ray would start again: "
            f"move what is newer than {resume} away, or choose another --out"
        )


def inside_launch() -> bool:
    """Whether this process is a rank already."""
    return "RANK" in os.environ


def needs_restart(error: Exception) -> bool:
    """Whether Ray Train should start the ranks again after an error of this one: a lost worker of
    the loader, a failing device, or what no code foresees, such as an error of NCCL."""
    is_foreseen = isinstance(error, WenlanError)
    is_transient = isinstance(error, WorkerLostError | DeviceError)
    return bool(os.environ.get(RESTARTS_VARIABLE)) and (is_transient or not is_foreseen)


def _environments(world_size: int) -> list[dict[str, str]]:
    shared = {
        **os.environ,
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads_of_a_rank(world_size)),
        LAUNCHER_PID_VARIABLE: str(os.getpid()),
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world_size)]


def threads_of_a_rank(ranks: int) -> str:
    """The number of threads of each of the ranks of this machine: without a limit every one would
    start one for each core."""
    return str(max(1, (os.cpu_count() or 1) // ranks))


def _first_failure(codes: Sequence[int | None]) -> int:
    """The exit code of a rank that exited, else 128 + signal of one that was killed, else 0.

    A rank that a signal killed tells less about the cause than one that raised an error.
    """
    exited = [code for code in codes if code is not None and code > 0]
    killed = [128 - code for code in codes if code is not None and code < 0]
    return (exited + killed + [0])[0]


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
