"""Pictures as the towers take them: normalised floats."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wenlan_data.load.augment import Augment
from wenlan_data.model.config import AugmentConfig, TrainConfig


def normalised(image_BCHW: Tensor, config: TrainConfig) -> Tensor:
    """uint8 to floats of the mean and deviation that the backbone was made with."""
    mean = torch.tensor(config.image.mean, device=image_BCHW.device).view(1, 3, 1, 1)
    std = torch.tensor(config.image.std, device=image_BCHW.device).view(1, 3, 1, 1)
    image = (image_BCHW.float() / 255 - mean) / std
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    return image.contiguous(memory_format=layout)


def augmentation(config: AugmentConfig) -> Augment | None:
    """What the loader draws from seed, epoch and place; None where nothing varies."""
    brightness, contrast, saturation, hue = config.jitter
    found = Augment(
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        jitter_share=config.jitter_share,
        grey_share=config.grey_share,
        min_crop_area=config.min_crop_area,
        flip_share=config.flip_share,
    )
    varies = (config.jitter_share and any(config.jitter)) or config.grey_share or config.flip_share
    return found if varies or config.min_crop_area < 1 else None


def padded_as_published(
    tokens_BL: Tensor, mask_BL: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Padded to `text.max_tokens` where the encoder sees padding (`compat: released`), else as they are."""
    missing = config.text.max_tokens - tokens_BL.shape[1]
    if config.compat != "released" or missing <= 0:
        return tokens_BL, mask_BL
    return torch.nn.functional.pad(tokens_BL, (0, missing)), torch.nn.functional.pad(
        mask_BL, (0, missing)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the towers take, of one rank, on its device."""

    image: Tensor
    """float (B, 3, S, S), normalised."""
    boxes: Tensor
    """float (B, R, 4), x1 y1 x2 y2 in pixels of the S x S picture; R is 0 where a grid is looked at."""
    box_mask: Tensor
    """bool (B, R)."""
    tokens: Tensor
    """int64 (B, L)."""
    token_mask: Tensor
    """bool (B, L)."""
