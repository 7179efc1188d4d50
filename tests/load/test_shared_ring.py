import os
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from tests.load.corpora import IN_ORDER, keys_of, write_corpus
from wenlan_data.errors import UsageError
from wenlan_data.load import Loader
from wenlan_data.load.shared_ring import SPARE_SLOTS


@pytest.mark.parametrize("held", [1, 2, 3])
def test_memory_that_the_user_refers_to_is_not_filled_again(tmp_path: Path, held: int) -> None:
    corpus = write_corpus(tmp_path / "c", [120])
    views: deque[tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]] = deque(maxlen=held)
    for number, batch in enumerate(
        Loader(corpus, batch_size=2, size_px=8, workers=1, sampling=IN_ORDER)
    ):
        views.append((2 * number + 1, batch["image"][1].numpy()[:, 2:]))
        del batch
        assert [view.mean().round() for _, view in views] == [shade for shade, _ in views]


def test_a_released_batch_returns_its_memory(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [120])
    loader = Loader(corpus, batch_size=2, size_px=8, workers=1, sampling=IN_ORDER)
    places = {batch["image"].data_ptr() for batch in loader}
    assert len(places) <= 2 + SPARE_SLOTS


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_that_are_kept_stay_as_they_were(tmp_path: Path, workers: int) -> None:
    corpus = write_corpus(tmp_path / "c", [120])
    kept = list(Loader(corpus, batch_size=2, size_px=8, workers=workers, sampling=IN_ORDER))
    for number, batch in enumerate(kept):
        assert batch["image"].float().mean((1, 2, 3)).round().tolist() == [
            2 * number,
            2 * number + 1,
        ]


def test_too_little_shared_memory_is_an_error_and_no_bus_error(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    with pytest.raises(
        UsageError, match=r"/dev/shm: batches in flight need \d+ MiB, \d+ MiB are free"
    ):
        next(Loader(corpus, batch_size=1_000, size_px=100_000, workers=1))


def test_nothing_is_left_in_shared_memory(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [60])
    keys_of(Loader(corpus, batch_size=2, size_px=8, workers=2))
    assert not list(Path("/dev/shm").glob(f"torch_{os.getpid()}_*"))
    assert not [link for link in Path("/proc/self/fd").iterdir() if "torch_" in _target(link)]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
