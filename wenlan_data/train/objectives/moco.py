"""BriVL's objective: cross-modal MoCo in both directions, against queues of earlier keys or the batch as well.

Shapes: B queries of this rank, G keys of the batch over all ranks, K slots of a queue, D values of a vector.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class BatchKeys:
    """The keys of the whole batch, for runs whose negatives are taken from the batch as well."""

    image_GD: Tensor
    text_GD: Tensor
    first_row: int
    """The column of this rank's first key; query i has its own key at `first_row + i`."""
    ignored_BG: Tensor | None = None
    """True where a column is no negative: the same sample, or one of the same page. The own column never counts."""


def contrastive_loss(
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
) -> Tensor:
    """The sum of both directions, a scalar; each is a mean over the B queries (arXiv 2103.06561, brivl.md 2.1).

    `image`, `text`: (B, D) unit vectors of the towers that learn. `image_key`, `text_key`: (B, D) of the momentum
    towers, the positives. `image_queue`, `text_queue`: (K, D), K may be 0. `ignored`: (B, K), True where a slot is no
    negative. In fp32, whatever autocast says.
    """
    first, second = contrastive_logits(
        image,
        text,
        image_key,
        text_key,
        image_queue,
        text_queue,
        temperature,
        ignored=ignored,
        batch=batch,
    )
    return first_column_loss(first) + first_column_loss(second)


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
    """Image to text and text to image: (B, 1 + K [+ G]) each, the positive in column 0, -inf for what is ignored."""
    with torch.autocast(image.device.type, enabled=False):
        return (
            _direction(image, text_key, text_queue, temperature, ignored, batch, "text_GD"),
            _direction(text, image_key, image_queue, temperature, ignored, batch, "image_GD"),
        )


def first_column_loss(logits: Tensor) -> Tensor:
    """The mean cross-entropy of (B, N) logits whose right answer is column 0."""
    return mean_cross_entropy(
        logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    )


def mean_cross_entropy(logits: Tensor, right: Tensor) -> Tensor:
    """The mean over rows, added up in fp64: a sum over ranks is then the sum over the batch, to the last digit."""
    return functional.cross_entropy(logits, right, reduction="none").double().mean()


def full(vectors: Tensor) -> Tensor:
    """The vectors in fp32, or in fp64 where they are."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def _direction(
    query: Tensor,
    key: Tensor,
    queue: Tensor,
    temperature: float | Tensor,
    ignored: Tensor | None,
    batch: BatchKeys | None,
    side: str,
) -> Tensor:
    query, key, queue = full(query), full(key), full(queue)
    # Divided before anything is ignored: the gradient of a temperature that learns would be 0 x inf.
    blocks = [
        (query * key).sum(1, keepdim=True) / temperature,
        _without(query @ queue.T / temperature, ignored),
    ]
    if batch is not None:
        keys: Tensor = full(getattr(batch, side))
        blocks.append(
            _without(
                query @ keys.T / temperature, _own_and(batch, len(query), len(keys), query.device)
            )
        )
    return torch.cat(blocks, dim=1)


def _without(similarities: Tensor, ignored: Tensor | None) -> Tensor:
    return similarities if ignored is None else similarities.masked_fill(ignored, float("-inf"))


def _own_and(batch: BatchKeys, queries: int, keys: int, device: torch.device) -> Tensor:
    own = torch.zeros(queries, keys, dtype=torch.bool, device=device)
    rows = torch.arange(queries, device=device)
    own[rows, rows + batch.first_row] = True
    return own if batch.ignored_BG is None else own | batch.ignored_BG
