"""The image tower: a timm feature map, regions pooled from it, and attention pooling over them."""

import torch
from torch import Tensor, nn

from wenlan_data.model.attention import AttentionPooling, AttentionShape
from wenlan_data.model.region_pooling import Sampling, grid_weights, pool_boxes, pool_grid


class ImageTower(nn.Module):
    """Images and boxes to one vector an image, with the layers of the released code
    (BAAI-WuDao/BriVL at bb8d95b).

    `grid` above 0: the regions are grid x grid cells and the whole image, and boxes are ignored. 0:
    the regions are the boxes given, at most `boxes`. `width` is the number of channels of the
    feature map.
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
        boxes: int = 0,
        sampling: Sampling = "aligned",
        projection: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(width, width) if projection else nn.Identity()
        # The attribute is part of the tensor names in checkpoints.
        self.summary = AttentionPooling(width, embedding, shape)
        self.width, self.size_px, self.grid, self.samples = width, size_px, grid, samples
        self.sampling: Sampling = sampling
        self.regions = grid**2 + 1 if grid else boxes
        self._grid_weights: dict[tuple[int, int], Tensor] = {}

    def forward(
        self,
        image_BCHW: Tensor,
        boxes_BR4: Tensor | None = None,
        mask_BR: Tensor | None = None,
        regions_BRC: Tensor | None = None,
    ) -> Tensor:
        """(B, E), not normalised.

        Boxes are x1 y1 x2 y2 in pixels of the image; the mask is True for boxes. With the
        `region_features` of the images, neither images nor boxes are read.
        """
        if regions_BRC is not None:
            return self._summarise(regions_BRC.float(), mask_BR)
        regions_BRC = self.region_features(image_BCHW, boxes_BR4)
        return self._summarise(regions_BRC, None if self.grid else mask_BR)

    def region_features(self, image_BCHW: Tensor, boxes_BR4: Tensor | None) -> Tensor:
        """(B, R, C): what the backbone makes of the regions."""
        return self.pool(feature_map(self.backbone, image_BCHW, self.width), boxes_BR4)

    def _summarise(self, regions_BRC: Tensor, mask_BR: Tensor | None) -> Tensor:
        if mask_BR is None:
            shape = regions_BRC.shape[:2]
            mask_BR = torch.ones(shape, dtype=torch.bool, device=regions_BRC.device)
        # The released code applies its 1x1 convolution to 16 samples a region and takes the mean.
        # Both are linear, so one projection of the mean gives the same.
        vectors_BE: Tensor = self.summary(self.projection(regions_BRC), mask_BR)
        return vectors_BE

    def pool(self, map_BCHW: Tensor, boxes_BR4: Tensor | None) -> Tensor:
        """(B, R, C): the mean of the feature map over each region."""
        if self.grid:
            return pool_grid(map_BCHW, self._weights(map_BCHW))
        if boxes_BR4 is None:
            raise ValueError(
                "this tower needs boxes, and none were given: "
                "set regions.mode to grid, or give boxes"
            )
        return pool_boxes(map_BCHW, boxes_BR4, self.size_px, self.samples, self.sampling)

    def _weights(self, map_BCHW: Tensor) -> Tensor:
        # Computed once for each size of the map: they depend on nothing else.
        height, width = map_BCHW.shape[-2:]
        if (height, width) not in self._grid_weights:
            self._grid_weights[height, width] = grid_weights(
                self.grid, height, width, self.samples, self.sampling
            )
        weights = self._grid_weights[height, width].to(map_BCHW.device)
        self._grid_weights[height, width] = weights
        return weights


def feature_map(backbone: nn.Module, image_BCHW: Tensor, width: int) -> Tensor:
    """(B, width, H, W), the last feature map of any timm model.

    Of a transformer, the patch tokens without its prefix tokens, in rows and columns.
    """
    features: Tensor = backbone.forward_features(image_BCHW)  # type: ignore[operator]
    if features.ndim == 3:
        tokens = features[:, int(getattr(backbone, "num_prefix_tokens", 0)) :]
        side = round(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).reshape(len(tokens), width, side, -1)
    # Some models (Swin) have channels last.
    return features if features.shape[1] == width else features.permute(0, 3, 1, 2)
