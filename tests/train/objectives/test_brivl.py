"""The loss against a double loop over the formula of brivl.md 2.1, and against closed forms."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from wenlan_data.train.negatives import Queues, false_negative_mask
from wenlan_data.train.objectives import brivl, clip
from wenlan_data.train.objectives.brivl import BatchKeys


def _vectors(rows: int, width: int, seed: int) -> Tensor:
    return normalize(
        torch.randn(
            rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        ),
        dim=1,
    )


def _loss(
    image: Tensor,
    text: Tensor,
    image_key: Tensor,
    text_key: Tensor,
    image_queue: Tensor,
    text_queue: Tensor,
    temperature: float,
    ignored: Tensor | None = None,
    batch: BatchKeys | None = None,
) -> Tensor:
    return brivl.contrastive_loss(
        *brivl.contrastive_logits(
            image, text, image_key, text_key, image_queue, text_queue, temperature,
            ignored=ignored, batch=batch,
        )
    )  # fmt: skip


def _naive(
    query: Tensor, key: Tensor, queue: Tensor, temperature: float, ignored: Tensor | None = None
) -> float:
    query, key, queue = query.detach(), key.detach(), queue.detach()
    total = 0.0
    for j in range(len(query)):
        positive = math.exp(
            sum(float(a) * float(b) for a, b in zip(query[j], key[j], strict=True)) / temperature
        )
        below = positive
        for n in range(len(queue)):
            if ignored is None or not ignored[j, n]:
                below += math.exp(
                    sum(float(a) * float(b) for a, b in zip(query[j], queue[n], strict=True))
                    / temperature
                )
        total -= math.log(positive / below)
    return total / len(query)


@pytest.mark.parametrize(
    ("rows", "slots", "width", "temperature"), [(4, 6, 5, 0.07), (1, 1, 3, 0.5), (7, 20, 16, 0.05)]
)
def test_the_loss_is_the_sum_of_both_directions_of_the_formula(
    rows: int, slots: int, width: int, temperature: float
) -> None:
    image, text, image_key, text_key = (_vectors(rows, width, seed) for seed in range(4))
    image_queue, text_queue = _vectors(slots, width, 5), _vectors(slots, width, 6)
    expected = _naive(image, text_key, text_queue, temperature) + _naive(
        text, image_key, image_queue, temperature
    )
    found = _loss(image, text, image_key, text_key, image_queue, text_queue, temperature)
    assert found.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_equal_vectors_give_the_logarithm_of_the_number_of_candidates() -> None:
    one, queue = torch.ones(3, 4) / 2, torch.ones(9, 4) / 2
    found = _loss(one, one, one, one, queue, queue, 0.07)
    assert found.item() == pytest.approx(2 * math.log(10), abs=1e-6)


def test_a_positive_of_one_against_orthogonal_negatives_has_its_closed_form() -> None:
    basis = torch.eye(6)
    found = _loss(basis[:2], basis[:2], basis[:2], basis[:2], basis[2:], basis[2:], 0.5)
    assert found.item() == pytest.approx(2 * math.log(1 + 4 * math.exp(-2)), abs=1e-6)


def test_an_empty_queue_without_batch_negatives_leaves_nothing_to_learn() -> None:
    image, text = _vectors(3, 4, 0), _vectors(3, 4, 1)
    assert _loss(image, text, image, text, image[:0], text[:0], 0.07).item() == 0


def test_batch_negatives_and_an_empty_queue_are_twice_the_loss_of_clip() -> None:
    image, text = (
        _vectors(5, 8, 0).float().requires_grad_(),
        _vectors(5, 8, 1).float().requires_grad_(),
    )
    empty = torch.zeros(0, 8)
    batch = BatchKeys(image.detach(), text.detach(), 0)
    ours = _loss(image, text, image.detach(), text.detach(), empty, empty, 0.07, batch=batch)
    theirs = clip.contrastive_loss(
        *clip.contrastive_logits(image, text, image, text, 1 / 0.07), torch.arange(5)
    )
    assert ours.item() == pytest.approx(2 * theirs.item(), abs=1e-6)


def test_batch_keys_of_other_ranks_are_negatives_and_the_own_key_counts_once() -> None:
    image, text, image_key, text_key = (_vectors(4, 6, seed) for seed in range(4))
    empty = image[:0]
    whole = _loss(
        image, text, image_key, text_key, empty, empty, 0.1, batch=BatchKeys(image_key, text_key, 0)
    )
    halves = [
        _loss(
            image[rows], text[rows], image_key[rows], text_key[rows], empty, empty, 0.1,
            batch=BatchKeys(image_key, text_key, rows.start),
        )
        for rows in (slice(0, 2), slice(2, 4))
    ]  # fmt: skip
    assert whole.item() == pytest.approx(sum(half.item() for half in halves) / 2, abs=1e-6)


def test_ignored_slots_do_not_count_and_get_no_gradient() -> None:
    image, text = _vectors(2, 4, 0).requires_grad_(), _vectors(2, 4, 1)
    queue = _vectors(5, 4, 2).requires_grad_()
    ignored = torch.zeros(2, 5, dtype=torch.bool)
    ignored[:, 3], ignored[0, 1] = True, True
    found = _loss(image, text, image.detach(), text, queue, queue, 0.2, ignored=ignored)
    expected = _naive(image, text, queue, 0.2, ignored) + _naive(text, image, queue, 0.2, ignored)
    assert found.item() == pytest.approx(expected, abs=1e-6)
    found.backward()
    assert queue.grad is not None
    assert queue.grad[3].abs().max() == 0
    assert torch.isfinite(queue.grad).all()


def test_masking_removes_exactly_the_equal_ids_and_the_entries_of_the_same_page() -> None:
    queues = Queues(4, 3)
    queues.enqueue(
        _vectors(3, 3, 0), _vectors(3, 3, 1), torch.tensor([7, 8, 9]), torch.tensor([0, 5, 6])
    )
    ids, pages = torch.tensor([8, 1, 2]), torch.tensor([0, 6, 0])
    assert queues.ignored(ids, pages, ["id", "page"]).tolist() == [
        [False, True, False, True],
        [False, False, True, True],
        [False, False, False, True],
    ]
    assert queues.ignored(ids, pages, []).tolist() == [[False, False, False, True]] * 3


def test_equal_pages_are_masked_but_two_samples_without_a_page_are_not() -> None:
    ids, pages = torch.tensor([1, 2, 3]), torch.tensor([0, 0, 4])
    assert false_negative_mask(ids, pages, ids, pages, ["page"]).tolist() == [
        [False, False, False], [False, False, False], [False, False, True],
    ]  # fmt: skip


def test_logits_are_fp32_under_autocast() -> None:
    image, text = _vectors(2, 4, 0).bfloat16(), _vectors(2, 4, 1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, second = brivl.contrastive_logits(image, text, image, text, image, text, 0.07)
    assert first.dtype == second.dtype == torch.float32
