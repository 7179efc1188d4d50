"""CLIP's objective: symmetric InfoNCE over the batch of all ranks.

Shapes as in `objectives.brivl`.
"""

from dataclasses import dataclass
from typing import ClassVar, Self, cast

import torch
from torch import Tensor, nn

from wenlan_data.model.checkpoint import Checkpoint
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.precision import full_float32_matmul
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import Batch
from wenlan_data.train.distributed import (
    all_gather_packed,
    all_gather_with_gradients,
    own_rank,
)
from wenlan_data.train.info_nce import FIGURES, contrast_figures, full_precision, mean_cross_entropy
from wenlan_data.train.negatives import false_negative_mask
from wenlan_data.train.objective import PartLoss

Outputs = tuple[Tensor, Tensor, Tensor]
"""Image and text vectors (B, D) and 1 / temperature, as the towers return them."""


@dataclass(slots=True, kw_only=True)
class Clip:
    """CLIP's objective. It keeps nothing between steps."""

    figures: ClassVar[tuple[str, ...]] = FIGURES
    spans_step: ClassVar[bool] = True

    config: TrainConfig

    @classmethod
    def start(cls, towers: Towers, config: TrainConfig) -> Self:  # noqa: ARG003
        """Needs nothing of the towers."""
        return cls(config=config)

    def copies(self) -> list[Towers]:
        """Holds none."""
        return []

    def before_step(self) -> None:
        """Does nothing."""

    def outputs(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """The vectors of the towers."""
        return cast("Outputs", module(inputs))

    def loss(self, outputs: Outputs, batch: Batch) -> PartLoss:
        """InfoNCE in both directions over the batch of all ranks."""
        image, text, scale = outputs
        first_row = own_rank() * len(batch.ids)
        # In one collective; of different widths they could not be split again.
        vectors = all_gather_with_gradients(torch.cat([image, text], dim=1))
        all_image, all_text = vectors.chunk(2, dim=1)
        all_ids, all_pages = all_gather_packed(batch.ids, batch.pages)
        ignored = false_negative_mask(
            batch.ids, batch.pages, all_ids, all_pages, self.config.negatives.mask
        )
        logits = contrastive_logits(
            image, text, all_image, all_text, scale, first_row=first_row, ignored=ignored
        )
        positive = torch.arange(len(image), device=image.device) + first_row
        loss = contrastive_loss(*logits, positive)
        return PartLoss(
            loss=loss,
            figures=contrast_figures(loss, *logits, positive, 1 / scale),
            others=logits[0].shape[1] - 1,
        )

    def after_part(self, part: PartLoss) -> None:
        """Does nothing."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """None."""
        return {}

    def counters(self) -> dict[str, int]:
        """None."""
        return {}

    def check(self, checkpoint: Checkpoint) -> None:
        """Does nothing: any checkpoint of the towers will do."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Does nothing."""


def contrastive_logits(
    image: Tensor,
    text: Tensor,
    all_image: Tensor,
    all_text: Tensor,
    scale: float | Tensor,
    *,
    first_row: int = 0,
    ignored: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Image to text and text to image, (B, G) each in fp32.

    `image`, `text`: (B, D), L2-normalised vectors of this rank, which are the rows from `first_row`
    on of `all_image`, `all_text`: (G, D), gathered with gradients. `scale`: 1 / temperature.
    `ignored`: (B, G), True for false negatives, whose logits are -inf. The positive of row i is
    column `first_row + i`, and is never ignored.
    """
    with torch.autocast(image.device.type, enabled=False), full_float32_matmul():
        image_to_text = scale * (full_precision(image) @ full_precision(all_text).T)
        text_to_image = scale * (full_precision(text) @ full_precision(all_image).T)
    if ignored is None:
        return image_to_text, text_to_image
    # A sample is the same sample as itself: its own column must stay.
    rows = torch.arange(len(image), device=image.device)
    others = ignored.clone()
    others[rows, rows + first_row] = False
    return (
        image_to_text.masked_fill(others, float("-inf")),
        text_to_image.masked_fill(others, float("-inf")),
    )


def contrastive_loss(image_to_text: Tensor, text_to_image: Tensor, positive: Tensor) -> Tensor:
    """The mean of InfoNCE in both directions, a scalar: half the sum that `objectives.brivl` takes.

    From (B, G) logits and their positive columns (B,). The mean over ranks is the loss of the whole
    batch.
    """
    first = mean_cross_entropy(image_to_text, positive)
    return (first + mean_cross_entropy(text_to_image, positive)) / 2
