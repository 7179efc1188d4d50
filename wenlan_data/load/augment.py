"""Augmentation of batches on the device, with the boxes transformed alike.

Every sample has its own parameters, drawn by its index in the epoch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wenlan_data.load.shuffle import DrawStream, uniform_draws
from wenlan_data.npy import Indices

_DRAWS = 11
# The weights of torchvision's `rgb_to_grayscale`.
_GREY = (0.2989, 0.587, 0.114)
MIN_BOX_SHARE = 0.1
"""A region of which a crop leaves a smaller share of the area is masked out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augment:
    """How images vary.

    The defaults are BriVL's: ColorJitter(0.4, 0.4, 0.4, 0.1) for 0.8 of the samples, greyscale for
    0.2, neither crop nor flip.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    """Maximum shift in either direction, as a share of the full circle."""
    jitter_share: float = 0.8
    """Share of the samples whose colours vary."""
    grey_share: float = 0.2
    min_crop_area: float = 1.0
    """Smallest share of the area that a crop keeps; 1 disables cropping."""
    max_crop_aspect: float = 4 / 3
    """Largest ratio of the sides of a crop, relative to the image."""
    flip_share: float = 0.0


@dataclass(frozen=True, slots=True)
class AugmentParams:
    """Parameters of each sample of a batch, float32 (B,) unless stated otherwise."""

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor
    flip: Tensor
    crop: Tensor
    """(B, 4): x1, y1, x2, y2 as shares of the image's sides."""


def draw_params(
    augment: Augment, indices: Indices, *, seed: int, epoch: int, device: torch.device
) -> AugmentParams:
    """Draws the parameters of the samples at `indices` of the epoch: a pure function."""
    draw = uniform_draws(indices, _DRAWS, seed=seed, epoch=epoch, stream=DrawStream.AUGMENT)
    varied = draw[:, 0] < augment.jitter_share
    spread = (augment.brightness, augment.contrast, augment.saturation, augment.hue)
    around = [
        np.where(varied, (2 * draw[:, 1 + at] - 1) * width, 0.0) for at, width in enumerate(spread)
    ]
    columns = [
        *(np.maximum(0, 1 + one) for one in around[:3]),
        around[3],
        draw[:, 5] < augment.grey_share,
        draw[:, 6] < augment.flip_share,
        *_crops(augment, draw[:, 7:]),
    ]
    # One array, hence one copy to the device.
    table = torch.from_numpy(np.stack(columns).astype(np.float32)).to(device, non_blocking=True)
    return AugmentParams(table[0], table[1], table[2], table[3], table[4], table[5], table[6:].T)


def apply_augment(image_BCHW: Tensor, params: AugmentParams, *, resample: bool = True) -> Tensor:
    """Returns uint8 (B, 3, S, S) of the same shape.

    Applies brightness, contrast, saturation and hue in this order, then greyscale, crop and flip.
    `resample` False skips crop and flip.
    """
    image = image_BCHW.float() / 255
    image = (image * _column(params.brightness)).clamp(0, 1)
    mean = _grey(image).mean(dim=(1, 2, 3))
    image = _blend(image, _column(mean), params.contrast)
    image = _blend(image, _grey(image), params.saturation)
    image = _hue_shifted(image, params.hue)
    image = torch.where(_column(params.grey) > 0, _grey(image), image)
    # Crop and flip are one resampling, which is skipped where neither is wanted.
    image = _cropped(image, params) if resample else image
    return (image * 255).round().to(torch.uint8)


