"""The training loop, and the run around it: begin or go on, train, save, validate, stop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from wenlan_data.errors import DamageError, FailureBudgetError, InterruptedBuildError
from wenlan_data.model.checkpoint import (
    CorpusMark,
    best_checkpoint,
    checkpoints,
    prune,
    save_checkpoint,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.train import distributed as world
from wenlan_data.train.batches import Batch, Stream, batches
from wenlan_data.train.distributed import Ranks
from wenlan_data.train.optimizer import learning_rate
from wenlan_data.train.run_log import StepLine, Watch
from wenlan_data.train.signals import StopWish
from wenlan_data.train.state import Training, to_state, to_tensors
from wenlan_data.train.step import Outcome, training_step

MAX_SKIPPED_IN_A_ROW = 5
# Frozen statistics are equal on all ranks. torch 2.13 gave the switch another name.
_NEW_NAME = "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
_NO_BUFFER_SYNC: dict[str, Any] = {
    "forward_sync_buffers" if _NEW_NAME else "broadcast_buffers": False
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training and everything that it needs."""

    folder: Path
    config: TrainConfig
    ranks: Ranks
    stream: Stream
    corpus: CorpusMark
    training: Training
    tokenizer: bytes
    watch: Watch
    validate: Callable[[], dict[str, float]] | None = None
    """Metrics of the towers as they are; None where there are no pairs to validate with."""
    saved: dict[int, dict[str, float]] = field(default_factory=dict)
    """Steps that have a checkpoint of this process, with their metrics."""


def train(run: Run, stop: StopWish) -> None:
    """Train from where the training is to the config's `max_steps`; every exit but a fault leaves a checkpoint.

    Raises `InterruptedBuildError` (exit 11) after a wish to stop, `FailureBudgetError` (exit 9) when five steps in a
    row are not finite, and what the loader and the disk raise.
    """
    training, config = run.training, run.config
    module = _wrapped(training, run.ranks, config)
    parts = _parts(run)
    while training.step < config.max_steps:
        micro = next(parts)
        outcome = training_step(training, module, micro, config, run.ranks)
        training.place = micro[-1].after
        training.samples += config.batch_size
        run.watch.step(_line(run, micro, outcome))
        _check_finite(run)
        metrics = _validated(run)
        if (
            metrics
            or _due(training.step, config.checkpoints.every_steps)
            or training.step == config.max_steps
        ):
            save(run, metrics)
        if _wish(stop, run.ranks):
            save(run, metrics)
            raise InterruptedBuildError(
                f"stopped at step {training.step}, saved: the same command with --resume auto goes on"
            )


def save(run: Run, metrics: dict[str, float]) -> None:
    """Write a checkpoint of this step, on the first rank, and prune; once a step."""
    training = run.training
    if training.step not in run.saved and training.skipped_in_a_row == 0:
        if run.ranks.first:
            state = to_state(training, run.config, run.corpus, metrics)
            path = save_checkpoint(run.folder, state, to_tensors(training), run.tokenizer)
            run.watch.say(f"saved {path}")
            best = best_checkpoint(run.folder, run.config.validation.metric, run.watch.say)
            prune(run.folder, run.config.checkpoints.keep, best)
        run.saved[training.step] = metrics
    world.wait_for_all()


def _wrapped(training: Training, ranks: Ranks, config: TrainConfig) -> nn.Module:
    if config.compile:
        for tower in (training.towers, training.keys):
            if tower is not None:
                tower.image.compile()
                tower.text.compile()
    if ranks.ranks == 1:
        return training.towers
    return DistributedDataParallel(
        training.towers,
        device_ids=[ranks.device] if ranks.device.type == "cuda" else None,
        **_NO_BUFFER_SYNC,
        gradient_as_bucket_view=True,
        static_graph=config.accumulation == 1,
    )


def _parts(run: Run) -> Iterator[list[Batch]]:
    """The micro-batches of each step."""
    source = batches(run.stream, run.config, run.ranks, run.training.place)
    while True:
        yield [next(source) for _ in range(run.config.accumulation)]


def _check_finite(run: Run) -> None:
    training = run.training
    if training.skipped_in_a_row:
        run.watch.say(
            f"step {training.step}: loss or gradients are not finite: skipped ({training.skipped} in all)"
        )
    if training.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
        kept = checkpoints(run.folder)
        last = (
            f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was saved before"
        )
        raise FailureBudgetError(
            f"{MAX_SKIPPED_IN_A_ROW} steps in a row were not finite, up to {training.step}: {last}: "
            "lower optimizer.lr, or look at the samples of these steps"
        )


def _validated(run: Run) -> dict[str, float]:
    due = (
        _due(run.training.step, run.config.validation.every_steps)
        or run.training.step == run.config.max_steps
    )
    if run.validate is None or not due:
        return {}
    metrics: dict[str, float] = {}
    failure: Exception | None = None
    try:
        metrics = run.validate()
    except Exception as error:  # noqa: BLE001 # raised below, when all ranks know of it
        failure = error
    if _any(failure is not None, run.ranks):
        # What was trained must not be lost to pairs that cannot be read.
        save(run, {})
        raise failure or DamageError(
            f"step {run.training.step}: validation failed on another rank: see what it said"
        )
    run.watch.validation(run.training.step, metrics)
    return metrics


def _line(run: Run, parts: list[Batch], outcome: Outcome) -> StepLine:
    training, config = run.training, run.config
    return StepLine(
        step=training.step,
        epoch=parts[-1].after.epoch,
        figures=outcome.figures,
        queue_fill=training.queues.fill,
        queue_slots=training.queues.slots,
        wait_s=sum(part.wait_s for part in parts),
        samples=config.batch_size,
        rate=learning_rate(training.step - 1, config.optimizer, config.max_steps),
        keys=[key for part in parts for key in part.keys],
    )


def _due(step: int, every: int) -> bool:
    return step % every == 0


def _wish(stop: StopWish, ranks: Ranks) -> bool:
    """Whether any rank should stop: all must do so at the same step."""
    return _any(bool(stop), ranks)


def _any(here: bool, ranks: Ranks) -> bool:
    """Whether it is so on any rank."""
    if ranks.ranks == 1:
        return here
    return bool(world.most(torch.tensor([float(here)], device=ranks.device)).item())
