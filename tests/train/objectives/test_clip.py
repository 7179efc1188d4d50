import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from wenlan_data.train.objectives import clip


def _vectors(rows: int, seed: int) -> Tensor:
    return normalize(torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)), dim=1)


def _loss(
    image: Tensor,
    text: Tensor,
    all_image: Tensor,
    all_text: Tensor,
    scale: float,
    first_row: int = 0,
) -> float:
    logits = clip.contrastive_logits(image, text, all_image, all_text, scale, first_row=first_row)
    return clip.contrastive_loss(*logits, torch.arange(len(image)) + first_row).item()


def test_the_loss_is_the_mean_of_two_cross_entropies_over_the_similarity_matrix() -> None:
    image, text = _vectors(5, 0), _vectors(5, 1)
    logits = 14 * image @ text.T
    expected = (
        cross_entropy(logits, torch.arange(5)) + cross_entropy(logits.T, torch.arange(5))
    ) / 2
    assert _loss(image, text, image, text, 14) == pytest.approx(expected.item(), abs=1e-6)


def test_equal_vectors_give_the_logarithm_of_the_batch() -> None:
    one = torch.ones(8, 4) / 2
    assert _loss(one, one, one, one, 10) == pytest.approx(math.log(8), abs=1e-6)


def test_the_mean_over_ranks_is_the_loss_of_the_whole_batch() -> None:
    image, text = _vectors(6, 0), _vectors(6, 1)
    parts = [
        _loss(image[row : row + 2], text[row : row + 2], image, text, 10, row) for row in (0, 2, 4)
    ]
    whole = _loss(image, text, image, text, 10)
    assert whole == pytest.approx(sum(parts) / 3, abs=1e-6)


def test_ignored_columns_do_not_count_but_the_own_one_always_does() -> None:
    image, text = _vectors(3, 0), _vectors(3, 1)
    ignored = torch.eye(3, dtype=torch.bool)
    ignored[0, 2] = ignored[2, 0] = True
    first, _ = clip.contrastive_logits(image, text, image, text, 10, ignored=ignored)
    assert torch.isinf(first).tolist() == [
        [False, False, True],
        [False, False, False],
        [True, False, False],
    ]
