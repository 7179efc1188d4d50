"""Random corpora, ranks, workers, nodes and interruptions: what an epoch holds never depends on
them. The number of a round is its seed."""

import itertools
import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.load.corpora import key, write_corpus
from wenlan_data.errors import UsageError
from wenlan_data.load import Loader, SamplingSettings, ShuffleSettings, WeightedCorpus

Rows = list[tuple[str, bool]]
"""Key of each row of a global batch, and whether it is repeated."""
EPOCHS = 2


@dataclass(frozen=True)
class _Setting:
    corpus: Path
    global_batch: int
    seed: int
    shuffle: ShuffleSettings | None
    nodes: int

    def loader(
        self, rank: int, ranks: int, workers: int, *, epoch: int = 0, position: int = 0
    ) -> Loader:
        return Loader(
            self.corpus,
            batch_size=self.global_batch // ranks,
            size_px=8,
            workers=workers,
            epoch=epoch,
            epochs=EPOCHS - epoch,
            position=position,
            sampling=SamplingSettings(
                seed=self.seed,
                shuffle=self.shuffle,
                rank=rank,
                world_size=ranks,
                nodes=self.nodes,
            ),
        )


def _run(
    setting: _Setting,
    ranks: int,
    workers: int,
    *,
    epoch: int = 0,
    position: int = 0,
    stop: int | None = None,
) -> tuple[list[list[Rows]], int, int]:
    """Returns each rank's parts of up to `stop` global batches, and where the loaders are then."""
    parts: list[list[Rows]] = []
    for rank in range(ranks):
        with setting.loader(rank, ranks, workers, epoch=epoch, position=position) as loader:
            parts.append(
                [
                    list(zip(batch["key"], batch["repeated"].tolist(), strict=True))
                    for batch in itertools.islice(loader, stop)
                ]
            )
            where = loader.epoch, loader.position
    assert len({len(part) for part in parts}) == 1
    return parts, *where


def _joined(parts: list[list[Rows]]) -> list[Rows]:
    return [list(itertools.chain.from_iterable(batch)) for batch in zip(*parts, strict=True)]


def _divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]


@pytest.mark.parametrize("seed", range(40))
def test_every_sample_comes_once_an_epoch_whatever_ranks_workers_and_stops(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    counts = [rng.randint(1, 63) for _ in range(rng.randint(1, 5))]
    samples, global_batch = sum(counts), rng.choice([1, 6, 8, 12, 24])
    nodes = rng.choice([one for one in _divisors(global_batch) if one <= samples])
    setting = _Setting(
        write_corpus(tmp_path / "c", counts),
        global_batch,
        seed=rng.getrandbits(40),
        shuffle=rng.choice([
            None,
            ShuffleSettings(
                block_samples=rng.randint(1, 20),
                window_blocks=rng.randint(1, 4),
                scatter=rng.random() < 0.3,
            ),
        ]),
        nodes=nodes if seed % 2 else 1,
    )  # fmt: skip
    whole = _joined(_run(setting, 1, 0)[0])
    epoch_batches = len(whole) // EPOCHS
    for epoch in range(EPOCHS):
        rows = itertools.chain.from_iterable(
            whole[epoch * epoch_batches : (epoch + 1) * epoch_batches]
        )
        seen = Counter(rows)
        assert {row for row in seen if not row[1]} == {(key(one), False) for one in range(samples)}
        assert max(count for row, count in seen.items() if not row[1]) == 1
        repeats = sum(count for row, count in seen.items() if row[1])
        assert repeats < global_batch + setting.nodes
    delivered: list[Rows] = []
    epoch = position = 0
    while len(delivered) < len(whole):
        ranks = rng.choice([one for one in _divisors(global_batch) if one <= 4])
        workers = rng.choice([1, 2]) if seed % 8 == 0 and rng.random() < 0.3 else 0
        stop = rng.randint(1, len(whole))
        parts, epoch, position = _run(
            setting, ranks, workers, epoch=epoch, position=position, stop=stop
        )
        delivered += _joined(parts)
        _check_shares(setting, parts, samples)
    assert delivered == whole


def _check_shares(setting: _Setting, parts: list[list[Rows]], samples: int) -> None:
    """The ranks of a node, which are neighbours, read nothing of the other nodes' shares."""
    number = {key(one): one for one in range(samples)}
    for machines in _divisors(len(parts)):
        if setting.nodes % machines:
            continue
        on_each = len(parts) // machines
        for rank, part in enumerate(parts):
            node = rank // on_each
            low, high = samples * node // machines, samples * (node + 1) // machines
            read = {number[name] for rows in part for name, _ in rows}
            assert all(low <= one < high for one in read)


def test_the_shares_of_a_mix_hold_each_corpus_in_proportion(tmp_path: Path) -> None:
    small, large = write_corpus(tmp_path / "s", [7, 6]), write_corpus(tmp_path / "l", [20, 11, 9])
    mix = [
        WeightedCorpus(name="small", paths=small, weight=2),
        WeightedCorpus(name="large", paths=large, weight=1),
    ]
    counted: Counter[str] = Counter()
    for rank in range(3):
        loader = Loader(
            mix,
            batch_size=2,
            size_px=8,
            workers=0,
            epochs=4,
            sampling=SamplingSettings(rank=rank, world_size=3, nodes=3),
        )
        for _ in loader:
            if not len(loader):
                assert loader.metrics.sources["small"] in range(11, 15)
                counted += loader.metrics.sources
    # An epoch is as long as both together, 53; each of three shares is padded to nine batches of 2.
    assert sum(counted.values()) == 4 * 3 * 18
    assert 2 * 0.9 < counted["small"] / counted["large"] < 2 * 1.1


@pytest.mark.parametrize(
    ("batch_size", "nodes", "message"),
    [
        (4, 3, "a global batch of 4 cannot be divided among 3 nodes: choose a multiple"),
        (8, 8, "a corpus of 5 samples cannot be divided among 8 nodes"),
        (8, 0, "nodes 0: too small"),
    ],
)
def test_shares_that_cannot_be_made_are_refused(
    tmp_path: Path, batch_size: int, nodes: int, message: str
) -> None:
    corpus = write_corpus(tmp_path / "c", [5])
    with pytest.raises(UsageError, match=message):
        Loader(corpus, batch_size=batch_size, size_px=8, sampling=SamplingSettings(nodes=nodes))


def test_workers_live_across_epochs_whose_batches_are_those_of_single_ones(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [13, 8])

    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before, workers = children(), set()
    found = []
    with Loader(corpus, batch_size=4, size_px=8, workers=2, epochs=None) as endless:
        for batch in itertools.islice(endless, 18):
            found.append((endless.epoch, endless.position, batch["key"]))
            workers |= children() - before
        assert endless.metrics.samples == 6 * 4
        assert len(endless) == 0
    single = [
        (epoch, number + 1, batch["key"])
        for epoch in range(3)
        for number, batch in enumerate(
            Loader(corpus, batch_size=4, size_px=8, workers=0, epoch=epoch)
        )
    ]
    assert found == single
    assert len(workers) == 2
