from collections import Counter
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from tests.load.corpora import key, keys_of, write_corpus
from wenlan_data.errors import UsageError
from wenlan_data.load import Loader, SampleStream, SamplingSettings


def test_a_stream_gives_the_members_in_the_loaders_order(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [30])
    sampling = SamplingSettings(seed=3)
    samples = list(SampleStream(corpus, sampling=sampling))
    assert set(samples[0]) == {"__key__", "jpg", "json", "txt"}
    batches = keys_of(Loader(corpus, batch_size=10, size_px=8, workers=0, sampling=sampling))
    assert [sample["__key__"] for sample in samples] == [key for batch in batches for key in batch]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_workers_of_any_data_loader_share_it(tmp_path: Path, workers: int) -> None:
    corpus = write_corpus(tmp_path / "c", [600])
    stream = SampleStream(corpus, position=100)
    found = [
        sample["__key__"]
        for sample in DataLoader(stream, batch_size=None, num_workers=min(workers, 2))
    ]
    assert len(found) == len(set(found)) == len(stream) == 500


def test_ranks_get_equally_many(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [10])
    parts = [
        [
            sample["__key__"]
            for sample in SampleStream(corpus, sampling=SamplingSettings(rank=rank, world_size=4))
        ]
        for rank in range(4)
    ]
    assert [len(part) for part in parts] == [3, 3, 3, 3]
    seen = Counter(one for part in parts for one in part)
    assert set(seen) == {key(number) for number in range(10)}


def test_a_position_behind_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="position 11: the epoch has 10 samples"):
        SampleStream(write_corpus(tmp_path / "c", [10]), position=11)


def test_drop_last_leaves_out_what_not_every_rank_would_receive(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [10])
    parts = [
        [
            sample["__key__"]
            for sample in SampleStream(
                corpus, sampling=SamplingSettings(rank=rank, world_size=4, drop_last=True)
            )
        ]
        for rank in range(4)
    ]
    assert [len(part) for part in parts] == [2, 2, 2, 2]
    assert len({one for part in parts for one in part}) == 8