def transform_boxes(
    boxes_BR4: Tensor, mask_BR: Tensor, params: AugmentParams, size_px: int
) -> tuple[Tensor, Tensor]:
    """Returns boxes (B, R, 4) and mask (B, R) after crop and flip.

    Boxes are clipped to the image; those of which too little is left are masked out.
    """
    low, high = params.crop[:, None, :2] * size_px, params.crop[:, None, 2:] * size_px
    scale = size_px / (high - low)
    corners = torch.cat(
        [(boxes_BR4[..., :2] - low) * scale, (boxes_BR4[..., 2:] - low) * scale], dim=-1
    )
    x1, y1, x2, y2 = corners.unbind(-1)
    flip = params.flip[:, None] > 0
    x1, x2 = torch.where(flip, size_px - x2, x1), torch.where(flip, size_px - x1, x2)
    unclipped = torch.stack([x1, y1, x2, y2], dim=-1)
    clipped = unclipped.clamp(0, size_px)
    # The box of the whole image stays: a crop of less than a tenth would mask it out otherwise.
    whole = ((boxes_BR4[..., 2] - boxes_BR4[..., 0]) >= size_px) & (
        (boxes_BR4[..., 3] - boxes_BR4[..., 1]) >= size_px
    )
    visible = whole | (_area(clipped) >= MIN_BOX_SHARE * _area(unclipped))
    mask_BR = mask_BR & visible
    return clipped * mask_BR[..., None], mask_BR


def _crops(augment: Augment, draw: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Returns x1, y1, x2, y2 as shares, from four draws per sample: area, aspect, x, y."""
    if augment.min_crop_area >= 1:
        none, whole = np.zeros(len(draw)), np.ones(len(draw))
        return [none, none, whole, whole]
    area = augment.min_crop_area + (1 - augment.min_crop_area) * draw[:, 0]
    # Log-uniform, so that a crop is as often wide as it is tall.
    aspect = np.exp((2 * draw[:, 1] - 1) * np.log(augment.max_crop_aspect))
    width, height = np.minimum(1, np.sqrt(area * aspect)), np.minimum(1, np.sqrt(area / aspect))
    x1, y1 = draw[:, 2] * (1 - width), draw[:, 3] * (1 - height)
    return [x1, y1, x1 + width, y1 + height]


def _cropped(image_BCHW: Tensor, params: AugmentParams) -> Tensor:
    # `affine_grid` maps output to input coordinates, both from -1 to 1.
    low, high = params.crop[:, :2], params.crop[:, 2:]
    scale, centre = high - low, low + high - 1
    mirror = torch.stack([1 - 2 * params.flip, torch.ones_like(params.flip)], dim=1)
    theta = torch.cat([torch.diag_embed(scale * mirror), centre[..., None]], dim=2)
    grid = functional.affine_grid(theta, list(image_BCHW.shape), align_corners=False)
    return functional.grid_sample(
        image_BCHW, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _hue_shifted(image_BCHW: Tensor, shift_B: Tensor) -> Tensor:
    hue, saturation, value = _to_hsv(image_BCHW)
    sector = ((hue + _column(shift_B)[:, 0]) % 1) * 6
    channels = []
    for offset in (5, 3, 1):  # red, green, blue, by the closed form of the conversion
        k = (sector + offset) % 6
        channels.append(value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1))
    # A shift of 0 keeps the exact values, which the round trip through HSV does not.
    return torch.where(_column(shift_B) == 0, image_BCHW, torch.stack(channels, dim=1))


def _to_hsv(image_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = image_BCHW.unbind(1)
    value, low = image_BCHW.amax(1), image_BCHW.amin(1)
    chroma = value - low
    # Grey pixels have no hue; dividing by 1 gives them 0 instead of NaN.
    safe = torch.where(chroma > 0, chroma, 1.0)
    of_red, of_green = (green - blue) / safe % 6, (blue - red) / safe + 2
    of_blue = (red - green) / safe + 4
    sector = torch.where(value == red, of_red, torch.where(value == green, of_green, of_blue))
    return sector / 6, chroma / torch.where(value > 0, value, 1.0), value


def _blend(image: Tensor, other: Tensor, share_B: Tensor) -> Tensor:
    share = _column(share_B)
    return (share * image + (1 - share) * other).clamp(0, 1)


def _grey(image_BCHW: Tensor) -> Tensor:
    red, green, blue = image_BCHW.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue)[:, None]


def _column(values_B: Tensor) -> Tensor:
    return values_B[:, None, None, None]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
