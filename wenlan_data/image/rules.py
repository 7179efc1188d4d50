"""The rules of the recipe's `image` part: which images are accepted, and at which size they are
stored.

A plain dataclass without pydantic, whose import would take a third of the sandbox's start. The
recipe validates it: pydantic reads the bounds from each field's metadata.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

ImageFormat = Literal["jpeg", "png", "webp", "gif", "avif"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRules:
    """Which images are accepted, and how they are stored.

    The bounds are checked where a recipe is read; rules that code builds are taken as they are.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    formats: tuple[ImageFormat, ...] = ("jpeg", "png", "webp", "gif")
    """`avif` is not among the defaults: it decodes ten times slower than JPEG."""
    min_side_px: int = field(default=100, metadata={"ge": 1})
    max_aspect: float = field(default=4.0, metadata={"ge": 1.0})
    """Longer side over shorter side."""
    min_bytes: int = field(default=2000, metadata={"ge": 0})
    """Size of the fetched file."""
    min_contrast: float = field(default=3.0, metadata={"ge": 0, "le": 127})
    """Standard deviation of the thumbnail's grey levels (0 to 255); below it an image is nearly
    blank."""
    min_entropy_bits: float = field(default=0.5, metadata={"ge": 0, "le": 5})
    """Entropy of the thumbnail's grey levels in 32 bins; below it an image is nearly one flat
    colour."""
    max_icon_side_px: int = field(default=128, metadata={"ge": 0})
    """A square PNG, GIF or WebP of at most this side is an icon; 0 for no icons."""
    max_side_px: int = field(default=1024, metadata={"ge": 16})
    """Longer side of a stored image; a larger image is scaled down to it."""
