"""The number of images that a text stands by."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from wenlan_data.dedupe.frequency import count_images, published_counts, save_counts
from wenlan_data.dedupe.text_hashes import text_hashes
from wenlan_data.errors import DamageError


def test_a_text_counts_once_for_each_image() -> None:
    hashes = text_hashes(pa.array(["猫", "狗", "猫", "猫"]))
    known, counts = count_images(np.array([1, 1, 2, 1]), hashes)
    assert known.tolist() == sorted(set(hashes.tolist()))
    assert dict(zip(known.tolist(), counts.tolist(), strict=True)) == {
        int(hashes[0]): 2,
        int(hashes[1]): 1,
    }


def test_counts_of_generations_add_up(tmp_path: Path) -> None:
    hashes = np.array([3, 5, 2**63], np.uint64)
    for name, counts in [("a", [1, 2, 3]), ("b", [10, 20, 30])]:
        (tmp_path / name).mkdir()
        save_counts(tmp_path / name, hashes, np.array(counts))
    (tmp_path / "none").mkdir()
    save_counts(tmp_path / "none", hashes[:0], np.array([], np.int64))
    folders = [str(tmp_path / name) for name in ("a", "none", "b")]
    assert published_counts(folders, np.array([5, 4, 2**63, 2**64 - 1], np.uint64)).tolist() == [
        22,
        0,
        33,
        0,
    ]


def test_lost_counts_are_damage(tmp_path: Path) -> None:
    with pytest.raises(DamageError, match="build the corpus again"):
        published_counts([str(tmp_path)], np.array([1], np.uint64))
