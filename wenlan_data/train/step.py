"""One training step: the order of forward and backward passes, objective and update.

Nothing here waits for the GPU: what a step computes stays on the device until it is logged.
"""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.train.batches import Batch
from wenlan_data.train.distributed import Distributed, all_reduce_mean
from wenlan_data.train.gradient_cache import backward, backward_in_two_passes
from wenlan_data.train.objective import PartLoss
from wenlan_data.train.optimizer import (
    clip_gradients,
    learning_rate,
    set_learning_rate,
    step_unless,
)
from wenlan_data.train.sharding import is_sharded
from wenlan_data.train.state import TrainingState
from wenlan_data.train.step_figures import StepFigures


def training_step(
    training: TrainingState,
    module: nn.Module,
    micro_batches: Sequence[Batch],
    config: TrainConfig,
    distributed: Distributed,
) -> StepFigures:
    """Forward, backward and update over the micro-batches of a step; returns its figures.

    `module` is the towers, or a wrapper around them. Where the loss or the gradients of any rank
    are not finite, weights and optimizer stay as they are.
    """
    set_learning_rate(
        training.optimizer, learning_rate(training.step, config.optimizer, config.max_steps)
    )
    training.objective.before_step()
    training.optimizer.zero_grad(set_to_none=True)
    if training.objective.spans_step and len(micro_batches) > 1:
        parts = [_in_two_passes(training, module, micro_batches, config, distributed)]
    else:
        parts = _in_one_pass(training, module, micro_batches, config, distributed)
    figures = torch.stack([part.figures / len(parts) for part in parts]).sum(0)
    others = sum(part.others for part in parts) / len(parts)
    return _update(training, figures, others, config)


def _in_one_pass(
    training: TrainingState,
    module: nn.Module,
    micro_batches: Sequence[Batch],
    config: TrainConfig,
    distributed: Distributed,
) -> list[PartLoss]:
    """Adds the gradients of each micro-batch by itself."""
    parts = []
    for number, micro_batch in enumerate(micro_batches):
        # Dropout is a function of seed, step, micro-step and rank, so a resumed run repeats it.
        seed_all(config.seed, training.step, number, distributed.rank)
        with _gradient_sync(module, wanted=number == len(micro_batches) - 1):
            part = micro_step(training, module, micro_batch, config, distributed)
            backward(part.loss / len(micro_batches))
        training.objective.after_part(part)
        # Not the graph and the keys: they would stay in memory until the end of the step.
        parts.append(replace(part, loss=part.loss.detach(), keys=None))
    return parts


def _in_two_passes(
    training: TrainingState,
    module: nn.Module,
    micro_batches: Sequence[Batch],
    config: TrainConfig,
    distributed: Distributed,
) -> PartLoss:
    """Adds the gradients of one loss over all micro-batches."""
    count = len(micro_batches)
    whole = replace(
        micro_batches[0],
        ids=torch.cat([one.ids for one in micro_batches]),
        pages=torch.cat([one.pages for one in micro_batches]),
    )
    parts: list[PartLoss] = []

    def embed(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        # In the first pass without DDP, which expects a backward pass for each forward pass.
        model = module if torch.is_grad_enabled() else training.towers
        with autocast(config, distributed.device):
            found: tuple[Tensor, Tensor, Tensor] = training.objective.outputs(model, inputs)
        return found

    def loss_of(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        parts.append(training.objective.loss((image, text, scale), whole))
        return parts[0].loss

    def before_each(number: int) -> AbstractContextManager[None]:
        seed_all(config.seed, training.step, number % count, distributed.rank)
        return _gradient_sync(module, wanted=number == 2 * count - 1)

    backward_in_two_passes([one.inputs for one in micro_batches], embed, loss_of, before_each)
    training.objective.after_part(parts[0])
    return parts[0]


def micro_step(
    training: TrainingState,
    module: nn.Module,
    batch: Batch,
    config: TrainConfig,
    distributed: Distributed,
) -> PartLoss:
    """The forward pass over a micro-batch, and its loss."""
    with autocast(config, distributed.device):
        outputs = training.objective.outputs(module, batch.inputs)
    return training.objective.loss(outputs, batch)


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    """The precision of forward passes. Weights stay in fp32. bf16 has the exponent range of fp32,
    so no gradient scaler is needed."""
    return torch.autocast(
        device.type,
        dtype=torch.bfloat16,
        enabled=config.precision == "bf16",
        # The cache would keep copies of the weights that FSDP frees after each block.
        cache_enabled=not is_sharded(config),
    )


def seed_all(*numbers: int) -> None:
    """Seeds torch's generators with a hash of `numbers`."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _update(
    training: TrainingState, figures: Tensor, others: float, config: TrainConfig
) -> StepFigures:
    """Clips the gradients and updates the weights, on all ranks or, where a value is not finite, on
    none."""
    trained = [one for one in training.towers.parameters() if one.requires_grad]
    norm = clip_gradients(trained, config.optimizer.clip_norm)
    # The mean over ranks is not finite where one rank's value is not: all take the same decision.
    values = all_reduce_mean(torch.cat([figures, norm[None].double()]))
    is_skipped = ~torch.isfinite(values).all()
    step_unless(training.optimizer, is_skipped)
    training.towers.clamp_temperature()
    if training.ema is not None:
        training.ema.update(training.towers, training.step)
    training.step += 1
    temperature = (-training.towers.log_scale.detach()).exp().double()
    return StepFigures(
        values=torch.cat([values, temperature[None], is_skipped[None].double()]), others=others
    )


def _gradient_sync(module: nn.Module, *, wanted: bool) -> AbstractContextManager[None]:
    """Reduces gradients over the ranks only if `wanted` (the last micro-batch); DDP's `no_sync`
    otherwise, so that they add up locally and are reduced once."""
    if isinstance(module, DistributedDataParallel) and not wanted:
        return module.no_sync()
    return nullcontext()
