"""Retrieval figures from vectors, both ways, in chunks. Shapes: N pictures, M texts, D values, P pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK_ROWS = 1024
CUTS = (1, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """How near to the top the right answers come."""

    recall: dict[int, float]
    """By cut: the share of queries with a right answer among so many first ones, 0 to 1."""
    median_rank: float
    mean_rank: float
    queries: int

    def as_json(self) -> dict[str, float]:
        """With the names that `eval retrieval --json` prints."""
        recalls = {f"recall@{cut}": value for cut, value in self.recall.items()}
        return {
            **recalls,
            "median_rank": self.median_rank,
            "mean_rank": self.mean_rank,
            "queries": self.queries,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Both directions."""

    image_to_text: Direction
    text_to_image: Direction

    def as_json(self) -> dict[str, dict[str, float]]:
        """With the names that `eval retrieval --json` prints."""
        return {
            "image_to_text": self.image_to_text.as_json(),
            "text_to_image": self.text_to_image.as_json(),
        }

    @property
    def mean_recall(self) -> float:
        """The mean of all recalls of both directions."""
        values = [*self.image_to_text.recall.values(), *self.text_to_image.recall.values()]
        return sum(values) / len(values)


def retrieval(image_ND: Tensor, text_MD: Tensor, pairs: Sequence[tuple[int, int]]) -> Retrieval:
    """Figures of unit vectors, where `pairs` says which picture (row) and which text belong together.

    A picture may have several texts and a text several pictures: the best one counts. Every picture and every text
    must be in a pair.
    """
    forward = ranks(image_ND, text_MD, pairs)
    backward = ranks(text_MD, image_ND, [(text, image) for image, text in pairs])
    return Retrieval(image_to_text=_direction(forward), text_to_image=_direction(backward))


def ranks(query_ND: Tensor, answer_MD: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """int64 (N,): the rank of each query's best right answer, from 1, among the answers that are wrong for it.

    A wrong answer that is as similar as the best right one stands before it: equal vectors for all earn nothing.
    """
    pair_P2 = torch.tensor(pairs, dtype=torch.long).view(-1, 2).to(query_ND.device)
    pair_P2 = pair_P2[pair_P2[:, 0].argsort(stable=True)]
    found = []
    for start in range(0, len(query_ND), CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, len(query_ND))
        first, last = (
            int(x)
            for x in torch.searchsorted(
                pair_P2[:, 0].contiguous(), torch.tensor([start, stop]).to(pair_P2)
            )
        )
        rows, columns = pair_P2[first:last, 0] - start, pair_P2[first:last, 1]
        similarity = query_ND[start:stop].float() @ answer_MD.float().T
        right = torch.zeros_like(similarity, dtype=torch.bool)
        right[rows, columns] = True
        best = similarity.masked_fill(~right, float("-inf")).amax(1, keepdim=True)
        found.append(1 + ((similarity >= best) & ~right).sum(1))
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.long)


def _direction(rank_N: Tensor) -> Direction:
    values = rank_N.double()
    return Direction(
        recall={cut: float((values <= cut).double().mean()) for cut in CUTS},
        median_rank=float(values.quantile(0.5))
        if len(values) < 1 << 24
        else float(values.median()),
        mean_rank=float(values.mean()),
        queries=len(values),
    )
