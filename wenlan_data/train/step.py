"""One training step: the order of towers, momentum update, loss, gradients and queues."""

import hashlib
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.train.batches import Batch, DataCounts, sum_counts
from wenlan_data.train.distributed import (
    Distributed,
    all_gather,
    all_gather_with_gradients,
    all_reduce_mean,
    world_size,
)
from wenlan_data.train.negatives import false_negative_mask
from wenlan_data.train.objectives import clip, moco
from wenlan_data.train.optimizer import clip_gradients, learning_rate, set_learning_rate
from wenlan_data.train.state import TrainingState
from wenlan_data.train.two_passes import backward, backward_in_two_passes

FIGURES = (
    "loss", "image_to_text_top1", "text_to_image_top1", "positive", "negative", "negatives"
)  # fmt: skip
"""What a step reports: the loss, the share of queries whose positive is the most similar, the mean
cosine similarity of positives and of negatives, and the number of negatives of a query."""


@dataclass(frozen=True, slots=True)
class MicroStepOutput:
    """Result of the forward pass over a micro-batch, of this rank."""

    loss: Tensor
    figures: Tensor
    """float64 (len(FIGURES),)."""
    others: int
    """Entries beside the positive that are negatives of a query unless they are masked."""
    keys: tuple[Tensor, Tensor] | None
    """(G, D) image and text keys of all ranks, for the queues; None for clip."""


def training_step(
    training: TrainingState,
    module: nn.Module,
    micro_batches: Sequence[Batch],
    config: TrainConfig,
    distributed: Distributed,
) -> dict[str, float]:
    """Forward, backward and update over the micro-batches of a step; returns its figures.

    `module` is the towers, or DDP around them. The figures, `FIGURES`, `gradient_norm`,
    `temperature`, `negatives_share` (of the entries that could be negatives; absent where there
    are none) and those of `DataCounts`, are those of all ranks. Where the loss or the gradients of any rank are not
    finite, weights and optimizer stay as they are. Keys of a micro-batch that has any that is not
    finite are not enqueued.
    """
    set_learning_rate(
        training.optimizer, learning_rate(training.step, config.optimizer, config.max_steps)
    )
    # As in MoCo: the momentum towers move before the keys are computed, once a step.
    training.update_momentum(config.momentum)
    training.optimizer.zero_grad(set_to_none=True)
    if training.momentum_towers is None and len(micro_batches) > 1:
        figures, others = _in_two_passes(training, module, micro_batches, config, distributed)
    else:
        figures, others = _in_one_pass(training, module, micro_batches, config, distributed)
    counts = sum_counts(micro_batches)
    found = _update(training, figures, counts, config)
    return {**found, **({"negatives_share": found["negatives"] / others} if others else {})}


def _in_one_pass(
    training: TrainingState,
    module: nn.Module,
    micro_batches: Sequence[Batch],
    config: TrainConfig,
    distributed: Distributed,
) -> tuple[Tensor, float]:
    """Adds the gradients of each micro-batch by itself; returns figures and `others`, their
    means."""
    figures = torch.zeros(len(FIGURES), device=distributed.device, dtype=torch.float64)
    others = 0.0
    for number, micro_batch in enumerate(micro_batches):
        # Dropout is a function of seed, step, micro-step and rank, so a resumed run repeats it.
        seed_all(config.seed, training.step, number, distributed.rank)
        with _gradient_sync(module, wanted=number == len(micro_batches) - 1):
            output = micro_step(training, module, micro_batch, config, distributed)
            backward(output.loss / len(micro_batches))
        figures += output.figures / len(micro_batches)
        others += output.others / len(micro_batches)
        # After the loss: the keys of this micro-batch are no negatives of itself.
        _enqueue(training, output, micro_batch)
    return figures, others


