"""The sets of keys do what the search relies on."""

from itertools import combinations

import numpy as np
import pytest

from wenlan_data.dedupe.hamming.covering_designs import (
    KEYS,
    CoveringDesign,
    covering_designs,
    keys_with_earlier,
)

ALL = [
    design for radius in range(1, 9) for design in covering_designs(radius) if design.bands < 1000
]


def name(design: CoveringDesign) -> str:
    return f"radius {design.radius}, {design.bands} keys of {design.blocks} blocks"


@pytest.mark.parametrize("design", ALL, ids=name)
def test_whichever_blocks_differ_one_key_has_none_of_them_and_just_one_is_the_first(
    design: CoveringDesign,
) -> None:
    keys = list(keys_with_earlier(design))
    masks = np.array([sum(1 << number for number in key) for key, _ in keys])
    earlier = [[sum(1 << number for number in some) for some in sets] for _, sets in keys]
    for count in range(design.radius + 1):
        for differ in combinations(range(design.blocks), count):
            mask = sum(1 << number for number in differ)
            together = np.flatnonzero((masks & mask) == 0)
            first = [n for n in together.tolist() if all(some & mask for some in earlier[n])]
            assert first == [together[0]]


def test_fewer_keys_do_than_every_choice() -> None:
    for radius, lines in KEYS.items():
        assert all(
            design.bands < CoveringDesign(design.blocks, radius).bands
            for design in covering_designs(radius)[-len(lines) :]
        )


def test_the_share_compared_is_that_of_all_keys_together() -> None:
    shares = np.array([0.5, 0.25, 0.125, 0.5])
    assert CoveringDesign(4, 2).compared_share(shares) == pytest.approx(
        sum(shares[i] * shares[j] for i, j in combinations(range(4), 2))
    )
    assert CoveringDesign(4, 2, (0b0011, 0b1100)).compared_share(shares) == pytest.approx(
        0.5 * 0.25 + 0.125 * 0.5
    )
