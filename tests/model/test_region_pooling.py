"""Pooling against torchvision's roi_align, against grid_sample as the released code calls it, and
by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample
from torchvision.ops import roi_align

from wenlan_data.model.region_pooling import grid_boxes, grid_weights, pool_boxes, pool_grid

SIZE = 96


def _boxes(images: int, regions: int, seed: int) -> Tensor:
    corners = (
        torch.rand(images, regions, 2, 2, generator=torch.Generator().manual_seed(seed)) * SIZE
    )
    low, high = corners.amin(2), corners.amax(2) + 1
    return torch.cat([low, high.clamp(max=SIZE)], dim=-1)


def _map(images: int, height: int, width: int) -> Tensor:
    return torch.randn(images, 7, height, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("side", [(3, 3), (12, 12), (15, 15), (6, 10)])
def test_aligned_pooling_is_the_mean_of_roi_align(side: tuple[int, int]) -> None:
    maps, boxes = (
        _map(2, *side),
        torch.cat([_boxes(2, 9, 0), torch.tensor([0.0, 0, SIZE, SIZE]).expand(2, 1, 4)], 1),
    )
    # roi_align knows one scale for both axes: boxes are given in cells.
    cells = boxes * torch.tensor([side[1], side[0], side[1], side[0]]) / SIZE
    theirs = roi_align(maps, list(cells), (4, 4), spatial_scale=1.0, sampling_ratio=1, aligned=True)
    found = pool_boxes(maps, boxes, SIZE, 4, "aligned")
    assert torch.allclose(found, theirs.mean((2, 3)).view(2, 10, 7), atol=1e-5)


def _released(map_BCHW: Tensor, boxes_BR4: Tensor, size_px: int) -> Tensor:
    """The formula of the released code: theta by corner-aligned cells, sampling by torch's default,
    a loop over images."""
    height, width = map_BCHW.shape[-2:]
    pooled = []
    for one, boxes in zip(map_BCHW, boxes_BR4 / (size_px / height), strict=True):
        x1, y1, x2, y2 = boxes.unbind(1)
        zero = torch.zeros_like(x1)
        theta = torch.stack(
            [
                (x2 - x1) / (width - 1), zero, (x1 + x2 - width + 1) / (width - 1),
                zero, (y2 - y1) / (height - 1), (y1 + y2 - height + 1) / (height - 1),
            ],
            dim=1,
        ).view(-1, 2, 3)  # fmt: skip
        places = affine_grid(theta, [len(boxes), one.shape[0], 4, 4], align_corners=False)
        pooled.append(
            grid_sample(one.expand(len(boxes), -1, -1, -1), places, align_corners=False).mean(
                (2, 3)
            )
        )
    return torch.stack(pooled)


@pytest.mark.parametrize("side", [3, 12, 15])
def test_released_pooling_is_the_released_formula(side: int) -> None:
    maps, boxes = _map(2, side, side), _boxes(2, 9, 1)
    whole = torch.tensor([0.0, 0, SIZE, SIZE]).expand(2, 1, 4)
    boxes = torch.cat([boxes, whole, torch.zeros(2, 1, 4)], 1)
    found = pool_boxes(maps, boxes, SIZE, 4, "released")
    assert torch.allclose(found, _released(maps, boxes, SIZE), atol=1e-5)


def test_released_pooling_samples_the_whole_image_of_twelve_cells_where_brivl_does() -> None:
    from wenlan_data.model.region_pooling import sample_points

    points = sample_points(torch.tensor(0.0), torch.tensor(380.0), 380, 12, 4, "released")
    assert points.tolist() == pytest.approx([1.14, 4.41, 7.68, 10.95], abs=0.01)


@pytest.mark.parametrize("sampling", ["aligned", "released"])
def test_the_constant_weights_of_a_grid_give_what_its_boxes_give(sampling: str) -> None:
    maps = _map(2, 12, 12)
    boxes = (grid_boxes(6) * SIZE).expand(2, 37, 4)
    weights = grid_weights(6, 12, 12, 4, sampling)
    slow = pool_boxes(maps, boxes, SIZE, 4, sampling)
    assert torch.allclose(pool_grid(maps, weights), slow, atol=1e-5)


def test_a_constant_map_pools_to_its_value() -> None:
    pooled = pool_boxes(torch.full((1, 2, 5, 5), 3.0), _boxes(1, 4, 2), SIZE, 4, "aligned")
    assert torch.allclose(pooled, torch.full((1, 4, 2), 3.0), atol=1e-5)
