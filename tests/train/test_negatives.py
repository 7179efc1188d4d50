import torch

from wenlan_data.train.negatives import Queues


def _put(queues: Queues, first: int, count: int) -> None:
    ids = torch.arange(first, first + count)
    rows = ids[:, None].float().expand(count, 2)
    queues.enqueue(rows, -rows, ids, ids * 10)


def test_a_queue_starts_empty_and_no_slot_is_a_negative_before_it_is_filled() -> None:
    queues = Queues(5, 2)
    assert queues.ignored(torch.tensor([1]), torch.tensor([0]), []).all()
    _put(queues, 1, 2)
    assert queues.ignored(torch.tensor([9]), torch.tensor([0]), []).tolist() == [
        [False, False, True, True, True]
    ]
    assert queues.fill == 2


def test_a_queue_wraps_and_takes_batches_that_do_not_divide_it() -> None:
    queues = Queues(5, 2)
    for first in (1, 4, 7):
        _put(queues, first, 3)
    assert queues.ids_K.tolist() == [6, 7, 8, 9, 5]
    assert queues.image_KD[:, 0].tolist() == [6, 7, 8, 9, 5]
    assert queues.text_KD[:, 0].tolist() == [-6, -7, -8, -9, -5]
    assert (queues.fill, queues.pointer) == (5, 4)


def test_of_a_batch_larger_than_the_queue_the_tail_stays() -> None:
    queues, stepwise = Queues(4, 2), Queues(4, 2)
    _put(queues, 1, 11)
    for one in range(1, 12):
        _put(stepwise, one, 1)
    assert queues.ids_K.tolist() == stepwise.ids_K.tolist()
    assert (queues.fill, queues.pointer) == (stepwise.fill, stepwise.pointer)


def test_a_queue_of_no_slots_takes_nothing() -> None:
    queues = Queues(0, 2)
    _put(queues, 1, 3)
    assert queues.fill == 0


def test_a_restored_queue_of_another_size_holds_the_newest_in_order() -> None:
    queues, smaller, larger = Queues(5, 2), Queues(3, 2), Queues(8, 2)
    _put(queues, 1, 7)
    smaller.restore(queues.tensors(), queues.fill, queues.pointer)
    larger.restore(queues.tensors(), queues.fill, queues.pointer)
    assert sorted(smaller.ids_K.tolist()) == [5, 6, 7]
    assert larger.ids_K.tolist() == [3, 4, 5, 6, 7, 0, 0, 0]
    _put(smaller, 8, 1)
    assert sorted(smaller.ids_K.tolist()) == [6, 7, 8]


def test_a_restored_queue_of_the_same_size_is_the_same_to_the_bit() -> None:
    queues, again = Queues(5, 2), Queues(5, 2)
    _put(queues, 1, 7)
    again.restore(queues.tensors(), queues.fill, queues.pointer)
    assert all(torch.equal(mine, queues.tensors()[name]) for name, mine in again.tensors().items())
    assert (again.fill, again.pointer) == (5, 2)
