"""One step: the order in which towers, momentum, loss, gradients and queues take their turns."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.train import distributed as world
from wenlan_data.train.batches import Batch
from wenlan_data.train.distributed import Ranks
from wenlan_data.train.negatives import same_entries
from wenlan_data.train.objectives import clip, moco
from wenlan_data.train.optimizer import clip_gradients, learning_rate, set_learning_rate
from wenlan_data.train.state import Training

FIGURES = ("loss", "image_to_text_top1", "text_to_image_top1", "positive", "negative")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did, over all ranks."""

    figures: dict[str, float]
    """`FIGURES`, the norm of the gradients, and the temperature."""
    finite: bool
    """False: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one micro-step computed."""

    loss: Tensor
    figures: Tensor
    """float64 (len(FIGURES),)."""
    keys: tuple[Tensor, Tensor] | None
    """Image and text keys of all ranks, to be put into the queues."""


def training_step(
    training: Training, module: nn.Module, parts: Sequence[Batch], config: TrainConfig, ranks: Ranks
) -> Outcome:
    """Forward, backward and update over the micro-batches `parts`; `module` is the towers, under DDP or not.

    The momentum towers move first, once a step; queues take the keys of each part after its backward pass. Where the
    loss or the gradients of any rank are not finite, weights and optimizer stay as they are; keys of a part that has
    any that is not finite never enter the queues.
    """
    set_learning_rate(
        training.optimizer, learning_rate(training.step, config.optimizer, config.max_steps)
    )
    training.follow(config.momentum)
    training.optimizer.zero_grad(set_to_none=True)
    figures = torch.zeros(len(FIGURES), device=ranks.device, dtype=torch.float64)
    for number, (part, last) in enumerate(_with_last(parts)):
        seed_all(config.seed, training.step, number, ranks.rank)
        with _without_sync(module, last):
            found = micro_step(training, module, part, config, ranks)
            (found.loss / len(parts)).backward()  # type: ignore[no-untyped-call] # torch's own
        figures += found.figures / len(parts)
        if found.keys is not None and bool(torch.isfinite(torch.cat(found.keys)).all()):
            training.queues.put(*found.keys, world.gather(part.ids), world.gather(part.pages))
    return _update(training, figures, config)


def micro_step(
    training: Training, module: nn.Module, part: Batch, config: TrainConfig, ranks: Ranks
) -> Found:
    """The loss of one micro-batch and what it shows."""
    precision = torch.autocast(
        ranks.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
    )
    with precision, training.frozen.remembering():
        image, text, scale = module(part.inputs)
        keys = _keys(training, part.inputs)
    if keys is None:
        return _clip(image, text, scale, part, config, ranks)
    return _brivl(training, (image, text), keys, 1 / scale, part, config, ranks)


def seed_all(*numbers: int) -> None:
    """Make all randomness from here on a function of `numbers`."""
    digest = hashlib.sha256(repr(numbers).encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@torch.no_grad()
def _keys(training: Training, inputs: Inputs) -> tuple[Tensor, Tensor] | None:
    if training.keys is None:
        return None
    return training.keys.image_vectors(inputs), training.keys.text_vectors(inputs)


def _brivl(
    training: Training,
    query: tuple[Tensor, Tensor],
    key: tuple[Tensor, Tensor],
    temperature: Tensor,
    part: Batch,
    config: TrainConfig,
    ranks: Ranks,
) -> Found:
    queues, same = training.queues, config.negatives.mask
    gathered = world.gather(key[0]), world.gather(key[1])
    batch = None
    if config.negatives.batch:
        others = same_entries(
            part.ids, part.pages, world.gather(part.ids), world.gather(part.pages), same
        )
        batch = moco.BatchKeys(*gathered, ranks.rank * len(part.ids), others)
    first, second = moco.contrastive_logits(
        *query, *key, queues.image_KD, queues.text_KD, temperature,
        ignored=queues.ignored(part.ids, part.pages, same), batch=batch,
    )  # fmt: skip
    loss = moco.first_column_loss(first) + moco.first_column_loss(second)
    right = torch.zeros(len(first), dtype=torch.long, device=first.device)
    return Found(loss, _figures(loss, first, second, right, temperature), gathered)


def _clip(
    image: Tensor, text: Tensor, scale: Tensor, part: Batch, config: TrainConfig, ranks: Ranks
) -> Found:
    row = ranks.rank * len(part.ids)
    others = same_entries(
        part.ids,
        part.pages,
        world.gather(part.ids),
        world.gather(part.pages),
        config.negatives.mask,
    )
    first, second = clip.contrastive_logits(
        image, text, world.gather_with_gradients(image), world.gather_with_gradients(text), scale,
        first_row=row, ignored=others,
    )  # fmt: skip
    right = torch.arange(len(image), device=image.device) + row
    loss = (moco.mean_cross_entropy(first, right) + moco.mean_cross_entropy(second, right)) / 2
    return Found(loss, _figures(loss, first, second, right, 1 / scale), None)


@torch.no_grad()
def _figures(
    loss: Tensor, first: Tensor, second: Tensor, right: Tensor, temperature: Tensor
) -> Tensor:
    rows = torch.arange(len(right), device=right.device)
    values = [
        loss.detach(),
        *((logits.argmax(1) == right).float().mean() for logits in (first, second)),
    ]
    values.append((first[rows, right] + second[rows, right]).mean() / 2 * temperature)
    negatives = torch.cat([first, second]).detach().clone()
    negatives[torch.arange(len(negatives), device=right.device), right.repeat(2)] = float("-inf")
    there = ~torch.isneginf(negatives)
    values.append(negatives.masked_fill(~there, 0).sum() / there.sum().clamp_min(1) * temperature)
    return torch.stack([value.double() for value in values])


def _update(training: Training, figures: Tensor, config: TrainConfig) -> Outcome:
    learning = [one for one in training.towers.parameters() if one.requires_grad]
    norm = clip_gradients(learning, config.optimizer.clip_norm)
    figures = world.mean(torch.cat([figures, norm[None].double()]))
    values = figures.tolist()
    finite = all(value == value and abs(value) != float("inf") for value in values)
    if finite:
        training.optimizer.step()
        training.towers.clamp()
        training.skipped_in_a_row = 0
    else:
        training.skipped += 1
        training.skipped_in_a_row += 1
    training.step += 1
    temperature = float((-training.towers.log_scale.detach()).exp())
    return Outcome(
        {**dict(zip((*FIGURES, "gradient_norm"), values, strict=True)), "temperature": temperature},
        finite,
    )


def _with_last(parts: Sequence[Batch]) -> Iterator[tuple[Batch, bool]]:
    for number, part in enumerate(parts):
        yield part, number == len(parts) - 1


def _without_sync(module: nn.Module, last: bool) -> AbstractContextManager[None]:
    if isinstance(module, DistributedDataParallel) and not last:
        return module.no_sync()
    return nullcontext()
