import itertools
import json
import pickle
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.load.corpora import IN_ORDER, jpeg, key, keys_of, list_of, write_corpus, write_tar
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.load import (
    FaultPolicy,
    ImageSettings,
    Loader,
    SamplingSettings,
    ShuffleSettings,
    TextSettings,
    WeightedCorpus,
    WorkerSettings,
)
from wenlan_data.load.loaded_batch import BatchPlace

SMALL = ShuffleSettings(block_samples=3, window_blocks=2)


def _global_batches(
    corpus: Path,
    *,
    ranks: int,
    global_batch: int,
    workers: int,
    stop: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    position: int = 0,
    drop_last: bool = False,
) -> list[list[str]]:
    """Returns the keys of the global batches up to `stop`, where the loaders are closed."""
    loaders = [
        Loader(
            corpus,
            batch_size=global_batch // ranks,
            size_px=8,
            workers=workers,
            epoch=epoch,
            position=position,
            sampling=SamplingSettings(
                seed=seed, shuffle=SMALL, drop_last=drop_last, rank=rank, world_size=ranks
            ),
        )
        for rank in range(ranks)
    ]
    parts = [keys_of(itertools.islice(loader, stop)) for loader in loaders]
    for loader in loaders:
        loader.close()
    assert len({len(part) for part in parts}) == 1
    return [list(itertools.chain.from_iterable(batch)) for batch in zip(*parts, strict=True)]


def test_a_batch_is_what_the_documentation_says(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [4])
    batch = next(Loader(corpus, batch_size=3, size_px=8, workers=0, sampling=IN_ORDER))
    image, boxes, mask = batch["image"], batch["boxes"], batch["box_mask"]
    assert isinstance(image, torch.Tensor)
    assert (image.shape, image.dtype) == ((3, 3, 8, 8), torch.uint8)
    assert image.float().mean((1, 2, 3)).round().tolist() == [0, 1, 2]
    assert batch["key"] == [key(0), key(1), key(2)]
    assert batch["text"] == ["第0张照片", "第1张照片", "第2张照片"]
    assert isinstance(boxes, torch.Tensor)
    assert isinstance(mask, torch.Tensor)
    assert (boxes.shape, boxes.dtype, mask.dtype) == ((3, 37, 4), torch.float32, torch.bool)
    assert boxes[0, :3].tolist() == [[0, 0, 4, 8], [0, 0, 8, 8], [0, 0, 0, 0]]
    assert mask.sum(1).tolist() == [2, 2, 2]
    assert "tokens" not in batch


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 14), min_size=1, max_size=5),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(0, 2**40),
    st.booleans(),
    st.data(),
)
def test_every_epoch_is_exact_and_resumes_on_other_ranks(
    counts: list[int], ranks: int, size: int, seed: int, drop: bool, data: st.DataObject
) -> None:
    global_batch, samples = ranks * size, sum(counts)
    drop_last = drop and samples >= global_batch
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_corpus(Path(folder) / "c", counts)

        def batches(ranks: int, position: int = 0) -> list[list[str]]:
            return _global_batches(
                corpus,
                ranks=ranks,
                global_batch=global_batch,
                workers=0,
                seed=seed,
                epoch=1,
                position=position,
                drop_last=drop_last,
            )

        whole = batches(ranks)
        seen = Counter(itertools.chain.from_iterable(whole))
        if not drop_last:
            assert set(seen) == {key(number) for number in range(samples)}
            assert max(seen.values()) - min(seen.values()) <= 1
            assert sum(seen.values()) == -(-samples // global_batch) * global_batch
        else:
            assert max(seen.values()) == 1
            assert len(seen) == samples // global_batch * global_batch
        cut = data.draw(st.integers(0, len(whole)))
        others = data.draw(st.sampled_from([one for one in range(1, 9) if global_batch % one == 0]))
        assert batches(others, cut) == whole[cut:]


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.lists(st.integers(1, 14), min_size=1, max_size=5),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(0, 8),
    st.integers(0, 2**40),
    st.data(),
)
def test_a_stopped_epoch_resumes_with_any_workers_and_ranks(
    counts: list[int], ranks: int, size: int, workers: int, seed: int, data: st.DataObject
) -> None:
    global_batch = ranks * size
    others = data.draw(st.sampled_from([one for one in range(1, 9) if global_batch % one == 0]))
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_corpus(Path(folder) / "c", counts)

        def batches(
            ranks: int, workers: int, *, position: int = 0, stop: int | None = None
        ) -> list[list[str]]:
            return _global_batches(
                corpus,
                ranks=ranks,
                global_batch=global_batch,
                workers=workers,
                stop=stop,
                seed=seed,
                epoch=2,
                position=position,
            )

        whole = batches(1, 0)
        assert set(itertools.chain.from_iterable(whole)) == {
            key(number) for number in range(sum(counts))
        }
        cut = data.draw(st.integers(0, len(whole)))
        begun = batches(ranks, workers, stop=cut)
        rest = batches(others, data.draw(st.integers(0, 8)), position=cut)
    assert begun + rest == whole


