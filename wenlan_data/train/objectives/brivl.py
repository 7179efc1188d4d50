"""BriVL's objective: cross-modal MoCo in both directions, with queues of earlier keys.

The loss of arXiv 2103.06561 as its released code has it (BAAI-WuDao/BriVL, `models/vl_model.py` at
bb8d95b). For B pairs, with queries z of the towers, keys p of the other modality's momentum tower,
the queue Q of earlier such keys, and the temperature tau:

    L_i2t = -1/B sum_j log( exp(z_j . p_j / tau) / (exp(z_j . p_j / tau) + sum_n exp(z_j . Q_n / tau)) )
    L     = L_i2t + L_t2i

Keys of the batch can be negatives too (`BatchKeys`).

Shapes: B queries of this rank, G keys of the batch over all ranks, K rows of a queue, D values of
a vector.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from wenlan_data.errors import DamageError
from wenlan_data.model.checkpoint import Checkpoint
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.precision import full_float32_matmul
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import Batch
from wenlan_data.train.distributed import all_gather_packed, own_rank
from wenlan_data.train.frozen_cache import FrozenCache
from wenlan_data.train.info_nce import FIGURES, contrast_figures, full_precision, info_nce
from wenlan_data.train.momentum import averaged_parameters, momentum_copy, update_momentum
from wenlan_data.train.negatives import Queues, false_negative_mask
from wenlan_data.train.objective import Gathered, PartLoss, copy_tensors
from wenlan_data.train.sharding import is_sharded


@dataclass(frozen=True, slots=True)
class Outputs:
    """Queries and keys of B pairs, (B, D) each, and the temperature."""

    image: Tensor
    text: Tensor
    image_key: Tensor
    text_key: Tensor
    temperature: Tensor


@dataclass(slots=True, kw_only=True)
class Brivl:
    """BriVL's objective with its momentum towers and queues."""

    figures: ClassVar[tuple[str, ...]] = FIGURES
    spans_step: ClassVar[bool] = False

    config: TrainConfig
    towers: Towers
    momentum_towers: Towers
    queues: Queues
    frozen_cache: FrozenCache

    @classmethod
    def start(cls, towers: Towers, config: TrainConfig) -> Self:
        """Copies the towers and makes empty queues, on the device of the towers."""
        cache = FrozenCache()
        # A compiled tower is one graph, whose modules are not called one by one. `recompute` is
        # for runs that are short of memory, of which the cache takes some.
        shares = not (config.compile or config.recompute)
        # What FSDP frees after a forward pass of the towers cannot be read by another one.
        if is_sharded(config):
            copy = momentum_copy(towers, shares_frozen=False)
        else:
            copy = momentum_copy(towers, cache.share) if shares else momentum_copy(towers)
        if config.compile:
            copy.image.compile()
            copy.text.compile()
        return cls(
            config=config,
            towers=towers,
            momentum_towers=copy,
            queues=Queues(config.negatives.queue, config.embedding, towers.log_scale.device),
            frozen_cache=cache,
        )

    def copies(self) -> list[Towers]:
        """The momentum towers."""
        return [self.momentum_towers]

    def before_step(self) -> None:
        """Moves the momentum towers towards the towers, once a step and before the keys are
        computed, as MoCo does."""
        for own, copy in (
            (self.towers.image, self.momentum_towers.image),
            (self.towers.text, self.momentum_towers.text),
        ):
            update_momentum(own, copy, self.config.momentum)

    def outputs(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Queries of the towers and keys of the momentum towers."""
        # The cache covers both passes: the second one reuses the outputs of frozen modules.
        with self.frozen_cache.recording():
            image, text, scale = module(inputs)
            with torch.no_grad():
                keys = self.momentum_towers
                image_key, text_key = keys.embed_images(inputs), keys.embed_texts(inputs)
        return Outputs(image, text, image_key, text_key, 1 / scale)

    def loss(self, outputs: Outputs, batch: Batch) -> PartLoss:
        """InfoNCE in both directions, against the queues and, with `negatives.batch`, the batch."""
        queues, same = self.queues, self.config.negatives.mask
        # Every rank enqueues the keys of all ranks, so the queues are the same on all of them.
        keys = Gathered(
            *all_gather_packed(outputs.image_key, outputs.text_key, batch.ids, batch.pages)
        )
        batch_keys = None
        if self.config.negatives.batch:
            ignored = false_negative_mask(batch.ids, batch.pages, keys.ids_G, keys.pages_G, same)
            first_row = own_rank() * len(batch.ids)
            batch_keys = BatchKeys(keys.image_GD, keys.text_GD, first_row, ignored)
        logits = contrastive_logits(
            outputs.image, outputs.text, outputs.image_key, outputs.text_key,
            queues.image_KD, queues.text_KD, outputs.temperature,
            ignored=queues.ignored(batch.ids, batch.pages, same), batch=batch_keys,
        )  # fmt: skip
        loss = contrastive_loss(*logits)
        positive = torch.zeros(len(batch.ids), dtype=torch.long, device=batch.ids.device)
        return PartLoss(
            loss=loss,
            figures=contrast_figures(loss, *logits, positive, outputs.temperature),
            others=queues.fill + (len(keys.ids_G) - 1 if batch_keys else 0),
            keys=keys,
        )

    def after_part(self, part: PartLoss) -> None:
        """Enqueues the keys: those of a micro-batch are no negatives of itself."""
        if part.keys is not None:
            keys = part.keys
            self.queues.enqueue(keys.image_GD, keys.text_GD, keys.ids_G, keys.pages_G)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Files `momentum` and `queues`."""
        return {"momentum": self._momentum_tensors(), "queues": self.queues.tensors()}

    def counters(self) -> dict[str, int]:
        """Fill and pointer of the queues."""
        return {"queue_fill": self.queues.fill, "queue_pointer": self.queues.pointer}

    def check(self, checkpoint: Checkpoint) -> None:
        """Compares names, shapes and types of the tensors, and the counters of the queues."""
        tensors, state, slots = checkpoint.tensors, checkpoint.state, self.queues.slots
        # Earlier versions also saved copies of parameters that the feature map does not depend on.
        frozen = {
            name: one for name, one in self.towers.named_parameters() if not one.requires_grad
        }
        tensors.check("momentum", self._momentum_tensors(), frozen)
        tensors.check("queues", self.queues.tensors())
        if state.queue_fill > slots or state.queue_pointer >= max(1, slots):
            raise DamageError(
                f"{checkpoint.path}: queue_fill {state.queue_fill} and queue_pointer "
                f"{state.queue_pointer} in queues of {slots}: take an older checkpoint"
            )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores momentum towers and queues."""
        state = checkpoint.state
        copy_tensors(self._momentum_tensors(), checkpoint.tensors["momentum"])
        self.queues.restore(checkpoint.tensors["queues"], state.queue_fill, state.queue_pointer)

    def _momentum_tensors(self) -> dict[str, Tensor]:
        """Averaged parameters and all persistent buffers of the momentum towers, by the towers'
        names.

        Frozen parameters are in the model's file only. The buffers of frozen modules are the
        towers' own, and are written here as well.
        """
        parameters = averaged_parameters(self.towers, self.momentum_towers)
        own = dict(self.momentum_towers.named_buffers())
        persistent = set(self.towers.state_dict())
        return {
            **{name: averaged for name, (averaged, _) in parameters.items()},
            **{
                name: own.get(name, buffer)
                for name, buffer in self.towers.named_buffers()
                if name in persistent
            },
        }


@dataclass(frozen=True, slots=True)
class BatchKeys:
    """The keys of the batch over all ranks, where they are negatives besides the queue."""

    image_GD: Tensor
    text_GD: Tensor
    first_row: int
    """The row of this rank's first key: the key of query i is row `first_row + i`."""
    ignored_BG: Tensor | None = None
    """True for false negatives. The query's own key is masked in any case: it is in column 0."""


def contrastive_logits(
    image: Tensor,
    text: Tensor,
    image_key: Tensor,
    text_key: Tensor,
    image_queue: Tensor,
    text_queue: Tensor,
    temperature: float | Tensor,
    *,
    ignored: Tensor | None = None,
    batch: BatchKeys | None = None,
) -> tuple[Tensor, Tensor]:
    """Image to text and text to image, (B, 1 + K [+ G]) each in fp32, under autocast too.

    `image`, `text`: (B, D), L2-normalised queries. `image_key`, `text_key`: (B, D), the positives,
    from the momentum towers. `image_queue`, `text_queue`: (K, D), K may be 0. `ignored`: (B, K),
    True where a row of the queue is no negative; its logit is -inf. The positive is column 0.
    """
    text_batch, image_batch = (None, None) if batch is None else (batch.text_GD, batch.image_GD)
    own_or_ignored = None if batch is None else _own_key_or_ignored(batch, len(image), image.device)
    # Division by a temperature of 0.07 multiplies the rounding error of bf16 by 14.
    with torch.autocast(image.device.type, enabled=False), full_float32_matmul():
        return (
            _direction_logits(
                image, text_key, text_queue, temperature, ignored, text_batch, own_or_ignored
            ),
            _direction_logits(
                text, image_key, image_queue, temperature, ignored, image_batch, own_or_ignored
            ),
        )


def contrastive_loss(image_to_text: Tensor, text_to_image: Tensor) -> Tensor:
    """The sum of InfoNCE in both directions, a scalar, from the logits of `contrastive_logits`."""
    return info_nce(image_to_text) + info_nce(text_to_image)


def _direction_logits(
    query: Tensor,
    key: Tensor,
    queue: Tensor,
    temperature: float | Tensor,
    ignored: Tensor | None,
    batch_keys: Tensor | None,
    own_or_ignored: Tensor | None,
) -> Tensor:
    query, key, queue = full_precision(query), full_precision(key), full_precision(queue)
    # The positive is the first column, in which `info_nce` expects it.
    # Divided before masking: after it, the gradient of a learned temperature would be 0 x inf.
    blocks = [
        (query * key).sum(1, keepdim=True) / temperature,
        _mask_out(query @ queue.T / temperature, ignored),
    ]
    if batch_keys is not None:
        similarities = query @ full_precision(batch_keys).T / temperature
        blocks.append(_mask_out(similarities, own_or_ignored))
    return torch.cat(blocks, dim=1)


def _mask_out(similarities: Tensor, ignored: Tensor | None) -> Tensor:
    return similarities if ignored is None else similarities.masked_fill(ignored, float("-inf"))


def _own_key_or_ignored(batch: BatchKeys, queries: int, device: torch.device) -> Tensor:
    """(B, G), True for false negatives and for the key that column 0 holds already."""
    own = torch.zeros(queries, len(batch.text_GD), dtype=torch.bool, device=device)
    rows = torch.arange(queries, device=device)
    own[rows, rows + batch.first_row] = True
    return own if batch.ignored_BG is None else own | batch.ignored_BG
