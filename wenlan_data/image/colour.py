"""Colours to sRGB by the ICC profile that a picture carries."""

import io
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_SAME_WITHIN_LEVELS = 2
"""Of 255: the many makes of sRGB profile differ by no more from ours."""


def to_srgb(picture: Image.Image, icc: bytes) -> Image.Image:
    """The picture (mode L, RGB or CMYK) as L or RGB in sRGB.

    Without a profile, or with a broken or unfitting one, L and RGB are taken for sRGB, and CMYK is converted
    plainly.
    """
    transform = _transform(icc, picture.mode) if icc else None
    if transform is not None:
        return _apply(picture, transform)
    return picture.convert("RGB") if picture.mode == "CMYK" else picture


def needs_transform(icc: bytes, mode: str) -> bool:
    """Whether the profile is usable for this mode of Pillow's and differs from sRGB."""
    return bool(icc) and _transform(icc, mode) is not None


@lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if profile.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(profile, _srgb(), mode, "RGB")
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    lattice: NDArray[np.uint8] = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(
        1, -1, 3
    )
    picture = Image.fromarray(lattice) if mode == "RGB" else Image.fromarray(steps[None])
    before = np.asarray(picture.convert("RGB")).astype(np.int16)
    after = np.asarray(_apply(picture, transform))
    return int(np.abs(before - after).max()) <= _SAME_WITHIN_LEVELS


def _apply(picture: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted = ImageCms.applyTransform(picture, transform)
    if converted is None:  # only for in-place use, which this is not
        raise ValueError("no picture came out of the colour transform")
    return converted


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
