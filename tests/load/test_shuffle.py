import itertools
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wenlan_data.load.shuffle import (
    CorpusQuota,
    EpochOrder,
    ShuffleSettings,
    batch_count,
    batch_indices,
    epoch_blocks,
    uniform_draws,
)

SHARDS = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(
    lambda counts: sum(counts) > 0
)
SHUFFLES = st.none() | st.builds(
    ShuffleSettings,
    block_samples=st.integers(1, 20),
    window_blocks=st.integers(1, 6),
    scatter=st.booleans(),
)
SMALL = ShuffleSettings(block_samples=4, window_blocks=3)


def _corpus(counts: list[int], quota: int | None = None, first: int = 0) -> CorpusQuota:
    return CorpusQuota(
        tuple(range(first, first + len(counts))),
        tuple(counts),
        sum(counts) if quota is None else quota,
    )


def _order(
    mix: list[CorpusQuota],
    *,
    seed: int = 0,
    epoch: int = 0,
    shuffle: ShuffleSettings | None = SMALL,
) -> EpochOrder:
    return EpochOrder(mix, seed=seed, epoch=epoch, shuffle=shuffle)


def _samples(order: EpochOrder, start: int = 0, stop: int | None = None) -> list[tuple[int, int]]:
    shard, row = order.rows(np.arange(start, order.samples if stop is None else stop))
    return list(zip(shard.tolist(), row.tolist(), strict=True))


@given(SHARDS, st.integers(0, 2**63), st.integers(0, 9), SHUFFLES)
def test_an_epoch_holds_every_sample_once(
    counts: list[int], seed: int, epoch: int, shuffle: ShuffleSettings | None
) -> None:
    found = _samples(_order([_corpus(counts)], seed=seed, epoch=epoch, shuffle=shuffle))
    assert sorted(found) == [
        (shard, row) for shard, count in enumerate(counts) for row in range(count)
    ]


@given(SHARDS, st.integers(0, 99), SHUFFLES, st.data())
def test_any_part_is_read_without_the_rest(
    counts: list[int], seed: int, shuffle: ShuffleSettings | None, data: st.DataObject
) -> None:
    whole = _samples(_order([_corpus(counts)], seed=seed, shuffle=shuffle))
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    assert (
        _samples(_order([_corpus(counts)], seed=seed, shuffle=shuffle), start, stop)
        == whole[start:stop]
    )


def test_indices_past_the_end_repeat_the_start() -> None:
    order = _order([_corpus([5, 6])])
    assert _samples(order, 11, 15) == _samples(order, 0, 4)


def test_without_shuffle_samples_come_as_they_lie() -> None:
    assert _samples(_order([_corpus([2, 0, 1])], shuffle=None)) == [(0, 0), (0, 1), (2, 0)]


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = [
        tuple(_samples(_order([_corpus([50, 50])], seed=seed, epoch=epoch)))
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


@given(st.integers(1, 200), st.integers(1, 8), st.integers(1, 9), st.booleans())
def test_ranks_share_an_epoch_without_gap_or_overlap(
    samples: int, ranks: int, size: int, pad: bool
) -> None:
    batches = batch_count(samples, ranks * size, pad=pad)
    indices = [
        batch_indices(batch, rank=rank, world_size=ranks, batch_size=size).tolist()
        for batch in range(batches)
        for rank in range(ranks)
    ]
    assert list(itertools.chain.from_iterable(indices)) == list(range(batches * ranks * size))
    over = batches * ranks * size - samples
    assert 0 <= over < ranks * size if pad else 0 <= -over < ranks * size


@given(st.lists(SHARDS, min_size=2, max_size=4), st.data())
def test_over_the_epochs_no_sample_of_a_mix_falls_behind(
    corpora: list[list[int]], data: st.DataObject
) -> None:
    quotas = [data.draw(st.integers(0, 2 * sum(counts))) for counts in corpora]
    first, mix = 0, []
    for counts, quota in zip(corpora, quotas, strict=True):
        mix.append(_corpus(counts, quota, first))
        first += len(counts)
    seen: Counter[tuple[int, int]] = Counter()
    scatter = ShuffleSettings(block_samples=4, window_blocks=3, scatter=data.draw(st.booleans()))
    for epoch in range(3):
        order = _order(mix, epoch=epoch, shuffle=scatter)
        assert order.samples == sum(quotas)
        seen.update(_samples(order) if order.samples else [])
    for corpus in mix:
        counts_seen = [
            seen[shard, row]
            for shard, count in zip(corpus.shards, corpus.samples, strict=True)
            for row in range(count)
        ]
        assert sum(counts_seen) == 3 * corpus.quota
        assert max(counts_seen) - min(counts_seen) <= 1


def test_corpora_of_a_mix_alternate_by_block() -> None:
    order = _order(
        [_corpus([300], 300), _corpus([300], 300, first=1)],
        shuffle=ShuffleSettings(block_samples=10, window_blocks=4),
    )
    first_half = [shard for shard, _ in _samples(order, 0, 300)]
    assert 100 < sum(first_half) < 200


def test_draws_are_uniform_and_depend_on_their_index_alone() -> None:
    many = uniform_draws(np.arange(20_000), 2, seed=3, epoch=1, stream=7)
    assert abs(float(many.mean()) - 0.5) < 0.01
    assert abs(float(np.corrcoef(many[:, 0], many[:, 1]).min())) < 0.03
    assert np.array_equal(uniform_draws(np.array([77]), 2, seed=3, epoch=1, stream=7)[0], many[77])
    assert not np.allclose(uniform_draws(np.arange(9), 2, seed=3, epoch=2, stream=7), many[:9])


def test_a_negative_or_huge_seed_is_a_seed_too() -> None:
    assert _order([_corpus([5])], seed=2**63).samples == 5
    assert uniform_draws(np.arange(2), 1, seed=2**70, epoch=0, stream=0).shape == (2, 1)


def test_draws_of_two_seeds_do_not_meet_in_any_epoch() -> None:
    indices = np.arange(4)
    drawn = {
        (seed, epoch): tuple(uniform_draws(indices, 1, seed=seed, epoch=epoch, stream=2)[:, 0])
        for seed in range(16)
        for epoch in range(16)
    }
    assert len(set(drawn.values())) == len(drawn)


def test_neighbours_of_a_block_border_meet_in_other_passes() -> None:
    """Each pair of neighbours of a shard is in one block at least once in a few passes."""
    step = 8
    settings = ShuffleSettings(block_samples=step, window_blocks=1)
    together: Counter[int] = Counter()
    for epoch in range(12):
        blocks = epoch_blocks([_corpus([64])], seed=3, epoch=epoch, shuffle=settings)
        assert blocks.samples.sum() == 64
        assert blocks.samples.max() <= step
        for first, samples in zip(blocks.first.tolist(), blocks.samples.tolist(), strict=True):
            together.update(range(first, first + samples - 1))
    assert all(together[left] for left in range(63))
    assert len(set(together.values())) > 1
