"""Metrics against a plain sort of every row."""

import pytest
import torch
from torch.nn.functional import normalize

from wenlan_data.eval import retrieval as module
from wenlan_data.eval.retrieval import retrieval, target_ranks


def _naive(query: torch.Tensor, answer: torch.Tensor, pairs: list[tuple[int, int]]) -> list[int]:
    found = []
    for row, one in enumerate(query):
        scores = [(float(one @ other), at) for at, other in enumerate(answer)]
        right = {at for place, at in pairs if place == row}
        best = max(score for score, at in scores if at in right)
        found.append(1 + sum(score >= best and at not in right for score, at in scores))
    return found


def test_ranks_are_those_of_a_plain_sort_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(1)
    image, text = (normalize(torch.randn(n, 5, generator=generator), dim=1) for n in (17, 40))
    pairs = [(number % 17, number) for number in range(40)]
    for rows in (1, 4, 1000):
        monkeypatch.setattr(module, "CHUNK_ROWS", rows)
        assert target_ranks(image, text, pairs).tolist() == _naive(image, text, pairs)
        backward = [(text_row, image_row) for image_row, text_row in pairs]
        assert target_ranks(text, image, backward).tolist() == _naive(text, image, backward)


def test_the_best_of_several_captions_counts_and_one_caption_may_have_several_images() -> None:
    image = torch.eye(3)
    text = torch.tensor([[0.9, 0.1, 0], [0, 1.0, 0], [0, 0, 1.0]])
    found = retrieval(image, text, [(0, 0), (0, 2), (1, 1), (2, 2)])
    assert found.image_to_text.recall[1] == 1
    assert found.text_to_image.recall[1] == 1


def test_equal_vectors_have_a_recall_of_zero() -> None:
    same = torch.ones(20, 4)
    found = retrieval(same, same, [(row, row) for row in range(20)])
    assert found.image_to_text.recall == {1: 0, 5: 0, 10: 0}
    assert found.image_to_text.median_rank == 20


def test_the_json_has_the_documented_keys() -> None:
    found = retrieval(torch.eye(2), torch.eye(2), [(0, 0), (1, 1)]).as_json()
    assert set(found) == {"image_to_text", "text_to_image"}
    assert {"recall@1", "recall@5", "recall@10", "median_rank", "mean_rank"} <= set(
        found["image_to_text"]
    )
    assert found["image_to_text"]["mean_rank"] == 1
