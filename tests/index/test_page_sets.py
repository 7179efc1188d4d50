"""Sets of pages: sizes of unions, also of sets that were cut."""

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from wenlan_data.errors import DamageError
from wenlan_data.index.page_sets import (
    PAGE_HASHES,
    PAGE_KEYS,
    page_sets,
    save_page_sets,
    sizes_with_published,
)
from wenlan_data.npy import Codes, save_array

Pair = tuple[int, int]


def random_pairs(chance: random.Random, count: int) -> list[Pair]:
    """Many keys with one page, and some with many."""
    largest = 2**64 - 1
    return [
        (
            chance.choice([0, 7, largest, chance.randrange(40), chance.getrandbits(64)]),
            chance.choice([0, largest, chance.randrange(60) << 40]),
        )
        for _ in range(count)
    ]


def columns(pairs: list[Pair]) -> tuple[Codes, Codes]:
    table = np.array(pairs, np.uint64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@pytest.mark.parametrize("count", [0, 1, 2, 3000])
def test_sets_are_those_of_python(count: int) -> None:
    pairs = random_pairs(random.Random(count), count)
    found, pair = page_sets(*columns(pairs))
    assert list(zip(found.keys.tolist(), found.pages.tolist(), strict=True)) == sorted(set(pairs))
    keys, sizes = found.sizes()
    assert keys.tolist() == sorted({key for key, _ in pairs})
    assert sizes.sum() == len(set(pairs))
    assert [pairs[row][0] for row in pair.tolist()] == keys.tolist()


@pytest.mark.parametrize("most", [1, 2, 5, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_sizes_of_unions_are_exact_up_to_the_cut(seed: int, most: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    union: dict[int, set[int]] = defaultdict(set)
    folders: list[str] = []
    for generation in range(4):
        pairs = random_pairs(chance, chance.choice([0, 30, 400]))
        for key, page in pairs:
            union[key].add(page)
        sets = page_sets(*columns(pairs))[0]
        keys, sizes = sizes_with_published(sets, folders, most)
        assert keys.tolist() == sorted({key for key, _ in pairs})
        expected = [min(len(union[key]), most) for key in keys.tolist()]
        assert np.minimum(sizes, most).tolist() == expected
        folder = tmp_path / str(generation)
        folder.mkdir()
        save_page_sets(folder, sets.smallest(most))
        folders.append(str(folder))


def test_the_smallest_pages_of_each_set_are_left() -> None:
    sets, _ = page_sets(*columns([(1, 9), (1, 3), (1, 5), (2, 8), (3, 1), (3, 0)]))
    cut = sets.smallest(2)
    assert cut.keys.tolist() == [1, 1, 2, 3, 3]
    assert cut.pages.tolist() == [3, 5, 8, 0, 1]


def test_a_generation_without_page_sets_is_corrupt(tmp_path: Path) -> None:
    sets, _ = page_sets(*columns([(1, 9)]))
    with pytest.raises(DamageError, match=PAGE_KEYS):
        sizes_with_published(sets, [str(tmp_path)], 9)
    save_page_sets(tmp_path, sets)
    save_array(tmp_path / PAGE_HASHES, sets.pages[:0])
    with pytest.raises(DamageError, match="differ in length"):
        sizes_with_published(sets, [str(tmp_path)], 9)
