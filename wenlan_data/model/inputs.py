"""The inputs of the towers: normalised images, boxes, padded tokens."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from wenlan_data.load.loaded_batch import LoaderBatch
from wenlan_data.model.config import TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The inputs of B samples, on one device."""

    image: Tensor
    """float (B, 3, S, S), normalised."""
    boxes: Tensor
    """float (B, R, 4), x1 y1 x2 y2 in pixels of the S x S image; R is 0 with `regions.mode:
    grid`."""
    box_mask: Tensor
    """bool (B, R), True for boxes."""
    tokens: Tensor
    """int64 (B, L)."""
    token_mask: Tensor
    """bool (B, L), True for tokens."""
    regions: Tensor | None = None
    """(B, R, C), region features in place of the images, whose mask is `box_mask`."""


def normalise_images(image_BCHW: Tensor, config: TrainConfig) -> Tensor:
    """Scales uint8 to 0 to 1, subtracts the mean and divides by the deviation of the config."""
    mean = torch.tensor(config.image.mean, device=image_BCHW.device).view(1, 3, 1, 1)
    std = torch.tensor(config.image.std, device=image_BCHW.device).view(1, 3, 1, 1)
    image = (image_BCHW.float() / 255 - mean) / std
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    return image.contiguous(memory_format=layout)


def batch_images(
    loaded: LoaderBatch, config: TrainConfig, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Normalised images of a batch of the loader and None, or no pixels and region features."""
    if "regions" in loaded:
        return torch.zeros(len(loaded["key"]), 3, 0, 0, device=device), loaded["regions"].to(device)
    return normalise_images(loaded["image"].to(device), config), None


def batch_boxes(loaded: LoaderBatch) -> tuple[Tensor, Tensor]:
    """Boxes and mask of a batch of the loader; those of `no_boxes` where it delivers none.

    With region features there are no boxes, and the mask is theirs.
    """
    if "region_mask" in loaded:
        return no_boxes(len(loaded["key"]))[0], loaded["region_mask"]
    if "boxes" not in loaded:
        return no_boxes(len(loaded["key"]))
    return loaded["boxes"], loaded["box_mask"]


def no_boxes(count: int) -> tuple[Tensor, Tensor]:
    """Boxes (B, 0, 4) and mask (B, 0) of B images without boxes."""
    return torch.zeros(count, 0, 4), torch.zeros(count, 0, dtype=torch.bool)


def pad_as_released(
    tokens_BL: Tensor, mask_BL: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """With `compat: released`, pads tokens and mask to `text.max_tokens`.

    The released encoder attends to padding, so its vectors depend on how much there is.
    """
    missing = config.text.max_tokens - tokens_BL.shape[1]
    if config.compat != "released" or missing <= 0:
        return tokens_BL, mask_BL
    return functional.pad(tokens_BL, (0, missing)), functional.pad(mask_BL, (0, missing))
