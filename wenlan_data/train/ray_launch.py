"""Runs the ranks of a training by Ray Train, on this machine or on a cluster, and starts them again
after a rank, a worker or a node was lost.

Ray Train places the ranks, gives them GPUs and counts failures. Each of its workers runs one rank
of the usual command in a process of its own (`train.rank_process`), which writes and resumes the
usual checkpoints: nothing of Ray is part of a run.
"""

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Before Ray: it sets variables that Ray reads when it is imported.
from wenlan_data.run.executors.ray import RaySession, WaitNotice, call_on_nodes

# isort: split

import ray
import ray.exceptions
import ray.train
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig, TorchTrainer

from wenlan_data.errors import (
    FailureBudgetError,
    InterruptedBuildError,
    WenlanError,
    in_short,
    print_line,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.run.executors.cluster_address import check_cluster
from wenlan_data.stop_signals import MESSAGE
from wenlan_data.train.launch import (
    SAVE_GRACE_S,
    check_restarts,
    free_port,
    is_second_request,
    newest_checkpoint,
    record_signals,
    threads_of_a_rank,
)
from wenlan_data.train.node_check import check_nodes, check_size, look, shared_folder
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.rank_ends import RankEnd, RankJob, cause_of_end, cause_of_restart
from wenlan_data.train.rank_process import RankProcess

LOCAL = "local"
"""`--ray local` starts Ray on this machine."""
POLL_S = 0.2
CAUSE_S = 3.0
"""How long a rank that crashed waits for one that ended for a reason of its own, which would be
the cause of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSettings:
    """What a worker needs to run its rank; sent to it by Ray."""

    job: Any
    """The actor `RankJob`."""
    config: dict[str, object]
    options: TrainOptions
    folder: Path
    """Working folder of the driver: paths in the config are relative to it."""
    threads: str | None
    """The driver's `OMP_NUM_THREADS`."""
    as_json: bool


@dataclass
class _WorkerGroup(TorchConfig):
    """The process group of Ray's workers, on CPUs: the ranks have one of their own."""

    backend: str | None = "gloo"

    @property
    def train_func_context(self) -> Callable[[], AbstractContextManager[None]]:
        """Selects no GPU: the CUDA context of a worker would take memory from its rank."""
        return nullcontext


def launch_on_ray(
    config: TrainConfig,
    options: TrainOptions,
    world_size: int,
    *,
    address: str,
    max_failures: int,
    as_json: bool,
) -> tuple[int, str]:
    """Trains on `world_size` ranks; returns the exit code and what the main rank printed on stdout.

    `address` is that of the head of a running cluster, or `LOCAL`. After a loss all ranks start
    again from the newest intact checkpoint, at most `max_failures` times. An error of ours ends the
    job with its line and exit code; after SIGTERM or SIGINT that is 11. Raises `UsageError` where
    the cluster cannot be reached or is too small, or a node does not see the folders, and
    `FailureBudgetError` after more failures.
    """
    received = record_signals()
    options = options.absolute()
    check_restarts(options.out, options.resume)
    if address != LOCAL:
        check_cluster(address)
    session = RaySession(
        world_size if address == LOCAL else None,
        None if address == LOCAL else address,
        "leave out --ray",
    )
    try:
        session.begin()
        with shared_folder(options.out) as folder:
            use_gpu = check_size(_resources(ray.cluster_resources), world_size)
            shards = (path.absolute() for path in options.training_shards(config))
            paths = [folder, *shards, *options.val_shards]
            found = call_on_nodes(look, paths, resource="GPU" if use_gpu else "CPU")
            check_nodes(found, options.out, folder)
            settings = RankSettings(
                job=ray.remote(num_cpus=0)(RankJob).remote(),
                config=config.resolved(),
                options=options,
                folder=Path.cwd(),
                threads=os.environ.get("OMP_NUM_THREADS"),
                as_json=as_json,
            )
            trainer = _trainer(settings, world_size, folder, max_failures, use_gpu=use_gpu)
            return _Driver(settings, trainer, received, max_failures).run()
    except ray.exceptions.RayError as error:
        raise WenlanError(
            f"the connection to Ray was lost ({in_short(error)}): "
            "the same command with --resume auto continues"
        ) from error
    finally:
        session.close()


def _trainer(
    settings: RankSettings, world_size: int, folder: Path, max_failures: int, *, use_gpu: bool
) -> Any:
    return TorchTrainer(
        _run_rank,
        train_loop_config={"settings": settings},
        torch_config=_WorkerGroup(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=world_size,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": 1, "GPU": 1} if use_gpu else {"CPU": 1},
        ),
        run_config=ray.train.RunConfig(
            name="ranks",
            storage_path=str(folder),
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
        ),
    )


def _resources(of: Callable[[], dict[str, float]]) -> dict[str, float]:
    return of()


class _Driver:
    """Waits for the end of a job; prints what its ranks print, and why they start again."""

    def __init__(
        self, settings: RankSettings, trainer: Any, received: list[float], max_failures: int
    ) -> None:
        self._settings, self._trainer = settings, trainer
        self._received, self._max_failures = received, max_failures
        self._is_done = threading.Event()
        self._error: Exception | None = None
        self._starts = 0
        self._ends: list[RankEnd] = []
        self._notice = WaitNotice()

    def run(self) -> tuple[int, str]:
        """Returns the exit code and the output of the main rank."""
        # Not in the main thread, where Ray would handle SIGINT.
        threading.Thread(target=self._fit, name="ray train", daemon=True).start()
        deadline_s, is_stopping = 0.0, False
        while not self._is_done.wait(POLL_S):
            self._report()
            now = time.monotonic()
            if self._received and not is_stopping:
                self._settings.job.stop.remote()
                is_stopping = True
            # Ranks may take as long as their step and their checkpoint do. Once one has ended, or
            # where none has begun, there is nothing that the others could wait for.
            has_ended = any(one.start == self._starts for one in self._ends)
            if is_stopping and not deadline_s and (has_ended or not self._starts):
                deadline_s = now + SAVE_GRACE_S
            if is_second_request(self._received) or (deadline_s and now > deadline_s):
                raise InterruptedBuildError(MESSAGE)
        self._report()
        return self._outcome()

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:  # noqa: BLE001 - handled in the main thread
            self._error = error
        finally:
            self._is_done.set()

    def _report(self) -> None:
        starts, lines, self._ends = ray.get(self._settings.job.take.remote())
        if starts > max(1, self._starts):
            newest = newest_checkpoint(self._settings.options.out)
            where = newest.name if newest else "step 0"
            print_line(
                f"{self._loss(starts - 1)}: starting all ranks again from {where} "
                f"({starts - 1} of at most {self._max_failures} times)"
            )
        for line in lines:
            print_line(line)
        self._starts = starts
        if not starts and self._notice.is_due():
            free = _resources(ray.available_resources)
            shown = ", ".join(f"{free.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
            print_line(f"waiting until all ranks have a place and have started: {shown} are free")

    def _loss(self, start: int) -> str:
        """Prints the lines of the rank whose loss ended a start; returns what happened to it."""
        cause = cause_of_restart(self._ends, start)
        for line in cause.reasons if cause else ():
            print_line(line)
        return str(cause) if cause else "a worker of Ray was lost"

    def _outcome(self) -> tuple[int, str]:
        cause = cause_of_end(self._ends, self._starts)
        if cause is not None:
            for line in cause.reasons:
                print_line(line)
            return cause.code, ""
        if self._error is None:
            [main] = [one for one in self._ends if one.start == self._starts and one.rank == 0]
            return 0, main.output
        if self._received:
            # Ranks that lose another one to the signal end in the errors of their collectives.
            raise InterruptedBuildError(MESSAGE) from self._error
        if not isinstance(self._error, ray.train.WorkerGroupError):
            raise WenlanError(f"Ray Train failed: {in_short(self._error)}") from self._error
        raise FailureBudgetError(
            f"{self._loss(self._starts)}, and --max-failures is {self._max_failures}: remove the "
            "cause, and continue by the same command with --resume auto"
        )


def _run_rank(given: dict[str, RankSettings]) -> None:
    """Runs one rank to its end; in a worker of Ray Train. Raises what makes it start all again."""
    settings = given["settings"]
    rank = ray.train.get_context().get_world_rank()
    begin = None
    if rank == 0:
        start = ray.get(settings.job.begin.remote())
        is_resumed = start > 1 and newest_checkpoint(settings.options.out) is not None
        resume = "auto" if is_resumed else settings.options.resume
        begin = {"start": start, "port": free_port(), "resume": resume}
    begin = broadcast_from_rank_zero(begin)
    end = _rank_end(settings, rank, begin)
    ray.get(settings.job.end.remote(end))
    deadline_s = time.monotonic() + CAUSE_S
    while not end.is_final:
        _, code = ray.get(settings.job.exchange.remote(end.start, []))
        if code:
            return
        if time.monotonic() > deadline_s:
            raise RuntimeError(str(end))
        time.sleep(POLL_S)


def _rank_end(settings: RankSettings, rank: int, begin: dict[str, Any]) -> RankEnd:
    """Runs one rank and watches it."""

    def exchange(lines: list[str]) -> tuple[bool, int]:
        # The other ranks print nothing but warnings of libraries, the same on all of them.
        found = settings.job.exchange.remote(begin["start"], lines if rank == 0 else [])
        should_stop, code = ray.get(found)
        return should_stop, code

    local_ranks = ray.train.get_context().get_local_world_size()
    # RANK, LOCAL_RANK, WORLD_SIZE and MASTER_ADDR are Ray Train's; its port is in use.
    environment = {
        **os.environ,
        "MASTER_PORT": str(begin["port"]),
        "OMP_NUM_THREADS": settings.threads or threads_of_a_rank(local_ranks),
    }
    options = replace(settings.options, resume=begin["resume"])
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as config:
        json.dump(settings.config, config, ensure_ascii=False)
        config.flush()
        words = ["train", "--config", config.name, *options.words()]
        if settings.as_json:
            words.append("--json")
        process = RankProcess(words, environment, settings.folder)
        process.watch(exchange)
    return RankEnd(
        rank=rank,
        host=socket.gethostname(),
        start=begin["start"],
        code=process.exit_code(),
        reasons=process.reasons(),
        output=process.output() if rank == 0 else "",
    )