def test_the_dataset_of_a_loader_can_be_sent_to_another_process(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [9])
    loader = Loader(corpus, batch_size=3, size_px=8, workers=0)
    received = pickle.loads(pickle.dumps(loader.dataset))
    found = [received[BatchPlace(0, number), 0].values["key"] for number in range(3)]
    assert found == keys_of(loader)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_workers_do_not_influence_the_batches(tmp_path: Path, workers: int) -> None:
    corpus = write_corpus(tmp_path / "c", [1, 9, 2])
    alone = _global_batches(corpus, ranks=1, global_batch=2, workers=0, seed=5)
    assert _global_batches(corpus, ranks=1, global_batch=2, workers=workers, seed=5) == alone
    assert (
        _global_batches(corpus, ranks=2, global_batch=2, workers=workers, seed=5, position=3)
        == alone[3:]
    )


def test_a_loader_resumes_after_the_delivered_batches_not_the_prefetched_ones(
    tmp_path: Path,
) -> None:
    corpus = write_corpus(tmp_path / "c", [20])
    whole = _global_batches(corpus, ranks=1, global_batch=2, workers=0)
    sampling = SamplingSettings(shuffle=SMALL)
    with Loader(corpus, batch_size=2, size_px=8, workers=2, sampling=sampling) as loader:
        for _ in range(3):
            next(loader)
        loader.close()
        assert (loader.position, len(loader)) == (3, 7)
        assert keys_of(loader) == whole[3:]
    assert (loader.position, len(loader)) == (10, 0)


