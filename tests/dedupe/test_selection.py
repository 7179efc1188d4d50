"""Who stands for whom, against the rule said as two loops; crowds and overflow on purpose."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wenlan_data.dedupe import selection, similarity
from wenlan_data.dedupe.hamming import self_join
from wenlan_data.dedupe.selection import stands_for
from wenlan_data.dedupe.similarity import Nearness, Signs

Codes = NDArray[np.uint64]


def turned(codes: Codes, flips: int, random: np.random.Generator) -> Codes:
    """Codes with up to so many bits turned, in any column."""
    for _ in range(flips):
        bit = np.uint64(1) << random.integers(0, 64, codes.shape).astype(np.uint64)
        codes = codes ^ np.where(random.random(codes.shape) < 0.5, bit, np.uint64(0))
    return codes


def of_one_colour(phash: Codes, pdq: Codes) -> Signs:
    return Signs(phash=phash, pdq=pdq, colours=np.full(len(phash), 1, np.uint64))


def spread(count: int, random: np.random.Generator) -> tuple[Codes, Codes]:
    """Clusters of a dozen, some whose larger hashes disagree."""
    centre = random.integers(0, count // 12 + 1, count)
    phash = random.integers(0, 2**64, count, dtype=np.uint64)[centre]
    pdq = random.integers(0, 2**64, (count, 4), dtype=np.uint64)[centre]
    return turned(phash, 4, random), turned(pdq, 6, random)


def one_ball(count: int, random: np.random.Generator) -> tuple[Codes, Codes]:
    """All within a few bits of one pHash; a third the same picture, the others different ones."""
    phash = turned(np.full(count, 0x0F0F33335555AAAA, np.uint64), 4, random)
    pdq = random.integers(0, 2**64, (count, 4), dtype=np.uint64)
    pdq[: count // 3] = pdq[0]
    return phash, turned(pdq, 5, random)


def one_code(count: int, random: np.random.Generator) -> tuple[Codes, Codes]:
    """One pHash, as flat pictures have it, and clusters of the larger hash."""
    pdq = random.integers(0, 2**64, (count, 4), dtype=np.uint64)[
        random.integers(0, count // 4, count)
    ]
    return np.zeros(count, np.uint64), turned(pdq, 7, random)


def naive(phash: Codes, pdq: Codes, place: NDArray[np.int64], radius: int, limit: int) -> list[int]:
    winner = [-1] * len(phash)
    for row in np.argsort(place).tolist():
        if winner[row] < 0:
            winner[row] = row
            close = np.bitwise_count(phash ^ phash[row]) <= radius
            close &= np.bitwise_count(pdq ^ pdq[row]).sum(axis=1) <= limit
            for other in np.flatnonzero(close).tolist():
                if winner[other] < 0:
                    winner[other] = row
    return winner


Make = Callable[[int, np.random.Generator], tuple[Codes, Codes]]


@pytest.mark.parametrize("limit_bits", [31, 256])
@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("edges", [1 << 23, 3000])
@pytest.mark.parametrize("make", [spread, one_ball, one_code])
def test_verdicts_are_those_of_two_loops(
    make: Make, edges: int, crowded: bool, limit_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "MAX_EDGES", edges)
    monkeypatch.setattr(selection, "PORTION", 20)
    if crowded:
        monkeypatch.setattr(self_join, "CROWD_CODES", 64)
        monkeypatch.setattr(self_join, "CROWD_NEIGHBOURS", 2)
    random = np.random.default_rng(edges + limit_bits)
    phash, pdq = make(1500, random)
    order = np.argsort(phash, kind="stable")
    phash, pdq = phash[order], pdq[order]
    place = random.permutation(len(phash))
    found = stands_for(of_one_colour(phash, pdq), place, Nearness(4, limit_bits))
    assert found.tolist() == naive(phash, pdq, place, 4, limit_bits)


@pytest.mark.parametrize("make", [one_ball, one_code])
def test_a_real_crowd_is_decided_like_any(make: Make) -> None:
    random = np.random.default_rng(3)
    phash, pdq = make(6000, random)
    order = np.argsort(phash, kind="stable")
    found = stands_for(
        of_one_colour(phash[order], pdq[order]), np.arange(len(phash)), Nearness(4, 31)
    )
    kept = np.flatnonzero(found == np.arange(len(found)))
    # Every row points to one that stays, near it in both hashes.
    far = np.bitwise_count(pdq[order] ^ pdq[order][found]).sum(axis=1)
    assert np.all(np.isin(found, kept))
    assert far.max() <= 31
    assert np.bitwise_count(phash[order] ^ phash[order][found]).max() <= 4
