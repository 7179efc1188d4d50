"""What losses over similarities share: InfoNCE, and the figures of a batch.

Shapes: B queries of this rank, N columns of logits, one of which is the positive.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

FIGURES = (
    "loss", "image_to_text_top1", "text_to_image_top1", "positive", "negative", "negatives"
)  # fmt: skip
"""What is logged of a step: the loss, the share of queries whose positive is the most similar, the
mean cosine similarity of positives and of negatives, and the number of negatives of a query."""


def info_nce(logits: Tensor) -> Tensor:
    """InfoNCE: the mean cross-entropy of (B, N) logits whose positive is column 0."""
    return mean_cross_entropy(
        logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    )


def mean_cross_entropy(logits: Tensor, positive: Tensor) -> Tensor:
    """The mean over (B, N) logits of the cross-entropy to column `positive` (B,), in fp64.

    In fp64, so that the mean of the ranks' means is the mean over the batch to the last digit.
    """
    return functional.cross_entropy(logits, positive, reduction="none").double().mean()


def full_precision(vectors: Tensor) -> Tensor:
    """Converts to fp32; fp64 stays."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


@torch.no_grad()
def contrast_figures(
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
