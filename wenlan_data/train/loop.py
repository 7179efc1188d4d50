"""The training loop: steps, checkpoints, validation, and the ways in which a run ends."""

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
    WorkerLostError,
)
from wenlan_data.model.backbones import share_batch_norm
from wenlan_data.model.checkpoint import (
    CorpusMark,
    best_checkpoint,
    checkpoint_step,
    list_checkpoints,
    prune,
    save_checkpoint,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.train.batches import Batch, TrainingData, batches
from wenlan_data.train.data_watch import DataWatch
from wenlan_data.train.distributed import Distributed, all_reduce_max, barrier
from wenlan_data.train.epoch_record import epoch_record
from wenlan_data.train.optimizer import learning_rate
from wenlan_data.train.run_log import RunLog, StepRecord
from wenlan_data.train.signals import StopRequest
from wenlan_data.train.state import TrainingState, checkpoint_state, checkpoint_tensors
from wenlan_data.train.step import training_step

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
    tokenizer: bytes
    """The contents of `tokenizer.json`."""
    log: RunLog
    validate: Callable[[], dict[str, float]] | None = None
    """Computes the metrics of the current towers; None without validation shards."""
    saved: dict[int, dict[str, float]] = field(default_factory=dict)
    """Metrics by step, of the checkpoints that this process has saved."""


def train(run: TrainingRun, stop: StopRequest) -> None:
    """Trains up to the config's `max_steps`, with a checkpoint at every end but unexpected errors.

    Raises `InterruptedBuildError` (exit 11) after a stop request, `FailureBudgetError` (exit 9)
    after `MAX_SKIPPED_IN_A_ROW` steps that were not finite, and the errors of the loader and of the
    disk.
    """
    module = _wrap_ddp(run.training, run.distributed, run.config)
    with closing(_micro_batches(run)) as steps:
        _train(run, stop, module, steps)


def _train(
    run: TrainingRun, stop: StopRequest, module: nn.Module, steps: Iterator[list[Batch]]
) -> None:
    training, config = run.training, run.config
    watch = DataWatch(run.log.message)
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
            # It waits for the start of the loader's workers.
            run.log.restart_clock()
            is_first = False
        figures = training_step(training, module, micro_batches, config, run.distributed)
        training.position = micro_batches[-1].next_position
        training.samples += config.batch_size
        run.log.step(_step_record(run, micro_batches, figures))
        watch.look(training.step, micro_batches, figures)
        if metrics_of_epoch := micro_batches[-1].epoch_metrics:
            epoch = training.position.epoch
            run.log.epoch(epoch_record(training.step, epoch, metrics_of_epoch, run.distributed))
        _check_finite(run)
        metrics = _validate_if_due(run)
        is_last = training.step == config.max_steps
        if metrics or _is_due(run, config.checkpoints.every_steps):
            save(run, metrics, even_if_skipped=is_last)
        # All ranks must stop after the same step, else the others wait in a collective forever.
        if _on_any_rank(bool(stop), run.distributed):
            _stop(run, metrics)


def _stop(run: TrainingRun, metrics: dict[str, float]) -> NoReturn:
    """Saves this step and raises `InterruptedBuildError`, which states what was saved."""
    save(run, metrics, even_if_skipped=True)
    what = "checkpoint saved"
    if run.training.step not in run.saved:
        saved = list_checkpoints(run.folder)
        last = f"step {checkpoint_step(saved[-1])}" if saved else "none"
        what = f"not saved, as its weights are not finite, last checkpoint {last}"
    raise InterruptedBuildError(
        f"stopped at step {run.training.step}, {what}: "
        "the same command with --resume auto continues"
    )


def save(run: TrainingRun, metrics: dict[str, float], *, even_if_skipped: bool = False) -> None:
    """Writes a checkpoint of this step on the main rank, once a step, and prunes old ones.

    After a skipped step, only where the run ends with it, and never weights that are not finite:
    else the checkpoints left are those from before the fault.
    """
    training = run.training
    is_sound = not training.skipped_in_a_row or (even_if_skipped and _is_finite(training.towers))
    if training.step not in run.saved and is_sound:
        if run.distributed.is_main:
            state = checkpoint_state(training, run.config, run.corpus, metrics)
            tensors = checkpoint_tensors(training)
            path = save_checkpoint(run.folder, state, tensors, run.tokenizer)
            run.log.message(f"saved {path}")
            best = best_checkpoint(run.folder, run.config.validation.metric, run.log.message)
            prune(run.folder, run.config.checkpoints.keep, best)
        run.saved[training.step] = metrics
    barrier()
    run.log.restart_clock()


def _wrap_ddp(training: TrainingState, distributed: Distributed, config: TrainConfig) -> nn.Module:
    if config.compile:
        for towers in (training.towers, training.momentum_towers):
            if towers is not None:
                towers.image.compile()
                towers.text.compile()
    if distributed.world_size == 1:
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


def _check_finite(run: TrainingRun) -> None:
    training = run.training
    if training.skipped_in_a_row:
        run.log.message(
            f"step {training.step}: loss or gradients are not finite: "
            f"skipped ({training.skipped} in all)"
        )
    if training.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
        saved = list_checkpoints(run.folder)
        last = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was saved"
        raise FailureBudgetError(
            f"{MAX_SKIPPED_IN_A_ROW} steps in a row were not finite, up to {training.step}: "
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
    if _on_any_rank(failure is not None, run.distributed):
        # Validation pairs that cannot be read must not lose the steps since the last checkpoint.
        if _on_any_rank(isinstance(failure, InterruptedBuildError), run.distributed):
            _stop(run, {})
        save(run, {}, even_if_skipped=True)
        raise failure or DamageError(
            f"step {run.training.step}: validation failed on another rank: see its message"
        )
    run.log.validation(run.training.step, metrics)
    return metrics


def _step_record(
    run: TrainingRun, micro_batches: list[Batch], figures: dict[str, float]
) -> StepRecord:
    training, config = run.training, run.config
    return StepRecord(
        step=training.step,
        epoch=micro_batches[-1].next_position.epoch,
        figures=figures,
        queue_fill=training.queues.fill,
        queue_slots=training.queues.slots,
        wait_s=_slowest(sum(batch.wait_s for batch in micro_batches), run.distributed),
        samples=config.batch_size,
        rate=learning_rate(training.step - 1, config.optimizer, config.max_steps),
    )


def _slowest(seconds: float, distributed: Distributed) -> float:
    """The largest value of all ranks; a collective."""
    if distributed.world_size == 1:
        return seconds
    return float(all_reduce_max(torch.tensor([seconds], device=distributed.device)).item())


@torch.no_grad()
def _is_finite(towers: nn.Module) -> bool:
    return all(bool(torch.isfinite(one).all()) for one in towers.parameters())


def _is_due(run: TrainingRun, every_steps: int) -> bool:
    """Whether something is done after this step: every so many steps, and after the last one."""
    step = run.training.step
    return step % every_steps == 0 or step == run.config.max_steps


def _on_any_rank(here: bool, distributed: Distributed) -> bool:
    """Whether `here` is true on any rank; a collective, so every rank must call it."""
    if distributed.world_size == 1:
        return here
    return bool(all_reduce_max(torch.tensor([float(here)], device=distributed.device)).item())
