"""CLIP's objective: symmetric InfoNCE over the batch of all ranks.

Shapes as in `objectives.moco`.
"""

import torch
from torch import Tensor

from wenlan_data.model.precision import full_float32_matmul
from wenlan_data.train.objectives.moco import full_precision, mean_cross_entropy


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
    """The mean of InfoNCE in both directions, a scalar: half the sum that `objectives.moco` takes.

    From (B, G) logits and their positive columns (B,). The mean over ranks is the loss of the whole
    batch.
    """
    first = mean_cross_entropy(image_to_text, positive)
    return (first + mean_cross_entropy(text_to_image, positive)) / 2
