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

import torch
from torch import Tensor
from torch.nn import functional

from wenlan_data.model.precision import full_float32_matmul


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
