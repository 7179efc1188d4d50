"""The selection against the rule written as two loops, with dense buckets and with too many
neighbours to be held."""

from collections.abc import Callable

import numpy as np
import pytest

from wenlan_data.dedupe import selection, similarity
from wenlan_data.dedupe.decisions import Decisions
from wenlan_data.dedupe.groups import Images, group_by_hash
from wenlan_data.dedupe.hamming import self_join
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.selection import Constraints, select
from wenlan_data.dedupe.similarity import Thresholds
from wenlan_data.index.published import Signatures
from wenlan_data.npy import Codes, Indices


def flipped(codes: Codes, flips: int, random: np.random.Generator) -> Codes:
    """Codes with up to so many bits flipped, in any column."""
    for _ in range(flips):
        bit = np.uint64(1) << random.integers(0, 64, codes.shape).astype(np.uint64)
        codes = codes ^ np.where(random.random(codes.shape) < 0.5, bit, np.uint64(0))
    return codes


def selected(
    phash: Codes,
    pdq: Codes,
    order: Indices,
    thresholds: Thresholds,
    constraints: Constraints = Constraints(),  # noqa: B008 - frozen
) -> Decisions:
    """The decisions about images of one colour in this keep order, each of one candidate."""
    every = np.arange(len(phash))
    keys = np.array([int(number).to_bytes(16, "big") for number in every + 1], "S16")
    colours = np.full(len(phash), 1, np.uint64)
    signatures = Signatures(phash=phash, pdq=pdq, colours=colours, sha256=keys, keys=keys)
    groups = group_by_hash(signatures, order, thresholds)
    images = Images(
        rows=every, image=every, primary=every, signatures=signatures, order=order, groups=groups
    )
    decisions = Decisions.open(len(phash))
    select(images, constraints, NearFiles(), decisions)
    assert not decisions.is_open.any()
    return decisions


def spread(count: int, random: np.random.Generator) -> tuple[Codes, Codes]:
    """Clusters of a dozen, some whose larger hashes disagree."""
    centre = random.integers(0, count // 12 + 1, count)
    phash = random.integers(0, 2**64, count, dtype=np.uint64)[centre]
    pdq = random.integers(0, 2**64, (count, 4), dtype=np.uint64)[centre]
    return flipped(phash, 4, random), flipped(pdq, 6, random)


def one_ball(count: int, random: np.random.Generator) -> tuple[Codes, Codes]:
    """All within a few bits of one pHash; a third the same image, the others different ones."""
    phash = flipped(np.full(count, 0x0F0F33335555AAAA, np.uint64), 4, random)
    pdq = random.integers(0, 2**64, (count, 4), dtype=np.uint64)
    pdq[: count // 3] = pdq[0]
    return phash, flipped(pdq, 5, random)


def one_code(count: int, random: np.random.Generator) -> tuple[Codes, Codes]:
    """One pHash, as flat images have it, and clusters of the larger hash."""
    pdq = random.integers(0, 2**64, (count, 4), dtype=np.uint64)[
        random.integers(0, count // 4, count)
    ]
    return np.zeros(count, np.uint64), flipped(pdq, 7, random)


def naive(phash: Codes, pdq: Codes, order: Indices, radius: int, limit: int) -> list[int]:
    winner = [-1] * len(phash)
    for row in order.tolist():
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
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("edges", [1 << 23, 3000])
@pytest.mark.parametrize("make", [spread, one_ball, one_code])
def test_decisions_are_those_of_two_loops(
    make: Make, edges: int, dense: bool, limit_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similarity, "MAX_EDGES", edges)
    monkeypatch.setattr(selection, "FIRST_PORTION", 20)
    if dense:
        monkeypatch.setattr(self_join, "DENSE_CODES", 64)
        monkeypatch.setattr(self_join, "DENSE_NEIGHBOURS", 2)
    random = np.random.default_rng(edges + limit_bits)
    phash, pdq = make(1500, random)
    order = random.permutation(len(phash))
    found = selected(phash, pdq, order, Thresholds(4, limit_bits))
    assert found.winner.tolist() == naive(phash, pdq, order, 4, limit_bits)


@pytest.mark.parametrize("make", [one_ball, one_code])
def test_a_real_dense_bucket_is_decided_like_any(make: Make) -> None:
    random = np.random.default_rng(3)
    phash, pdq = make(6000, random)
    found = selected(phash, pdq, np.arange(len(phash)), Thresholds(4, 31)).winner
    kept = np.flatnonzero(found == np.arange(len(found)))
    # Every row points to one that is kept, near it in both hashes.
    distance = np.bitwise_count(pdq ^ pdq[found]).sum(axis=1)
    assert np.all(np.isin(found, kept))
    assert distance.max() <= 31
    assert np.bitwise_count(phash ^ phash[found]).max() <= 4
