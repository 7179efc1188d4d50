"""The image tower: a timm feature map, regions of it, and their summary."""

import torch
from torch import Tensor, nn

from wenlan_data.model.attention import AttentionShape, Summary
from wenlan_data.model.region_pooling import Sampling, grid_weights, pool_boxes, pool_grid


class ImageTower(nn.Module):
    """Pictures and boxes to one vector a picture (brivl.md 1).

    `grid` above 0: grid x grid cells and the whole picture, boxes are not looked at. 0: the boxes that are given.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        embedding: int,
        shape: AttentionShape,
        *,
        size_px: int,
        grid: int,
        samples: int = 4,
        sampling: Sampling = "aligned",
        projection: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(width, width) if projection else nn.Identity()
        self.summary = Summary(width, embedding, shape)
        self.width, self.size_px, self.grid, self.samples = width, size_px, grid, samples
        self.sampling: Sampling = sampling
        self._weights: dict[tuple[int, int], Tensor] = {}

    def forward(
        self, image_BCHW: Tensor, boxes_BR4: Tensor | None = None, mask_BR: Tensor | None = None
    ) -> Tensor:
        """(B, E), not normalised. Boxes in pixels of the picture given, the mask True where there is a box."""
        map_BCHW = feature_map(self.backbone, image_BCHW, self.width)
        regions_BRC = self.pool(map_BCHW, boxes_BR4)
        if self.grid or mask_BR is None:
            mask_BR = torch.ones(regions_BRC.shape[:2], dtype=torch.bool, device=map_BCHW.device)
        # The published 1x1 convolution runs over 16 samples a region before their mean. Both are linear: once does.
        out_BE: Tensor = self.summary(self.projection(regions_BRC), mask_BR)
        return out_BE

    def pool(self, map_BCHW: Tensor, boxes_BR4: Tensor | None) -> Tensor:
        """(B, R, C)."""
        if self.grid:
            return pool_grid(map_BCHW, self._grid(map_BCHW))
        if boxes_BR4 is None:
            raise ValueError(
                "this tower looks at boxes, and none were given: set regions.mode to grid, or give boxes"
            )
        return pool_boxes(map_BCHW, boxes_BR4, self.size_px, self.samples, self.sampling)

    def _grid(self, map_BCHW: Tensor) -> Tensor:
        height, width = map_BCHW.shape[-2:]
        if (height, width) not in self._weights:
            self._weights[height, width] = grid_weights(
                self.grid, height, width, self.samples, self.sampling
            )
        weights = self._weights[height, width] = self._weights[height, width].to(map_BCHW.device)
        return weights


def feature_map(backbone: nn.Module, image_BCHW: Tensor, width: int) -> Tensor:
    """(B, width, H, W) of any timm model: maps as they are, patch tokens put back into rows and columns."""
    found: Tensor = backbone.forward_features(image_BCHW)  # type: ignore[operator]
    if found.ndim == 3:
        tokens = found[:, int(getattr(backbone, "num_prefix_tokens", 0)) :]
        side = round(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).reshape(len(tokens), width, side, -1)
    return found if found.shape[1] == width else found.permute(0, 3, 1, 2)
