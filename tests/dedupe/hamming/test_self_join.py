"""Near pairs against brute force."""

import numpy as np
import pytest

from tests.dedupe.hamming.near_pairs import near_between, near_pairs
from wenlan_data.dedupe.hamming import blocks, self_join
from wenlan_data.npy import Codes, Indices

LIMITS = {
    "pairs.MATRIX_PAIRS": 16,
    "self_join.MATRIX_PAIRS": 16,
    "cross_join.MATRIX_PAIRS": 16,
    "pairs.CHUNK_PAIRS": 1000,
    "self_join.CHUNK_PAIRS": 1000,
    "codes.SCAN_CODES": 50,
    "self_join.SCAN_CODES": 50,
    "cross_join.SCAN_CODES": 50,
}
"""Small values of every limit, under the name by which each module uses it."""


def uniform(count: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def clustered(count: int, seed: int, flips: int = 6) -> Codes:
    """Some centres, each with codes a few bits away, many of them equal."""
    random = np.random.default_rng(seed)
    codes = uniform(count // 20 + 1, seed)[random.integers(0, count // 20 + 1, count)]
    for _ in range(flips):
        bit = np.uint64(1) << random.integers(0, 64, count).astype(np.uint64)
        codes = codes ^ np.where(random.random(count) < 0.5, bit, np.uint64(0))
    return codes


def skewed(count: int, seed: int) -> Codes:
    """As smooth images have them: most bits hardly ever set."""
    random = np.random.default_rng(seed)
    codes = np.zeros(count, np.uint64)
    for bit in range(64):
        is_set = random.random(count) < (0.4 if bit % 5 == 0 else 0.03)
        codes |= np.where(is_set, np.uint64(1) << np.uint64(bit), np.uint64(0))
    return codes


def brute(left: Codes, right: Codes, radius_bits: int) -> Indices:
    rows = [np.empty((0, 2), np.int64)]
    for start in range(0, len(left), 512):
        found = np.argwhere(
            np.bitwise_count(left[start : start + 512, None] ^ right[None, :]) <= radius_bits
        )
        rows.append(found + np.array([start, 0]))
    return np.concatenate(rows)


@pytest.mark.parametrize("radius_bits", range(9))
@pytest.mark.parametrize("make", [uniform, clustered, skewed])
def test_all_pairs_within_the_radius_are_found_once_and_no_others(
    make: object, radius_bits: int
) -> None:
    codes = make(2500, radius_bits)  # type: ignore[operator]
    every = brute(codes, codes, radius_bits)
    expected = every[every[:, 0] < every[:, 1]]
    assert np.array_equal(near_pairs(codes, radius_bits), expected)


@pytest.mark.parametrize("radius_bits", [0, 1, 4, 8])
@pytest.mark.parametrize("make", [uniform, clustered, skewed])
def test_pairs_between_two_sets_are_found_once_and_no_others(
    make: object, radius_bits: int
) -> None:
    codes = make(4000, radius_bits)  # type: ignore[operator]
    new, old = codes[:1500], np.concatenate([codes[1200:], codes[3000:3100]])
    assert np.array_equal(near_between(new, old, radius_bits), brute(new, old, radius_bits))


@pytest.mark.parametrize("radius_bits", [1, 3, 4, 6, 8])
@pytest.mark.parametrize("make", [uniform, clustered, skewed])
def test_the_search_by_bands_and_inside_long_runs_is_exact(
    make: object, radius_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small limits send these few codes down the paths that millions take; free bands forbid to
    # compare all.
    for name, limit in LIMITS.items():
        monkeypatch.setattr(f"wenlan_data.dedupe.hamming.{name}", limit)
    monkeypatch.setattr(self_join, "MAX_SCAN_ROWS", 5)
    monkeypatch.setattr(blocks, "MOVE_CODES", 40)
    monkeypatch.setattr(blocks, "BAND_NS", 0.0)
    monkeypatch.setattr(blocks, "SORT_NS", 0.01)
    monkeypatch.setattr(blocks, "PASS_NS", 0.01)
    codes = make(250, radius_bits)  # type: ignore[operator]
    every = brute(codes, codes, radius_bits)
    assert np.array_equal(near_pairs(codes, radius_bits), every[every[:, 0] < every[:, 1]])
    assert np.array_equal(
        near_between(codes[:90], codes[60:], radius_bits),
        brute(codes[:90], codes[60:], radius_bits),
    )


def test_planted_neighbours_are_found_among_many() -> None:
    codes = uniform(150_000, 1)
    random = np.random.default_rng(2)
    sources = random.permutation(len(codes))[:500]
    planted = codes[sources].copy()
    for row in range(len(planted)):
        for bit in random.permutation(64)[: row % 5]:
            planted[row] ^= np.uint64(1) << np.uint64(bit)
    found = {(i, j) for i, j in near_pairs(np.concatenate([codes, planted]), 4).tolist()}
    assert {(int(source), len(codes) + row) for row, source in enumerate(sources)} <= found


def test_few_codes_are_no_special_case() -> None:
    nothing, one = np.empty(0, np.uint64), np.array([7], np.uint64)
    assert near_pairs(nothing, 4).shape == (0, 2)
    assert near_pairs(one, 4).shape == (0, 2)
    assert near_between(nothing, one, 4).shape == (0, 2)
    assert near_between(one, nothing, 4).shape == (0, 2)
    assert near_between(one, one, 0).tolist() == [[0, 0]]
    assert near_pairs(np.array([7, 7, 7], np.uint64), 0).tolist() == [[0, 1], [0, 2], [1, 2]]


@pytest.mark.parametrize("radius_bits", [-1, 9])
def test_another_radius_is_refused(radius_bits: int) -> None:
    with pytest.raises(ValueError, match="choose 0 to 8"):
        near_pairs(np.zeros(2, np.uint64), radius_bits)
