"""All that training changes, in one place: what a checkpoint saves is what this holds."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from wenlan_data import __version__
from wenlan_data.errors import RecipeError
from wenlan_data.model.backbones import encoder_shape
from wenlan_data.model.checkpoint import Checkpoint, CorpusMark, State, load_towers, model_tensors
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import START, Place
from wenlan_data.train.frozen_cache import FrozenOutputs, frozen_parts
from wenlan_data.train.momentum import averaged, follow, momentum_copy
from wenlan_data.train.negatives import Queues
from wenlan_data.train.optimizer import make_optimizer, optimizer_tensors, restore_optimizer


@dataclass(slots=True)
class Training:
    """The towers, what follows them, and how far they have come."""

    towers: Towers
    keys: Towers | None
    """The momentum towers; None for clip."""
    queues: Queues
    optimizer: torch.optim.AdamW
    step: int = 0
    samples: int = 0
    place: Place = START
    skipped: int = 0
    skipped_in_a_row: int = 0
    frozen: FrozenOutputs = field(default_factory=lambda: FrozenOutputs(()))
    """Of the parts that both pairs of towers share."""

    def follow(self, momentum: float) -> None:
        """Move the momentum towers towards the ones that learn."""
        if self.keys is not None:
            follow(self.towers.image, self.keys.image, momentum)
            follow(self.towers.text, self.keys.text, momentum)


def begin(towers: Towers, config: TrainConfig, device: torch.device) -> Training:
    """A training at step 0 with these towers."""
    towers = towers.to(device)
    if config.channels_last:
        towers.image.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    towers.learn()
    keys = momentum_copy(towers) if config.objective == "brivl" else None
    # A compiled tower is one piece; one that computes its insides again is short of memory.
    once = keys is not None and not config.compile and not config.recompute
    return Training(
        towers=towers,
        keys=keys,
        frozen=FrozenOutputs(frozen_parts(towers) if once else ()),
        queues=Queues(config.negatives.queue, config.embedding, device),
        optimizer=make_optimizer(towers, config.optimizer),
    )


def to_state(
    training: Training, config: TrainConfig, corpus: CorpusMark, metrics: dict[str, float]
) -> State:
    """What of it is no tensor."""
    return State(
        code_version=__version__,
        step=training.step,
        epoch=training.place.epoch,
        position=training.place.position,
        samples=training.samples,
        queue_fill=training.queues.fill,
        queue_pointer=training.queues.pointer,
        skipped=training.skipped,
        skipped_in_a_row=training.skipped_in_a_row,
        seed=config.seed,
        config=config.resolved(),
        config_digest=config.digest(),
        text_encoder=encoder_shape(training.towers.text.backbone),
        corpus=corpus,
        metrics=metrics,
    )


def to_tensors(training: Training) -> dict[str, dict[str, Tensor]]:
    """What of it are tensors, by file."""
    found = {
        "model": model_tensors(training.towers),
        "optimizer": optimizer_tensors(training.optimizer, training.towers),
    }
    if training.keys is not None:
        found["momentum"] = momentum_tensors(training)
        found["queues"] = training.queues.tensors()
    return found


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Go on from a checkpoint of the same config.

    Raises `RecipeError` where it holds other parameters than the towers have.
    """
    state = checkpoint.state
    load_towers(training.towers, checkpoint)
    restore_optimizer(training.optimizer, training.towers, checkpoint.tensors.get("optimizer", {}))
    if training.keys is not None:
        _restore_momentum(training, checkpoint)
        training.queues.restore(checkpoint.tensors["queues"], state.queue_fill, state.queue_pointer)
    training.step, training.samples = state.step, state.samples
    training.place = Place(state.epoch, state.position)
    training.skipped, training.skipped_in_a_row = state.skipped, state.skipped_in_a_row


def momentum_tensors(training: Training) -> dict[str, Tensor]:
    """What of the momentum towers is not shared with those that learn, by name."""
    if training.keys is None:
        return {}
    found = {name: mine for name, (mine, _) in averaged(training.towers, training.keys).items()}
    return {**found, **dict(_own_buffers(training.keys))}


@torch.no_grad()
def _restore_momentum(training: Training, checkpoint: Checkpoint) -> None:
    given, wanted = checkpoint.tensors.get("momentum", {}), momentum_tensors(training)
    if set(given) != set(wanted):
        odd = sorted(set(given) ^ set(wanted))[0]
        raise RecipeError(
            f"{checkpoint.path}: its momentum towers do not fit (see {odd}): give the config that made it"
        )
    for name, mine in wanted.items():
        mine.copy_(given[name])


def _own_buffers(keys: Towers) -> list[tuple[str, Tensor]]:
    saved = set(keys.state_dict())
    return [(name, value) for name, value in keys.named_buffers() if name in saved]
