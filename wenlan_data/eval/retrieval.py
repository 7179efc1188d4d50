"""Retrieval metrics in both directions, computed in chunks.

Shapes: N images, M texts, D values of a vector, P pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from wenlan_data.model.precision import full_float32_matmul

EqualTexts = Literal["merge", "separate"]
"""How equal texts of different samples count."""
EQUAL_TEXTS: dict[EqualTexts, str] = {
    "merge": "one text, which is correct for each of its images",
    "separate": "a text each, which is correct for its own image only",
}
CHUNK_ROWS = 1024
"""Queries at a time: their similarities to all targets are in memory at once."""
CUTOFFS = (1, 5, 10)
"""The k of recall@k."""
_MAX_QUANTILE = 1 << 24
"""Values that `torch.Tensor.quantile` takes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionMetrics:
    """Metrics of one direction, such as image to text."""

    recall: dict[int, float]
    """By cutoff k: the share of queries with a correct target among the first k, 0 to 1."""
    median_rank: float
    mean_rank: float
    queries: int

    def as_json(self) -> dict[str, float]:
        """The metrics under the keys of `eval retrieval --json`."""
        recalls = {f"recall@{k}": value for k, value in self.recall.items()}
        return {
            **recalls,
            "median_rank": self.median_rank,
            "mean_rank": self.mean_rank,
            "queries": self.queries,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Metrics of both directions."""

    image_to_text: DirectionMetrics
    text_to_image: DirectionMetrics

    def as_json(self) -> dict[str, dict[str, float]]:
        """The metrics under the keys of `eval retrieval --json`."""
        return {
            "image_to_text": self.image_to_text.as_json(),
            "text_to_image": self.text_to_image.as_json(),
        }

    @property
    def mean_recall(self) -> float:
        """The mean of all recalls of both directions."""
        values = [*self.image_to_text.recall.values(), *self.text_to_image.recall.values()]
        return sum(values) / len(values)


def retrieval(
    image_ND: Tensor,
    text_MD: Tensor,
    pairs: Sequence[tuple[int, int]],
    *,
    equal_texts: EqualTexts = "merge",
) -> Retrieval:
    """Computes the metrics of L2-normalised vectors; `pairs` are matching rows of image and text.

    The M texts differ. An image may match several texts and a text several images: the best one
    counts. With `separate`, each pair is a query and a candidate of its own instead, as in the
    published protocols of COCO and Flickr30k: the text of a pair matches the image of the pair
    only. Every image and every text must be in a pair.
    """
    if equal_texts == "separate":
        text_P = torch.tensor([text for _, text in pairs], dtype=torch.long)
        own = [(image, row) for row, (image, _) in enumerate(pairs)]
        query_text = text_MD[text_P.to(text_MD.device)]
    else:
        text_P, own, query_text = None, list(pairs), text_MD
    image_ranks = target_ranks(image_ND, text_MD, own, candidates=text_P)
    text_ranks = target_ranks(query_text, image_ND, [(text, image) for image, text in own])
    return Retrieval(
        image_to_text=_direction_metrics(image_ranks), text_to_image=_direction_metrics(text_ranks)
    )


def target_ranks(
    query_ND: Tensor,
    target_MD: Tensor,
    pairs: Sequence[tuple[int, int]],
    *,
    candidates: Tensor | None = None,
) -> Tensor:
    """int64 (N,): the rank of each query's best correct target among the wrong ones, from 1.

    Ties count against the query: a wrong target of the same similarity ranks before the correct
    one. So towers that give one vector for everything have a recall of 0. `candidates`: int64 (C,),
    the rows of the targets where one counts several times; `pairs` name candidates then.
    """
    pair_P2 = torch.tensor(pairs, dtype=torch.long).view(-1, 2).to(query_ND.device)
    pair_P2 = pair_P2[pair_P2[:, 0].argsort(stable=True)]
    query_P = pair_P2[:, 0].contiguous()
    ranks = []
    for start in range(0, len(query_ND), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(query_ND))
        bounds = torch.searchsorted(query_P, torch.tensor([start, stop]).to(query_P))
        first, last = (int(bound) for bound in bounds)
        rows, columns = pair_P2[first:last, 0] - start, pair_P2[first:last, 1]
        with full_float32_matmul():
            similarity = query_ND[start:stop].float() @ target_MD.float().T
        if candidates is not None:
            # After the product: equal candidates then tie exactly, wherever their columns are.
            similarity = similarity[:, candidates.to(similarity.device)]
        correct = torch.zeros_like(similarity, dtype=torch.bool)
        correct[rows, columns] = True
        best = similarity.masked_fill(~correct, float("-inf")).amax(1, keepdim=True)
        ranks.append(1 + ((similarity >= best) & ~correct).sum(1))
    return torch.cat(ranks) if ranks else torch.zeros(0, dtype=torch.long)


def _direction_metrics(rank_N: Tensor) -> DirectionMetrics:
    ranks = rank_N.double()
    # Of an even number, `quantile` takes the mean of the two in the middle, `median` the lower.
    median = ranks.quantile(0.5) if len(ranks) < _MAX_QUANTILE else ranks.median()
    return DirectionMetrics(
        recall={k: float((ranks <= k).double().mean()) for k in CUTOFFS},
        median_rank=float(median),
        mean_rank=float(ranks.mean()),
        queries=len(ranks),
    )
