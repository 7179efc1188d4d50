"""The training loop: steps, checkpoints, validation, and the ways in which a run ends."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from wenlan_data.errors import (
    DamageError,
    FailureBudgetError,
    InterruptedBuildError,
    OtherRankError,
    UsageError,
    WorkerLostError,
)
from wenlan_data.model.backbones import share_batch_norm
from wenlan_data.model.checkpoint import CorpusMark, checkpoint_step, list_checkpoints
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.sharded_tensor import local
from wenlan_data.train.batches import Batch, TrainingData, batches
from wenlan_data.train.checkpoint_writer import CheckpointWriter
from wenlan_data.train.data_watch import DataWatch
from wenlan_data.train.distributed import Distributed, max_over_ranks, on_any_rank
from wenlan_data.train.epoch_record import epoch_record
from wenlan_data.train.host_copy import NamedTensors
from wenlan_data.train.optimizer import learning_rate
from wenlan_data.train.run_log import RunLog, StepRecord
from wenlan_data.train.sharding import gather_on_main, gathered_towers, is_sharded
from wenlan_data.train.signals import StopRequest
from wenlan_data.train.state import TrainingState, checkpoint_state, checkpoint_tensors
from wenlan_data.train.step import training_step
from wenlan_data.train.step_figures import StepWindow, WindowFigures
from wenlan_data.train.throughput import DeviceUse, flops_of_pair

MAX_SKIPPED_IN_A_ROW = 5
# BatchNorm statistics are frozen, or SyncBatchNorm's, and so equal on all ranks. torch 2.13 renamed
# the argument.
_RENAMED = "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
_NO_BUFFER_SYNC: dict[str, Any] = {
    "forward_sync_buffers" if _RENAMED else "broadcast_buffers": False
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """The state of a training with everything that the loop needs."""

    folder: Path
    config: TrainConfig
    distributed: Distributed
    data: TrainingData
    corpus: CorpusMark
    training: TrainingState
    log: RunLog
    writer: CheckpointWriter
    validate: Callable[[], dict[str, float]] | None = None
    """Computes the metrics of the current towers; None without validation shards."""
    saved: dict[int, dict[str, float]] = field(default_factory=dict)
    """Metrics by step, of the checkpoints that this run has begun to save."""


def train(run: TrainingRun, stop: StopRequest) -> None:
    """Trains up to the config's `max_steps`, with a checkpoint at every end but unexpected errors.

    Raises `InterruptedBuildError` (exit 11) after a stop request, `FailureBudgetError` (exit 9)
    after `MAX_SKIPPED_IN_A_ROW` steps that were not finite, and the errors of the loader and of the
    disk. No checkpoint is being written at its end, whatever it is.
    """
    module = _wrap_ddp(run.training, run.distributed, run.config)
    try:
        with closing(_micro_batches(run)) as steps:
            _train(run, stop, module, steps)
    finally:
        run.writer.close(run.log.message, run.log.checkpoint)


def _train(
    run: TrainingRun, stop: StopRequest, module: nn.Module, steps: Iterator[list[Batch]]
) -> None:
    training, config = run.training, run.config
    watch = DataWatch(run.log.message)
    window = StepWindow(names=training.objective.figures)
    is_first = True
    while training.step < config.max_steps:
        try:
            micro_batches = next(steps)
        except WorkerLostError:
            # A signal to the process group ends the loader's workers too.
            if stop and run.distributed.world_size == 1:
                _stop(run, {})
            raise
        if is_first:
            with gathered_towers(training.towers):
                flops = flops_of_pair(training.towers, training.objective, micro_batches[0].inputs)
            run.log.device_use = DeviceUse(
                ranks=run.distributed.world_size,
                device=run.distributed.device,
                pair_flops=flops,
                precision=config.precision,
            )
            # It waits for the start of the loader's workers.
            run.log.restart_clock()
            is_first = False
        step_figures = training_step(training, module, micro_batches, config, run.distributed)
        training.position = micro_batches[-1].next_position
        training.samples += config.batch_size
        window.add(step_figures, micro_batches)
        metrics_of_epoch = micro_batches[-1].epoch_metrics
        if not (metrics_of_epoch or _is_logged(run)):
            continue
        found = window.read(run.distributed)
        run.log.step(_step_record(run, found))
        try:
            watch.look(training.step, found)
        except UsageError:
            # All ranks raise it. The steps since the last checkpoint are not lost.
            save(run, {}, is_last=True)
            _wait_for_writer(run)
            raise
        if metrics_of_epoch:
            epoch = training.position.epoch
            run.log.epoch(epoch_record(training.step, epoch, metrics_of_epoch, run.distributed))
        _check_finite(run, found)
        metrics = _validate_if_due(run)
        is_last = training.step == config.max_steps
        if metrics or _is_due(run, config.checkpoints.every_steps):
            save(run, metrics, is_last=is_last)
        if _must_stop(run, stop):
            _stop(run, metrics)
    _wait_for_writer(run)


def _is_logged(run: TrainingRun) -> bool:
    """Whether the figures are read after this step: at a line of the log, and before what depends
    on them."""
    config = run.config
    validates = run.validate is not None and _is_due(run, config.validation.every_steps)
    return (
        validates
        or _is_due(run, config.log.every_steps)
        or _is_due(run, config.checkpoints.every_steps)
    )


def _stop(run: TrainingRun, metrics: dict[str, float]) -> NoReturn:
    """Saves this step and raises `InterruptedBuildError`, which states what was saved."""
    save(run, metrics, is_last=True)
    _wait_for_writer(run)
    what = "checkpoint saved"
    if run.training.step not in run.saved:
        saved = list_checkpoints(run.folder)
        last = f"step {checkpoint_step(saved[-1])}" if saved else "none"
        what = f"not saved, as its weights are not finite, last checkpoint {last}"
    raise InterruptedBuildError(
        f"stopped at step {run.training.step}, {what}: "
        "the same command with --resume auto continues"
    )


def save(run: TrainingRun, metrics: dict[str, float], *, is_last: bool = False) -> None:
    """Begins to write a checkpoint of this step on the main rank, once a step.

    After a skipped step, only where the run ends with it, and never weights that are not finite:
    else the checkpoints left are those from before the fault.
    """
    training = run.training
    is_sound = not training.skipped_in_a_row or (is_last and _is_finite(run))
    if training.step not in run.saved and is_sound:
        tensors: NamedTensors = checkpoint_tensors(training)
        copy_s = None
        if is_sharded(run.config):
            # Before there is a second copy.
            run.writer.wait()
            start = time.perf_counter()
            tensors = gather_on_main(tensors, run.distributed)
            copy_s = time.perf_counter() - start
        if run.distributed.is_main:
            state = checkpoint_state(training, run.config, run.corpus, metrics)
            run.writer.save(state, tensors, is_last=is_last, copy_s=copy_s)
        run.saved[training.step] = metrics
    # The copy of the tensors is no training; what is written in the background takes no time of it.
    run.log.restart_clock()


def _must_stop(run: TrainingRun, stop: StopRequest) -> bool:
    """Whether a stop was requested on any rank; raises the error of a write.

    All ranks must end after the same step, else the others wait in a collective forever.
    """
    run.writer.report(run.log.message, run.log.checkpoint)
    here = (float(bool(stop)), float(run.writer.exit_code))
    must_stop, exit_code = max_over_ranks(here, run.distributed)
    _raise_error(run, exit_code)
    return bool(must_stop)


def _wait_for_writer(run: TrainingRun) -> None:
    """Waits on all ranks until no checkpoint is being written; raises the error of a write."""
    run.writer.wait()
    run.writer.report(run.log.message, run.log.checkpoint)
    [exit_code] = max_over_ranks([run.writer.exit_code], run.distributed)
    _raise_error(run, exit_code)
    run.log.restart_clock()


def _raise_error(run: TrainingRun, exit_code: float) -> None:
    # Not an error that came since the ranks compared: the others would go on.
    if exit_code:
        run.writer.raise_error()
        raise OtherRankError("the main rank could not write a checkpoint", int(exit_code))


def _wrap_ddp(training: TrainingState, distributed: Distributed, config: TrainConfig) -> nn.Module:
    if config.compile:
        training.towers.image.compile()
        training.towers.text.compile()
    if distributed.world_size == 1 or is_sharded(config):
        return training.towers
    if config.image.batch_norm == "train":
        # Each rank has statistics of the whole batch, the same on all of them; without it those of
        # the rank that saves would be saved. Only GPUs have it (`launch.check_batch_norm`).
        image = training.towers.image
        image.backbone = share_batch_norm(image.backbone)
    return DistributedDataParallel(
        training.towers,
        device_ids=[distributed.device] if distributed.device.type == "cuda" else None,
        **_NO_BUFFER_SYNC,
        gradient_as_bucket_view=True,
        # Under no_sync some backward passes reduce nothing: the graph is static without it only.
        static_graph=config.accumulation == 1,
    )


def _micro_batches(run: TrainingRun) -> Generator[list[Batch]]:
    """Yields the micro-batches of each step."""
    with closing(batches(run.data, run.config, run.distributed, run.training.position)) as source:
        while True:
            yield [next(source) for _ in range(run.config.accumulation)]


def _check_finite(run: TrainingRun, window: WindowFigures) -> None:
    """Counts the steps that were not finite; raises `FailureBudgetError` after too many in a
    row."""
    training, most_in_a_row = run.training, 0
    for number, is_skipped in enumerate(window.skipped, training.step - window.steps + 1):
        training.skipped += is_skipped
        training.skipped_in_a_row = training.skipped_in_a_row + 1 if is_skipped else 0
        most_in_a_row = max(most_in_a_row, training.skipped_in_a_row)
        if is_skipped:
            run.log.message(
                f"step {number}: loss or gradients are not finite: "
                f"skipped ({training.skipped} in all)"
            )
    if most_in_a_row >= MAX_SKIPPED_IN_A_ROW:
        _wait_for_writer(run)
        saved = list_checkpoints(run.folder)
        last = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was saved"
        raise FailureBudgetError(
            f"{most_in_a_row} steps in a row were not finite, up to {training.step}: "
            f"{last}: lower optimizer.lr, or check the samples of these steps"
        )


def _validate_if_due(run: TrainingRun) -> dict[str, float]:
    if run.validate is None or not _is_due(run, run.config.validation.every_steps):
        return {}
    metrics: dict[str, float] = {}
    failure: Exception | None = None
    try:
        metrics = run.validate()
    except Exception as error:  # noqa: BLE001 # raised below, once all ranks know of it
        failure = error
    if on_any_rank(failure is not None, run.distributed):
        # Validation pairs that cannot be read must not lose the steps since the last checkpoint.
        if on_any_rank(isinstance(failure, InterruptedBuildError), run.distributed):
            _stop(run, {})
        save(run, {}, is_last=True)
        _wait_for_writer(run)
        raise failure or DamageError(
            f"step {run.training.step}: validation failed on another rank: see its message"
        )
    run.log.validation(run.training.step, metrics)
    return metrics


def _step_record(run: TrainingRun, window: WindowFigures) -> StepRecord:
    training, config = run.training, run.config
    return StepRecord(
        step=training.step,
        epoch=window.epoch,
        figures=window.figures,
        queue_fill=training.objective.counters().get("queue_fill", 0),
        queue_slots=config.negatives.queue,
        wait_s=window.wait_s,
        samples=window.steps * config.batch_size,
        rate=learning_rate(training.step - 1, config.optimizer, config.max_steps),
    )


def _is_finite(run: TrainingRun) -> bool:
    """Whether all weights are; a collective, since a rank may hold a part of them only."""
    weights = map(local, run.training.towers.parameters())
    return not on_any_rank(
        not all(bool(torch.isfinite(one).all()) for one in weights), run.distributed
    )


def _is_due(run: TrainingRun, every_steps: int) -> bool:
    """Whether something is done after this step: every so many steps, and after the last one."""
    step = run.training.step
    return step % every_steps == 0 or step == run.config.max_steps
