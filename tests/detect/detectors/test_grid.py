import numpy as np
import pytest

from tests.conformance import check_detector
from wenlan_data.detect.detectors.grid import Grid, tiles
from wenlan_data.errors import RecipeError
from wenlan_data.recipe import DetectRules, parse_recipe


@pytest.mark.parametrize("size", [(6, 6), (100, 100), (101, 97), (1024, 683), (13, 640)])
@pytest.mark.parametrize("cells", [1, 3, 6])
def test_cells_tile_the_image_exactly(size: tuple[int, int], cells: int) -> None:
    width, height = size
    covered = np.zeros((height, width), int)
    for region in tiles(width, height, cells):
        x1, y1, x2, y2 = region.box_xyxy
        covered[y1:y2, x1:x2] += 1
    assert (covered == 1).all()


def test_cells_come_row_by_row() -> None:
    boxes = [region.box_xyxy for region in tiles(60, 30, 3)]
    assert boxes[:4] == [(0, 0, 20, 10), (20, 0, 40, 10), (40, 0, 60, 10), (0, 10, 20, 20)]


def test_an_image_smaller_than_the_grid_has_no_empty_cells() -> None:
    assert len(tiles(2, 6, 6)) == 12


def test_the_loaded_detector_takes_a_batch() -> None:
    found = Grid().load()([np.zeros((60, 120, 3), np.uint8), np.zeros((7, 7, 3), np.uint8)])
    assert [len(regions) for regions in found] == [36, 36]
    assert {region.label for region in found[0]} == {"cell"}
    assert Grid().batch_size >= 2


def test_the_recipe_names_it_with_its_parameter() -> None:
    assert DetectRules.model_validate({"detector": "grid", "cells": 4}).load() == Grid(cells=4)
    assert DetectRules().resolved() == {
        "detector": "grid",
        "max_regions": 36,
        "device": "cpu",
        "cells": 6,
    }


@pytest.mark.parametrize("cells", [0, 65, "many"])
def test_an_impossible_grid_is_refused_by_the_recipe(cells: object) -> None:
    with pytest.raises(RecipeError, match="cells"):
        parse_recipe({"name": "mine", "detect": {"detector": "grid", "cells": cells}}, "mine.yaml")


def test_it_fulfils_the_contract_of_detectors() -> None:
    check_detector(Grid(cells=3))
