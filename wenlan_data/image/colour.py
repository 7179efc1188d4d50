"""Conversion to sRGB by the ICC profile in the image."""

import io
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_SAME_WITHIN_LEVELS = 2
"""Of 255. The sRGB profiles of different vendors differ from ours by no more."""


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """The image (mode L, RGB or CMYK) as L or RGB in sRGB.

    Without a profile, or with one that is broken or of another colour space, L and RGB are taken
    for sRGB, and CMYK is converted by Pillow's formula.
    """
    transform = _transform(icc, image.mode) if icc else None
    if transform is not None:
        return _apply(image, transform)
    return image.convert("RGB") if image.mode == "CMYK" else image


def needs_transform(icc: bytes, mode: str) -> bool:
    """Whether the profile is usable for this Pillow mode and differs from sRGB."""
    return bool(icc) and _transform(icc, mode) is not None


# Building and testing a transform takes 2.6 ms, longer than the check of a usual image.
@lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if profile.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(profile, _srgb(), mode, "RGB")
        return None if mode != "CMYK" and _is_identity(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    # A lattice of 16 levels a channel: 4,096 colours instead of 16 million.
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(lattice) if mode == "RGB" else Image.fromarray(steps[None])
    before = np.asarray(image.convert("RGB")).astype(np.int16)
    after = np.asarray(_apply(image, transform))
    return int(np.abs(before - after).max()) <= _SAME_WITHIN_LEVELS


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    # None is returned for in-place use only, which this is not.
    if converted is None:
        raise ValueError("the colour transform returned no image")
    return converted


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
