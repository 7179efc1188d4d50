"""Everything that training changes, and its conversion to and from a checkpoint."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wenlan_data import __version__
from wenlan_data.load.shuffle import ORDER_VERSION
from wenlan_data.model.backbones import encoder_config, share_batch_norm
from wenlan_data.model.checkpoint import (
    EMA,
    Checkpoint,
    CheckpointState,
    CorpusMark,
    load_towers,
    model_tensors,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import START, DataPosition
from wenlan_data.train.objective import Objective, find_objective
from wenlan_data.train.optimizer import (
    make_optimizer,
    optimizer_shapes,
    optimizer_tensors,
    restore_optimizer,
)
from wenlan_data.train.sharding import copy_frozen, is_sharded, shard_towers
from wenlan_data.train.weight_ema import WeightEma


@dataclass(slots=True)
class TrainingState:
    """Towers, objective, optimizer and counters of a run."""

    towers: Towers
    objective: Objective[Any]
    optimizer: torch.optim.AdamW
    ema: WeightEma | None = None
    """None without `ema.decay`."""
    step: int = 0
    """Steps done, skipped ones included."""
    samples: int = 0
    position: DataPosition = START
    skipped: int = 0
    """Steps whose loss or gradients were not finite."""
    skipped_in_a_row: int = 0

    @property
    def evaluated(self) -> Towers:
        """The towers to evaluate: the averaged ones where there are any."""
        return self.ema.towers if self.ema is not None else self.towers


def start_training(towers: Towers, config: TrainConfig, device: torch.device) -> TrainingState:
    """Moves `towers` to the device, or divides them among the ranks, and returns the state at step
    0."""
    divides = is_sharded(config)
    if not divides:
        towers = towers.to(device)
        if config.channels_last:
            towers.image.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    elif config.image.batch_norm == "train":
        towers.image.backbone = share_batch_norm(towers.image.backbone)
    towers.log_scale.data = towers.log_scale.data.to(device)
    # Before the copy: a cached module of the copy leaves the mode of its original alone.
    towers.set_training()
    objective = find_objective(config.objective).start(towers, config)
    decay = config.ema.decay
    ema = WeightEma.start(towers, decay, shares_frozen=not divides) if decay else None
    if divides:
        # After the copies: what is divided cannot be copied.
        for one in (towers, *objective.copies(), *([ema.towers] if ema else [])):
            shard_towers(one, device)
    return TrainingState(
        towers=towers,
        objective=objective,
        optimizer=make_optimizer(towers, config.optimizer),
        ema=ema,
    )


def checkpoint_state(
    training: TrainingState, config: TrainConfig, corpus: CorpusMark, metrics: dict[str, float]
) -> CheckpointState:
    """The part of a checkpoint that is not tensors."""
    counters = training.objective.counters()
    return CheckpointState(
        code_version=__version__,
        step=training.step,
        epoch=training.position.epoch,
        position=training.position.samples,
        order_version=ORDER_VERSION,
        samples=training.samples,
        queue_fill=counters.get("queue_fill", 0),
        queue_pointer=counters.get("queue_pointer", 0),
        skipped=training.skipped,
        skipped_in_a_row=training.skipped_in_a_row,
        seed=config.seed,
        config=config.resolved(),
        config_digest=config.digest(),
        text_encoder=encoder_config(training.towers.text.backbone),
        corpus=corpus,
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
    )


def checkpoint_tensors(training: TrainingState) -> dict[str, dict[str, Tensor]]:
    """The tensors of a checkpoint, by file and name."""
    return {
        "model": model_tensors(training.towers),
        "optimizer": optimizer_tensors(training.optimizer, training.towers),
        **training.objective.tensors(),
        **({EMA: training.ema.tensors(training.towers)} if training.ema else {}),
    }


def restore_training(training: TrainingState, checkpoint: Checkpoint) -> None:
    """Restores the state from a checkpoint of the same config.

    Raises `RecipeError` where it holds other tensors than the training has.
    """
    state = checkpoint.state
    # A parameter that had no gradient yet has no moments.
    checkpoint.tensors.check("optimizer", {}, optimizer_shapes(training.towers))
    training.objective.check(checkpoint)
    if training.ema is not None:
        training.ema.check(checkpoint, training.towers)
    load_towers(training.towers, checkpoint)
    for copy in (*training.objective.copies(), *([training.ema.towers] if training.ema else [])):
        copy_frozen(training.towers, copy)
    restore_optimizer(training.optimizer, training.towers, checkpoint.tensors["optimizer"])
    training.objective.restore(checkpoint)
    if training.ema is not None:
        training.ema.restore(checkpoint, training.towers)
    training.step, training.samples = state.step, state.samples
    training.position = DataPosition(state.epoch, state.position)
    training.skipped, training.skipped_in_a_row = state.skipped, state.skipped_in_a_row
