"""Where codes are cut into blocks, and how their bits move so that chosen blocks become a sort key.

A code is cut into `blocks` blocks. Two codes that differ in at most `radius` bits agree in at least `blocks - radius`
of them; so one sort for each choice of that many blocks (a band) brings every such pair into one run of equal keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Edges = tuple[int, ...]
"""The bits where blocks begin, and the width at the end; empty: no blocks, every pair is compared."""

# Costs in nanoseconds (one core of 2024): to move, sort and scan one code, to compare one pair, to start one band.
SORT_NS, COMPARE_NS, BAND_NS = 45.0, 10.0, 200_000.0
# Between two sets: to move and look up one of the larger set, which is not sorted, and to gather and compare one pair.
PASS_NS, GATHER_NS = 15.0, 35.0
# Moved at a time: stays in the second-level cache, where a move takes a fifth of the time.
MOVE_CODES = 1 << 15
SAMPLE_CODES = 4096


@dataclass(frozen=True, slots=True)
class Band:
    """One choice of blocks: how bits move so that the chosen blocks come on top, as the key."""

    moves: tuple[tuple[int, int, int], ...]
    """(bit where a piece begins, its mask, bit where it goes)."""
    key_shift: int
    others: tuple[tuple[int, int], ...]
    """(bit, mask), after the move, of blocks that stand before the last chosen one and are not chosen themselves."""

    def move(self, codes: Codes) -> Codes:
        """The codes with the chosen blocks on top."""
        moved = np.empty(len(codes), np.uint64)
        for start in range(0, len(codes), MOVE_CODES):
            _moved(codes[start : start + MOVE_CODES], self.moves, moved[start : start + MOVE_CODES])
        return moved

    def restore(self, codes: Codes) -> Codes:
        """Undo `move`; any shape."""
        restored = np.empty_like(codes)
        _moved(codes, tuple((target, mask, source) for source, mask, target in self.moves), restored)
        return restored

    def is_first(self, difference: Codes) -> NDArray[np.bool_]:
        """Whether no earlier band finds the pairs with these moved differences as well: so each pair comes once."""
        first = np.ones(len(difference), bool)
        for shift, mask in self.others:
            first &= ((difference >> shift) & mask) != 0
        return first


def _moved(codes: Codes, moves: tuple[tuple[int, int, int], ...], out: Codes) -> None:
    out[...] = 0
    for source, mask, target in moves:
        piece = codes >> source
        piece &= mask
        piece <<= target
        out |= piece


def bands(edges: Edges, radius: int) -> Iterator[Band]:
    """Every choice of all blocks but `radius`."""
    blocks = len(edges) - 1
    for chosen in combinations(range(blocks), blocks - radius):
        rest = [number for number in range(blocks) if number not in chosen]
        places, top = dict[int, int](), edges[-1]
        # Higher blocks above lower ones: neighbours stay neighbours and move as one piece.
        for number in (*reversed(chosen), *reversed(rest)):
            top -= edges[number + 1] - edges[number]
            places[number] = top
        others = tuple((places[n], (1 << (edges[n + 1] - edges[n])) - 1) for n in rest if n < chosen[-1])
        shift = sum(edges[number + 1] - edges[number] for number in rest)
        yield Band(tuple(_pieces(edges, places)), shift, others)


def _pieces(edges: Edges, places: dict[int, int]) -> Iterator[tuple[int, int, int]]:
    start = 0
    for number in range(1, len(edges)):
        distance = places[start] - edges[start]
        if number == len(edges) - 1 or places[number] - edges[number] != distance:
            yield edges[start], (1 << (edges[number] - edges[start])) - 1, places[start]
            start = number


def choose_edges(left: Codes, right: Codes, pairs: float, width: int, radius: int, *, between: bool = False) -> Edges:
    """Where to cut so that it costs least, the blocks telling codes apart equally well; empty: compare all pairs.

    Takes bits as independent, each as skewed as in a sample of the codes.
    """
    agree = _agreement(left[:: len(left) // SAMPLE_CODES + 1], right[:: len(right) // SAMPLE_CODES + 1], width)
    distinct = np.concatenate([[0.0], np.cumsum(-np.log2(agree))])
    right_ns, compare_ns = (PASS_NS, GATHER_NS) if between else (SORT_NS, COMPARE_NS)
    best, best_ns = Edges(), pairs * compare_ns
    for blocks in range(radius + 1, min(width, radius + 8) + 1):
        inner = np.searchsorted(distinct, distinct[-1] * np.arange(1, blocks) / blocks)
        edges = (0, *inner.tolist(), width)
        if len(set(edges)) <= blocks:
            break
        shares = 0.5 ** np.diff(distinct[list(edges)])
        # The expected runs of all bands: the elementary symmetric polynomial of the blocks' shares.
        compared = pairs * abs(float(np.poly(-shares)[blocks - radius]))
        one_ns = len(left) * SORT_NS + len(right) * right_ns + BAND_NS
        cost_ns = comb(blocks, radius) * one_ns + compared * compare_ns
        if cost_ns < best_ns:
            best, best_ns = edges, cost_ns
    return best


def _agreement(left: Codes, right: Codes, width: int) -> NDArray[np.float64]:
    """For each bit, how probable it is that a left and a right code agree in it."""
    bits = np.arange(width, dtype=np.uint64)
    ones_left, ones_right = (((side[:, None] >> bits) & 1).mean(axis=0) for side in (left, right))
    agree: NDArray[np.float64] = ones_left * ones_right + (1 - ones_left) * (1 - ones_right)
    return np.maximum(agree, 2.0**-20)
