"""Blocks of a code, and how its bits move so that chosen blocks become a sort key.

A code is cut into blocks, and some sets of blocks are keys, so that whichever `radius` blocks
differ, one key has none of them (see `covering_designs`). One sort by each key, a band, brings
every pair within the radius into a run of equal keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming.covering_designs import (
    NO_DESIGN,
    CoveringDesign,
    covering_designs,
    keys_with_earlier,
)
from wenlan_data.npy import Bools, Codes

# Costs in ns of one core (benchmarks/dedupe/cost_model.py fits them): to move, sort and scan one
# code, to compare one pair, to start one band.
SORT_NS, COMPARE_NS, BAND_NS = 12.0, 2.0, 200_000.0
# Between two sets: to move and look up one code of the larger set, which is not sorted, and to
# gather and compare a pair.
PASS_NS, GATHER_NS = 15.0, 35.0
# Moved at a time: stays in the second-level cache, where a move takes a fifth of the time.
MOVE_CODES = 1 << 14
# Codes from which the skew of the bits is estimated.
SAMPLE_CODES = 4096


@dataclass(frozen=True, slots=True)
class Cut:
    """The blocks of a code and the keys made of them; without edges every pair is compared."""

    edges: tuple[int, ...] = ()
    """The bits where blocks begin, and the width at the end."""
    design: CoveringDesign = NO_DESIGN


@dataclass(frozen=True, slots=True)
class Band:
    """One key: how the bits of a code move so that the blocks of the key come on top."""

    moves: tuple[tuple[int, int], ...]
    """(mask of bits, how far up they go; negative: down)."""
    key_shift: int
    others: tuple[int, ...]
    """Masks, after the move: a pair that differs in each of them is found by no earlier band."""

    def move(self, codes: Codes, *, out: Codes | None = None) -> Codes:
        """Moves the blocks of the key to the top, into `out` where it is given."""
        return _moved(codes, self.moves, np.empty(len(codes), np.uint64) if out is None else out)

    def restore(self, codes: Codes) -> Codes:
        """Undoes `move`, for codes of any shape."""
        back = tuple((mask << up if up > 0 else mask >> -up, -up) for mask, up in self.moves)
        return _moved(codes.ravel(), back, np.empty(codes.size, np.uint64)).reshape(codes.shape)

    def is_first(self, difference: Codes) -> Bools:
        """Whether no earlier band finds the pairs with these moved differences, so that each pair
        comes once."""
        first = np.ones(len(difference), bool)
        for mask in self.others:
            first &= (difference & mask) != 0
        return first


def _moved(codes: Codes, moves: tuple[tuple[int, int], ...], moved: Codes) -> Codes:
    buffer = np.empty(min(len(codes), MOVE_CODES), np.uint64)
    for start in range(0, len(codes), MOVE_CODES):
        some, out = codes[start : start + MOVE_CODES], moved[start : start + MOVE_CODES]
        for number, (mask, up) in enumerate(moves):
            piece = np.bitwise_and(some, mask, out=buffer[: len(some)] if number else out)
            piece = (
                np.left_shift(piece, up, out=piece)
                if up > 0
                else np.right_shift(piece, -up, out=piece)
            )
            if number:
                out |= piece
    return moved


def bands(cut: Cut) -> Iterator[Band]:
    """Yields a band for each key; none without edges."""
    edges, blocks = cut.edges, cut.design.blocks
    if not edges:
        return
    for key, earlier in keys_with_earlier(cut.design):
        rest = [number for number in range(blocks) if number not in key]
        places, top = dict[int, int](), edges[-1]
        # Higher blocks above lower ones: adjacent blocks stay adjacent and move as one piece.
        for number in (*reversed(key), *reversed(rest)):
            top -= edges[number + 1] - edges[number]
            places[number] = top
        ones = [(1 << (high - low)) - 1 for low, high in pairwise(edges)]
        others = tuple(sum(ones[number] << places[number] for number in some) for some in earlier)
        yield Band(_moves(edges, ones, places), sum(edges[n + 1] - edges[n] for n in rest), others)


def _moves(
    edges: tuple[int, ...], ones: list[int], places: dict[int, int]
) -> tuple[tuple[int, int], ...]:
    moves = dict[int, int]()
    for number, place in places.items():
        up = place - edges[number]
        moves[up] = moves.get(up, 0) | ones[number] << edges[number]
    return tuple((mask, up) for up, mask in moves.items())


def choose_cut(
    left: Codes, right: Codes, pairs: float, width: int, radius: int, *, between: bool = False
) -> Cut:
    """Chooses the cut of least estimated cost; without edges, comparing all pairs costs least.

    Its blocks distinguish codes equally well: where bits are skewed, equally wide blocks would make
    long runs of equal keys. Bits count as independent, each as skewed as in a sample of the codes.
    """
    agree = _agreement(
        left[:: len(left) // SAMPLE_CODES + 1], right[:: len(right) // SAMPLE_CODES + 1], width
    )
    distinct = np.concatenate([[0.0], np.cumsum(-np.log2(agree))])
    right_ns, compare_ns = (len(right) * PASS_NS, GATHER_NS) if between else (0, COMPARE_NS)
    one_ns = len(left) * SORT_NS + right_ns + BAND_NS
    best, best_ns = Cut(), pairs * compare_ns
    for design in covering_designs(radius):
        inner = np.searchsorted(
            distinct, distinct[-1] * np.arange(1, design.blocks) / design.blocks
        )
        edges = (0, *inner.tolist(), width)
        # Where a few bits make most of the distinction, two borders fall on one bit, and the block
        # between them would be empty.
        if len(set(edges)) <= design.blocks:
            continue
        shares = 0.5 ** np.diff(distinct[list(edges)])
        cost_ns = design.bands * one_ns + pairs * design.compared_share(shares) * compare_ns
        if cost_ns < best_ns:
            best, best_ns = Cut(edges, design), cost_ns
    return best


def _agreement(left: Codes, right: Codes, width: int) -> NDArray[np.float64]:
    """float64 (width,): for each bit the probability that a left and a right code agree in it."""
    bits = np.arange(width, dtype=np.uint64)
    ones_left, ones_right = (((side[:, None] >> bits) & 1).mean(axis=0) for side in (left, right))
    agree: NDArray[np.float64] = ones_left * ones_right + (1 - ones_left) * (1 - ones_right)
    # Bits that never agree would make the logarithm infinite.
    return np.maximum(agree, 2.0**-20)