def _in_two_passes(
    training: TrainingState,
    module: nn.Module,
    micro_batches: Sequence[Batch],
    config: TrainConfig,
    distributed: Distributed,
) -> tuple[Tensor, float]:
    """As `_in_one_pass`, for clip: the negatives are those of all micro-batches."""
    count = len(micro_batches)
    whole = replace(
        micro_batches[0],
        ids=torch.cat([one.ids for one in micro_batches]),
        pages=torch.cat([one.pages for one in micro_batches]),
    )
    outputs: list[MicroStepOutput] = []

    def embed(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        with _autocast(config, distributed):
            # In the first pass without DDP, which expects a backward pass for each forward pass.
            found: tuple[Tensor, Tensor, Tensor] = (
                module if torch.is_grad_enabled() else training.towers
            )(inputs)
            return found

    def loss_of(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        outputs.append(_clip(image, text, scale, whole, config, distributed))
        return outputs[0].loss

    def before_each(number: int) -> AbstractContextManager[None]:
        seed_all(config.seed, training.step, number % count, distributed.rank)
        return _gradient_sync(module, wanted=number == 2 * count - 1)

    inputs = [one.inputs for one in micro_batches]
    backward_in_two_passes(inputs, embed, loss_of, before_each)
    return outputs[0].figures, outputs[0].others


def micro_step(
    training: TrainingState,
    module: nn.Module,
    batch: Batch,
    config: TrainConfig,
    distributed: Distributed,
) -> MicroStepOutput:
    """Computes the loss and the figures of one micro-batch."""
    # The cache covers both passes: the second one reuses the outputs of frozen modules.
    with _autocast(config, distributed), training.frozen_cache.recording():
        image, text, scale = module(batch.inputs)
        keys = _momentum_keys(training, batch.inputs)
    if keys is None:
        return _clip(image, text, scale, batch, config, distributed)
    return _brivl(training, (image, text), keys, 1 / scale, batch, config, distributed)


def _autocast(config: TrainConfig, distributed: Distributed) -> torch.autocast:
    # Weights stay in fp32. bf16 has the exponent range of fp32, so no gradient scaler is needed.
    return torch.autocast(
        distributed.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
    )


def seed_all(*numbers: int) -> None:
    """Seeds torch's generators with a hash of `numbers`."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@torch.no_grad()
def _momentum_keys(training: TrainingState, inputs: Inputs) -> tuple[Tensor, Tensor] | None:
    if training.momentum_towers is None:
        return None
    keys = training.momentum_towers
    return keys.embed_images(inputs), keys.embed_texts(inputs)


def _brivl(
    training: TrainingState,
    query: tuple[Tensor, Tensor],
    key: tuple[Tensor, Tensor],
    temperature: Tensor,
    batch: Batch,
    config: TrainConfig,
    distributed: Distributed,
) -> MicroStepOutput:
    queues, same = training.queues, config.negatives.mask
    # Every rank enqueues the keys of all ranks, so the queues are the same on all of them.
    gathered = all_gather(key[0]), all_gather(key[1])
    batch_keys = None
    if config.negatives.batch:
        first_row = distributed.rank * len(batch.ids)
        batch_keys = moco.BatchKeys(*gathered, first_row, _false_negatives(batch, config))
    image_to_text, text_to_image = moco.contrastive_logits(
        *query, *key, queues.image_KD, queues.text_KD, temperature,
        ignored=queues.ignored(batch.ids, batch.pages, same), batch=batch_keys,
    )  # fmt: skip
    loss = moco.contrastive_loss(image_to_text, text_to_image)
    positive = torch.zeros(len(image_to_text), dtype=torch.long, device=image_to_text.device)
    figures = _figures(loss, image_to_text, text_to_image, positive, temperature)
    in_batch = len(gathered[0]) - 1 if config.negatives.batch else 0
    return MicroStepOutput(loss, figures, queues.fill + in_batch, gathered)


def _clip(
    image: Tensor,
    text: Tensor,
    scale: Tensor,
    batch: Batch,
    config: TrainConfig,
    distributed: Distributed,
) -> MicroStepOutput:
    first_row = distributed.rank * len(batch.ids)
    image_to_text, text_to_image = clip.contrastive_logits(
        image, text, all_gather_with_gradients(image), all_gather_with_gradients(text), scale,
        first_row=first_row, ignored=_false_negatives(batch, config),
    )  # fmt: skip
    positive = torch.arange(len(image), device=image.device) + first_row
    loss = clip.contrastive_loss(image_to_text, text_to_image, positive)
    figures = _figures(loss, image_to_text, text_to_image, positive, 1 / scale)
    return MicroStepOutput(loss, figures, image_to_text.shape[1] - 1, None)


def _false_negatives(batch: Batch, config: TrainConfig) -> Tensor:
    """(B, G), True where a sample of the batch over all ranks is no negative of one of this
    rank."""
    return false_negative_mask(
        batch.ids,
        batch.pages,
        all_gather(batch.ids),
        all_gather(batch.pages),
        config.negatives.mask,
    )


def _enqueue(training: TrainingState, output: MicroStepOutput, batch: Batch) -> None:
    # One key that is not finite would make the loss of every later step not finite.
    if output.keys is not None and bool(torch.isfinite(torch.cat(output.keys)).all()):
        training.queues.enqueue(*output.keys, all_gather(batch.ids), all_gather(batch.pages))


@torch.no_grad()
def _figures(
    loss: Tensor,
    image_to_text: Tensor,
    text_to_image: Tensor,
    positive: Tensor,
    temperature: Tensor,
) -> Tensor:
    """float64 (len(FIGURES),), from (B, N) logits in both directions and their positive columns
    (B,)."""
    both = (image_to_text, text_to_image)
    rows = torch.arange(len(positive), device=positive.device)
    # Logits are similarities over the temperature: times the temperature they are similarities
    # again.
    positives = (image_to_text[rows, positive] + text_to_image[rows, positive]).mean() / 2
    negatives = torch.cat(both).detach().clone()
    negatives[torch.arange(len(negatives), device=positive.device), positive.repeat(2)] = -math.inf
    counted = ~torch.isneginf(negatives)
    values = [
        loss.detach(),
        *((logits.argmax(1) == positive).float().mean() for logits in both),
        positives * temperature,
        negatives.masked_fill(~counted, 0).sum() / counted.sum().clamp_min(1) * temperature,
        counted.sum() / len(negatives),
    ]
    return torch.stack([value.double() for value in values])


def _update(
    training: TrainingState, figures: Tensor, counts: DataCounts, config: TrainConfig
) -> dict[str, float]:
    """Clips the gradients and updates the weights, on all ranks or, where a value is not finite, on
    none."""
    trained = [one for one in training.towers.parameters() if one.requires_grad]
    norm = clip_gradients(trained, config.optimizer.clip_norm)
    # The mean over ranks is not finite where one rank's value is not: all take the same decision.
    summed = torch.tensor([*astuple(counts)], dtype=torch.float64, device=figures.device)
    reduced = all_reduce_mean(torch.cat([figures, norm[None].double(), summed])).tolist()
    values = reduced[: len(FIGURES) + 1]
    if all(math.isfinite(value) for value in values):
        training.optimizer.step()
        training.towers.clamp_temperature()
        training.skipped_in_a_row = 0
    else:
        training.skipped += 1
        training.skipped_in_a_row += 1
    training.step += 1
    temperature = float((-training.towers.log_scale.detach()).exp())
    named = dict(zip((*FIGURES, "gradient_norm"), values, strict=True))
    names = [one.name for one in fields(DataCounts)]
    totals = {
        name: value * world_size()
        for name, value in zip(names, reduced[len(values) :], strict=True)
    }
    return {**named, **totals, "temperature": temperature}


def _gradient_sync(module: nn.Module, *, wanted: bool) -> AbstractContextManager[None]:
    """Reduces gradients over the ranks only if `wanted` (the last micro-batch); DDP's `no_sync`
    otherwise, so that they add up locally and are reduced once."""
    if isinstance(module, DistributedDataParallel) and not wanted:
        return module.no_sync()
    return nullcontext()
