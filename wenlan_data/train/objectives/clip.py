"""CLIP's objective: symmetric InfoNCE over the batch of all ranks. Shapes as in `objectives.moco`."""

import torch
from torch import Tensor

from wenlan_data.train.objectives.moco import full, mean_cross_entropy


def contrastive_loss(
    image: Tensor,
    text: Tensor,
    all_image: Tensor,
    all_text: Tensor,
    scale: float | Tensor,
    *,
    first_row: int = 0,
    ignored: Tensor | None = None,
) -> Tensor:
    """The mean of both directions, a scalar: half of what `objectives.moco` sums.

    `image`, `text`: (B, D) unit vectors of this rank, in rows `first_row` on of `all_image`, `all_text`: (G, D),
    gathered with gradients. `scale`: one over the temperature. `ignored`: (B, G), True where a column is no negative;
    the own column is never ignored. The mean over ranks is the loss of the whole batch.
    """
    first, second = contrastive_logits(
        image, text, all_image, all_text, scale, first_row=first_row, ignored=ignored
    )
    right = torch.arange(len(image), device=image.device) + first_row
    return (mean_cross_entropy(first, right) + mean_cross_entropy(second, right)) / 2


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
    """Image to text and text to image: (B, G) each, the positive of row i in column `first_row + i`; in fp32."""
    with torch.autocast(image.device.type, enabled=False):
        first = scale * (full(image) @ full(all_text).T)
        second = scale * (full(text) @ full(all_image).T)
    if ignored is None:
        return first, second
    rows = torch.arange(len(image), device=image.device)
    others = ignored.clone()
    others[rows, rows + first_row] = False
    return first.masked_fill(others, float("-inf")), second.masked_fill(others, float("-inf"))
