"""Everything that training changes, and its conversion to and from a checkpoint."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wenlan_data import __version__
from wenlan_data.errors import DamageError
from wenlan_data.load.shuffle import ORDER_VERSION
from wenlan_data.model.backbones import encoder_config
from wenlan_data.model.checkpoint import (
    Checkpoint,
    CheckpointState,
    CorpusMark,
    load_towers,
    model_tensors,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import START, DataPosition
from wenlan_data.train.frozen_cache import FrozenCache
from wenlan_data.train.momentum import averaged_parameters, momentum_copy, update_momentum
from wenlan_data.train.negatives import Queues
from wenlan_data.train.optimizer import (
    make_optimizer,
    optimizer_shapes,
    optimizer_tensors,
    restore_optimizer,
)


@dataclass(slots=True)
class TrainingState:
    """Towers, momentum towers, queues, optimizer and counters of a run."""

    towers: Towers
    momentum_towers: Towers | None
    """None for clip."""
    queues: Queues
    optimizer: torch.optim.AdamW
    step: int = 0
    """Steps done, skipped ones included."""
    samples: int = 0
    position: DataPosition = START
    skipped: int = 0
    """Steps whose loss or gradients were not finite."""
    skipped_in_a_row: int = 0
    frozen_cache: FrozenCache = field(default_factory=FrozenCache)

    def update_momentum(self, momentum: float) -> None:
        """Moves the momentum towers towards the towers."""
        if self.momentum_towers is not None:
            update_momentum(self.towers.image, self.momentum_towers.image, momentum)
            update_momentum(self.towers.text, self.momentum_towers.text, momentum)


def start_training(towers: Towers, config: TrainConfig, device: torch.device) -> TrainingState:
    """Moves `towers` to the device and returns the state at step 0."""
    towers = towers.to(device)
    if config.channels_last:
        towers.image.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Before the copy: a cached module of the copy leaves the mode of its original alone.
    towers.set_training()
    momentum_towers, frozen_cache = None, FrozenCache()
    if config.objective == "brivl":
        # A compiled tower is one graph, whose modules are not called one by one. `recompute` is
        # for runs that are short of memory, of which the cache takes some.
        if config.compile or config.recompute:
            momentum_towers = momentum_copy(towers)
        else:
            momentum_towers = momentum_copy(towers, frozen_cache.share)
    return TrainingState(
        towers=towers,
        momentum_towers=momentum_towers,
        frozen_cache=frozen_cache,
        queues=Queues(config.negatives.queue, config.embedding, device),
        optimizer=make_optimizer(towers, config.optimizer),
    )


def checkpoint_state(
    training: TrainingState, config: TrainConfig, corpus: CorpusMark, metrics: dict[str, float]
) -> CheckpointState:
    """The part of a checkpoint that is not tensors."""
    return CheckpointState(
        code_version=__version__,
        step=training.step,
        epoch=training.position.epoch,
        position=training.position.samples,
        order_version=ORDER_VERSION,
        samples=training.samples,
        queue_fill=training.queues.fill,
        queue_pointer=training.queues.pointer,
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
    tensors = {
        "model": model_tensors(training.towers),
        "optimizer": optimizer_tensors(training.optimizer, training.towers),
    }
    if training.momentum_towers is not None:
        tensors["momentum"] = momentum_tensors(training)
        tensors["queues"] = training.queues.tensors()
    return tensors


def restore_training(training: TrainingState, checkpoint: Checkpoint) -> None:
    """Restores the state from a checkpoint of the same config.

    Raises `RecipeError` where it holds other tensors than the training has.
    """
    state = checkpoint.state
    _check_tensors(training, checkpoint)
    load_towers(training.towers, checkpoint)
    restore_optimizer(training.optimizer, training.towers, checkpoint.tensors["optimizer"])
    if training.momentum_towers is not None:
        _restore_momentum(training, checkpoint)
        training.queues.restore(checkpoint.tensors["queues"], state.queue_fill, state.queue_pointer)
    training.step, training.samples = state.step, state.samples
    training.position = DataPosition(state.epoch, state.position)
    training.skipped, training.skipped_in_a_row = state.skipped, state.skipped_in_a_row


def momentum_tensors(training: TrainingState) -> dict[str, Tensor]:
    """Averaged parameters and all persistent buffers of the momentum towers, by the towers' names.

    Frozen parameters are in the model's file only. The buffers of frozen modules are the towers'
    own, and are written here as well.
    """
    towers, momentum_towers = training.towers, training.momentum_towers
    if momentum_towers is None:
        return {}
    parameters = averaged_parameters(towers, momentum_towers)
    own = dict(momentum_towers.named_buffers())
    persistent = set(towers.state_dict())
    return {
        **{name: averaged for name, (averaged, _) in parameters.items()},
        **{
            name: own.get(name, buffer)
            for name, buffer in towers.named_buffers()
            if name in persistent
        },
    }


def _check_tensors(training: TrainingState, checkpoint: Checkpoint) -> None:
    """Compares names, shapes and types of all tensors, before any is read."""
    tensors, state, slots = checkpoint.tensors, checkpoint.state, training.queues.slots
    # A parameter that had no gradient yet has no moments.
    tensors.check("optimizer", {}, optimizer_shapes(training.towers))
    if training.momentum_towers is not None:
        # Earlier versions also saved copies of parameters that the feature map does not depend on.
        frozen = {
            name: one for name, one in training.towers.named_parameters() if not one.requires_grad
        }
        tensors.check("momentum", momentum_tensors(training), frozen)
        tensors.check("queues", training.queues.tensors())
        if state.queue_fill > slots or state.queue_pointer >= max(1, slots):
            raise DamageError(
                f"{checkpoint.path}: queue_fill {state.queue_fill} and queue_pointer "
                f"{state.queue_pointer} in queues of {slots}: take an older checkpoint"
            )


@torch.no_grad()
def _restore_momentum(training: TrainingState, checkpoint: Checkpoint) -> None:
    given = checkpoint.tensors["momentum"]
    for name, tensor in momentum_tensors(training).items():
        tensor.copy_(given[name])
