"""Covering designs: few sets of blocks as keys, so that whichever `radius` blocks differ, one key
has none of them.

Every choice of all blocks but `radius` does that. A covering design does it with fewer keys: the
blocks outside a key cover the ones that differ. With 4 of 10 blocks, 20 keys are enough in place of
210; the same 25.6 bits by every choice take 35 sorts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

# "blocks: keys", keys as hexadecimal masks of blocks. Found by simulated annealing over sets of
# keys, the blocks then renumbered so that most stay beside their neighbours;
# `test_covering_designs.py` checks every one.
KEYS = {
    2: (
        "6: 3 c 30",
        "8: 7 38 d0 e0",
        "9: f 33 3c 1d0 1e0",
        "10: 73 ce 199 23c 307 3e0",
        "7: 1b 27 3c 4d 56 6a 71",
        "10: 3f cf f3 1bc 27c 317 32b 3d8 3e4",
    ),
    3: (
        "7: 3 c 30 50 60",
        "6: 3 5 6 18 28 30",
        "8: d e 34 38 43 83 d0 e0",
        "10: f 33 5c c3 18c 1e0 238 264 303 390",
        "11: ab 135 1d2 21e 2e4 349 447 478 58c 691 722 7c0",
        "8: 17 2d 3a 4e 59 63 74 8b 9c a6 b1 c5 d2 e8",
    ),
    4: (
        "8: 3 5 6 18 60 a0 c0",
        "7: 3 5 6 18 28 30 48 50 60",
        "10: 7 b 1c 2c 70 b0 1c0 2c0 301 302",
        "9: d 26 31 43 58 92 a8 c4 10a 114 160 181",
        "11: 1e 39 53 6a 74 c5 183 1c8 286 305 330 40d 4b0 506 603 6c0 708",
        "10: 27 39 4d 6a 9a c3 f0 10e 113 134 189 1c4 21c 251 264 286 2a1 328 342 390",
        "12: 75 ea 193 20f 358 3a4 49c 529 546 632 6c1 80f 833 83c 8c6 8c9 915 b60 b88 c58 da0 e03 e0c e90",
        "11: 37 6b ad ce d5 11b 178 1b4 1e2 21d 256 2b8 2c3 30e 361 383 3c8 45c 471 49a 4e4 52c 546 583 589 "
        "607 62a 649 6b0 730 750 784",
        "12: 7e 9f e7 f9 31e 366 378 387 399 3e1 533 54d 5ac 5ca 5d4 62b 635 653 6b2 6cc 92d 94b 955 9aa 9b4 "
        "9d2 a33 a4d aac aca ad4 c1e c66 c78 c87 c99 ce1 f06 f18 f60 f81",
    ),
    5: (
        "9: 3 5 6 18 28 30 c0 140 180",
        "8: 3 5 6 9 a c 30 50 60 90 a0 c0",
        "10: 7 b d e 31 32 54 a8 c1 c2 103 118 160 184 203 224 248 290 301 302",
        "9: d e 15 16 19 1a 1c 23 25 26 43 68 70 83 a8 b0 c4 c8 d0 e0 103 118 128 130 141 142 144 181 182 184",
        "11: f 36 5a 71 93 b8 cc e2 123 12c 145 189 194 215 229 264 286 2c1 318 342 3a0 41c 42a 446 449 4a1 "
        "4d0 511 560 582 603 630 688 704",
        "10: 1b 2b 33 39 3a 47 5c 65 66 8d 96 a5 ac ca d1 e1 f0 107 10d 10e 134 143 151 152 168 189 191 198 "
        "1a2 1c4 20e 215 226 22c 249 252 262 270 283 298 2a8 2b0 2c4 30a 312 318 321 344 384 3c0",
    ),
}


@dataclass(frozen=True, slots=True)
class CoveringDesign:
    """Keys for codes of `blocks` blocks, up to `radius` of which differ."""

    blocks: int
    radius: int
    keys: tuple[int, ...] = ()
    """Masks of blocks; empty: every choice of all blocks but `radius`."""

    @property
    def bands(self) -> int:
        """Number of keys."""
        return len(self.keys) or comb(self.blocks, self.radius)

    def compared_share(self, shares: NDArray[np.float64]) -> float:
        """The share of all pairs of codes that is compared, where `shares` (blocks,) of all pairs
        agree in each block.

        A pair that several keys bring together counts once for each.
        """
        if not self.keys:
            # The elementary symmetric polynomial of the shares.
            return abs(float(np.poly(-shares)[self.blocks - self.radius]))
        chosen = (np.array(self.keys)[:, None] >> np.arange(self.blocks)) & 1
        return float(np.where(chosen, shares, 1.0).prod(axis=1).sum())


NO_DESIGN = CoveringDesign(0, 0)


@cache
def covering_designs(radius: int) -> tuple[CoveringDesign, ...]:
    """The designs for a radius: every choice of all blocks but `radius`, and those of `KEYS`."""
    every = [CoveringDesign(blocks, radius) for blocks in range(radius + 1, radius + 9)]
    return (*every, *(_read(line, radius) for line in KEYS.get(radius, ())))


def _read(line: str, radius: int) -> CoveringDesign:
    blocks, _, keys = line.partition(": ")
    return CoveringDesign(int(blocks), radius, tuple(int(key, 16) for key in keys.split()))


def keys_with_earlier(
    design: CoveringDesign,
) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Yields each key as block numbers, with sets of other blocks.

    An earlier key brought a pair of this key together exactly if the pair agrees in all blocks of
    one of these sets.
    """
    numbers = range(design.blocks)
    if not design.keys:
        for chosen in combinations(numbers, design.blocks - design.radius):
            # Keys come in lexicographic order. A pair that also agrees in a block before the key's
            # last one agrees in an earlier key: the one with that block in place of the last.
            yield chosen, [(n,) for n in numbers if n < chosen[-1] and n not in chosen]
    for place, key in enumerate(design.keys):
        smallest = list[int]()
        for more in sorted({earlier & ~key for earlier in design.keys[:place]}, key=int.bit_count):
            # A pair that agrees in a set agrees in its subsets: only the smallest sets need a
            # check.
            if not any(less & more == less for less in smallest):
                smallest.append(more)
        yield _blocks_of(key), [_blocks_of(some) for some in smallest]


def _blocks_of(mask: int) -> tuple[int, ...]:
    return tuple(number for number in range(mask.bit_length()) if mask >> number & 1)
