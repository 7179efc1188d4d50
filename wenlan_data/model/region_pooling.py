"""Region pooling: boxes on a feature map to one vector a box.

The mean of 4x4 bilinear samples is linear in the feature map, and separable: a weight for each row
times a weight for each column. So all boxes of a batch are pooled by one matrix product, where
`roi_align` stores 16 vectors a box, and the released code loops over images. The weights of a grid
are constant.

Shapes: B images, R boxes, C channels, H x W cells.
"""

from typing import Literal

import torch
from torch import Tensor

Sampling = Literal["aligned", "released"]
"""Where a box is sampled: as by `roi_align(aligned=True)`, or as by the released code
(`sample_points`)."""


def pool_boxes(
    map_BCHW: Tensor, boxes_BR4: Tensor, size_px: int, samples: int, sampling: Sampling
) -> Tensor:
    """(B, R, C): for each box the mean of samples x samples bilinear samples.

    Boxes are x1 y1 x2 y2 in pixels of an image of size_px x size_px. `aligned` equals the mean of
    `torchvision.ops.roi_align(aligned=True, sampling_ratio=1)`. `released` equals the released
    code, which samples about half a cell off, and zeros outside the feature map.
    """
    height, width = map_BCHW.shape[-2:]
    rows_BRH = axis_weights(
        boxes_BR4[..., 1], boxes_BR4[..., 3], size_px, height, samples, sampling
    )
    columns_BRW = axis_weights(
        boxes_BR4[..., 0], boxes_BR4[..., 2], size_px, width, samples, sampling
    )
    weights = torch.einsum("brh,brw->brhw", rows_BRH, columns_BRW).flatten(2).to(map_BCHW.dtype)
    return weights @ map_BCHW.flatten(2).transpose(1, 2)


def pool_grid(map_BCHW: Tensor, weights_RN: Tensor) -> Tensor:
    """(B, R, C) by the constant weights of `grid_weights`."""
    return weights_RN.to(map_BCHW.dtype) @ map_BCHW.flatten(2).transpose(1, 2)


def grid_weights(cells: int, height: int, width: int, samples: int, sampling: Sampling) -> Tensor:
    """(R, H x W): the weights of cells x cells boxes, row by row, then of the whole image."""
    boxes_R4 = grid_boxes(cells)
    rows_RH = axis_weights(boxes_R4[:, 1], boxes_R4[:, 3], 1, height, samples, sampling)
    columns_RW = axis_weights(boxes_R4[:, 0], boxes_R4[:, 2], 1, width, samples, sampling)
    return torch.einsum("rh,rw->rhw", rows_RH, columns_RW).flatten(1)


def grid_boxes(cells: int) -> Tensor:
    """(cells x cells + 1, 4): the boxes of a grid over an image of side 1, then the whole image."""
    edges = torch.arange(cells + 1) / cells
    boxes = [
        [edges[column], edges[row], edges[column + 1], edges[row + 1]]
        for row in range(cells)
        for column in range(cells)
    ]
    return torch.tensor([*boxes, [0, 0, 1, 1]], dtype=torch.float32)


def axis_weights(
    low: Tensor, high: Tensor, size_px: int, length: int, samples: int, sampling: Sampling
) -> Tensor:
    """(..., length): the weight of each cell along an axis for boxes from `low` to `high`
    pixels."""
    points = sample_points(low.float(), high.float(), size_px, length, samples, sampling)
    if sampling == "aligned":
        # Outside the map roi_align repeats the edge. The released code reads zeros there.
        points = points.clamp(0, length - 1)
    # Bilinear interpolation in one dimension: a cell counts 1 minus its distance to the point.
    cells = torch.arange(length, device=low.device)
    return (1 - (points[..., None] - cells).abs()).clamp_min(0).mean(-2)


def sample_points(
    low: Tensor, high: Tensor, size_px: int, length: int, samples: int, sampling: Sampling
) -> Tensor:
    """(..., samples): the sampling points of a box in cells; the centre of cell i is at i.

    The released code builds its affine transform for corner-aligned sampling, in which -1 and 1 are
    the centres of the outer cells, but samples without `align_corners`, where they are the outer
    edges. On a map of 12 cells the whole image is sampled at 1.14, 4.41, 7.68 and 10.95.
    """
    low, high = low * length / size_px, high * length / size_px
    centres = (torch.arange(samples, device=low.device) + 0.5) / samples
    if sampling == "aligned":
        return low[..., None] + (high - low)[..., None] * centres - 0.5
    steps = max(1, length - 1)
    scale, shift = (high - low) / steps, (low + high - length + 1) / steps
    points = scale[..., None] * (2 * centres - 1) + shift[..., None]
    return ((points + 1) * length - 1) / 2