@pytest.mark.parametrize("killed_at", [1, 5, pytest.param(8, marks=pytest.mark.slow)])
def test_after_kill_9_another_loader_gives_the_rest(tmp_path: Path, killed_at: int) -> None:
    corpus = write_corpus(
        tmp_path / "c", [7, 30]
    )  # windows of 6 samples: batch 5 ends in the middle of one
    script = (
        "import sys, json\n"
        "from wenlan_data.load import Loader, SamplingSettings, ShuffleSettings\n"
        f"loader = Loader({str(corpus)!r}, batch_size=3, size_px=8, workers=2,"
        " sampling=SamplingSettings(shuffle=ShuffleSettings(block_samples=3, window_blocks=2)))\n"
        "for batch in loader:\n"
        "    print(json.dumps([loader.position, batch['key']]), flush=True)\n"
        f"    if loader.position == {killed_at}: sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    seen = [json.loads(child.stdout.readline()) for _ in range(killed_at)]
    child.send_signal(signal.SIGKILL)
    child.wait()
    whole = _global_batches(corpus, ranks=1, global_batch=3, workers=0)
    position = seen[-1][0]
    rest = _global_batches(corpus, ranks=3, global_batch=3, workers=1, position=position)
    assert [batch for _, batch in seen] + rest == whole
    assert not list(Path("/dev/shm").glob(f"torch_{child.pid}_*"))


def test_fewer_shards_than_workers_and_ranks_are_enough(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    batches = _global_batches(corpus, ranks=8, global_batch=8, workers=2)
    assert Counter(batches[0]) == Counter([key(0), key(1), key(2)] * 2 + batches[0][6:])


def test_a_rank_without_a_batch_is_an_error_by_name(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    with pytest.raises(
        UsageError, match="rank 2 of 4 gets no batch: 3 samples are fewer than a global batch of 8"
    ):
        Loader(
            corpus,
            batch_size=2,
            size_px=8,
            sampling=SamplingSettings(rank=2, world_size=4, drop_last=True),
        )


def test_requested_fields_come_with_a_batch_and_a_sample_without_one_is_bad(
    tmp_path: Path,
) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    for workers in (0, 1):
        loader = Loader(
            corpus,
            batch_size=3,
            size_px=8,
            workers=workers,
            sampling=IN_ORDER,
            fields=("image_url", "width"),
        )
        urls = [f"http://a.test/{number}.jpg" for number in range(3)]
        assert next(loader)["fields"] == {"image_url": urls, "width": [16, 16, 16]}
    lacking = Loader(corpus, batch_size=3, size_px=8, workers=0, fields=["price"])
    with pytest.raises(DamageError, match=r"bad_fields .*KeyError: 'price'.* in a row"):
        next(lacking)


def test_how_an_epoch_ends_is_reported(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [5])
    padded = Loader(corpus, batch_size=4, size_px=8, workers=0)
    assert padded.metrics.notes == [
        "3 samples repeated to fill the last of 2 global batches (5 samples)"
    ]
    last = [batch["repeated"].tolist() for batch in padded][-1]
    assert last == [False, True, True, True]
    dropped = Loader(
        corpus, batch_size=4, size_px=8, workers=0, sampling=SamplingSettings(drop_last=True)
    )
    assert dropped.metrics.notes == [
        "1 samples dropped after the last of 1 global batches (5 samples)"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size 0: too small"),
        ({"workers": -1}, "workers -1: too small"),
        ({"position": 9}, "position 9: the epoch has 2 global batches"),
        ({"position": -1}, "position -1"),
        ({"device": "quark"}, "device 'quark': torch knows no such device: give cpu, or cuda:0"),
        ({"texts": TextSettings(tokenizer="nowhere.txt")}, "nowhere.txt: no tokenizer here"),
    ],
)
def test_wrong_use_is_reported_at_once(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    given: dict[str, object] = {"batch_size": 2, "size_px": 8, **options}
    with pytest.raises(UsageError, match=message):
        Loader(corpus, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SamplingSettings(rank=2, world_size=2), "rank 2: it must be from 0 to 1"),
        (lambda: SamplingSettings(world_size=0), "world_size 0: too small"),
        (lambda: TextSettings(choose="poem"), "text 'poem': choose one of caption, random"),
        (lambda: ImageSettings(decoder="magic"), "decoder 'magic': choose one of turbo"),
        (lambda: WorkerSettings(prefetch=0), "prefetch 0: too small"),
        (
            lambda: FaultPolicy(corrupt_shards="burn"),
            "corrupt_shards 'burn': choose one of fail, skip",
        ),
    ],
)
def test_a_wrong_setting_is_reported_when_it_is_made(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_missing_gpu_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device 'cuda:0': this torch finds no GPU"):
        Loader(write_corpus(tmp_path / "c", [3]), batch_size=2, size_px=8, device="cuda:0")


def test_a_corpus_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no sample in it"):
        Loader(write_corpus(tmp_path / "c", [0]), batch_size=2, size_px=8)


def test_a_mix_gives_each_corpus_its_share_and_counts_it(tmp_path: Path) -> None:
    small, large = (
        write_corpus(tmp_path / "small", [10]),
        write_corpus(tmp_path / "large", [20, 10]),
    )
    mix = [
        WeightedCorpus(name="small", paths=small, weight=3),
        WeightedCorpus(name="large", paths=[large], weight=1),
    ]
    loader = Loader(mix, batch_size=4, size_px=8, workers=0)
    keys_of(loader)
    assert loader.metrics.sources == {"small": 30, "large": 10}


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_that_is_not_positive_is_refused(tmp_path: Path, weight: float) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    with pytest.raises(UsageError, match="each must be above 0"):
        Loader(
            [
                WeightedCorpus(name="a", paths=corpus, weight=weight),
                WeightedCorpus(name="b", paths=corpus),
            ],
            batch_size=1,
            size_px=8,
        )


def test_the_fingerprint_differs_where_the_batches_would(tmp_path: Path) -> None:
    corpus, other = write_corpus(tmp_path / "c", [8]), write_corpus(tmp_path / "d", [8, 1])
    first = Loader(corpus, batch_size=4, size_px=8).fingerprint
    assert (
        first
        == Loader(
            corpus,
            batch_size=2,
            size_px=16,
            workers=0,
            position=1,
            epoch=3,
            sampling=SamplingSettings(world_size=2),
        ).fingerprint
    )
    assert first != Loader(corpus, batch_size=2, size_px=8).fingerprint
    seeded = SamplingSettings(seed=1)
    assert first != Loader(corpus, batch_size=4, size_px=8, sampling=seeded).fingerprint
    assert first != Loader(other, batch_size=4, size_px=8).fingerprint


def test_a_third_party_tar_is_indexed_on_first_use_and_nothing_is_written_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    members = {
        "photos/cat.jpg": jpeg(9),
        "photos/cat.txt": "一只猫".encode(),
        "photos/a.longer.name.jpg": b"no",
    }
    write_tar(tmp_path / "data" / "a.tar", members)
    for _ in range(2):
        loader = Loader(tmp_path / "data", batch_size=1, size_px=8, workers=0, sampling=IN_ORDER)
        assert keys_of(loader) == [["photos/cat"], ["photos/cat"]]
        where, bad = str(tmp_path / "data" / "a.tar"), "it has longer.name.jpg"
        assert loader.metrics.bad_examples == [(where, "photos/a", "no_image", bad)]
    batch = next(Loader(tmp_path / "data", batch_size=1, size_px=8, workers=0, sampling=IN_ORDER))
    assert (batch["key"], batch["text"]) == (["photos/cat"], ["一只猫"])
    assert np.asarray(batch["boxes"])[0, 0].tolist() == [0, 0, 8, 8]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a.tar"]
    assert len(list((tmp_path / "cache" / "wenlan-data" / "indexes").iterdir())) == 1


def test_keys_and_texts_are_lists_of_the_batch(tmp_path: Path) -> None:
    batch = next(
        Loader(
            write_corpus(tmp_path / "c", [3]),
            batch_size=2,
            size_px=8,
            workers=0,
            images=ImageSettings(max_regions=0),
        )
    )
    assert (len(list_of(batch["key"])), len(list_of(batch["text"]))) == (2, 2)
    assert "boxes" not in batch
