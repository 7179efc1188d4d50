"""Fetched bytes in, facts or a reason out: everything that decides whether a picture is taken."""

import hashlib
from typing import Protocol

from wenlan_data.image.containers import damage, frame_size
from wenlan_data.image.decode import Pixels, decode_jpeg, decode_other, upright
from wenlan_data.image.filters import uninformative, wrong_shape
from wenlan_data.image.hash import MIN_DECODED_SIDE_PX, colours, grey, hashes, shrunk
from wenlan_data.image.limits import MAX_JPEG_SCANS, too_large
from wenlan_data.image.segments import read_header, scans_at_most
from wenlan_data.image.sniff import looks_like, other_image, sniff
from wenlan_data.records import Drop, ImageFacts

Thumbnail = tuple[Pixels, int, int]
"""The normalised thumbnail with its colours, then width and height of the upright picture in pixels."""


class Rules(Protocol):
    """What `recipe.ImageRules` says of which pictures are taken."""

    @property
    def formats(self) -> tuple[str, ...]: ...
    @property
    def min_side_px(self) -> int: ...
    @property
    def max_aspect(self) -> float: ...
    @property
    def min_bytes(self) -> int: ...
    @property
    def min_contrast(self) -> float: ...
    @property
    def min_entropy_bits(self) -> float: ...
    @property
    def max_icon_side_px(self) -> int: ...


def examine(data: bytes, rules: Rules, *, sha256: str | None = None) -> ImageFacts | Drop:
    """What is known of a picture, or the first reason against it; pure, and safe for hostile bytes.

    `sha256` is the digest of `data`, where the caller has it.

    Reasons, in the order in which they are looked for: `empty_body`, `too_few_bytes`, `not_image`, `format`,
    `too_large` (by its header, before any pixel), `spacer`, `icon`, `too_small`, `aspect`, `truncated`,
    `undecodable`, `near_blank`, `low_information`.
    """
    kind = _kind(data, rules)
    if isinstance(kind, Drop):
        return kind
    found = _from_jpeg(data, rules) if kind == "jpeg" else _from_other(data, kind, rules)
    if isinstance(found, Drop):
        return found
    small, width, height = found
    luma = grey(small)
    if empty := uninformative(luma, rules.min_contrast, rules.min_entropy_bits):
        return empty
    phash, pdq = hashes(luma)
    return ImageFacts(
        sha256=hashlib.sha256(data).hexdigest() if sha256 is None else sha256,
        bytes=len(data),
        format=kind,
        width=width,
        height=height,
        phash=phash,
        pdq=pdq,
        colours=colours(small),
    )


def _kind(data: bytes, rules: Rules) -> str | Drop:
    if not data:
        return Drop("empty_body")
    if len(data) < rules.min_bytes:
        return Drop("too_few_bytes", str(len(data)))
    kind = sniff(data)
    if kind in rules.formats:
        return kind
    name = kind or other_image(data)
    return Drop("format", name) if name else Drop("not_image", looks_like(data))


def _wrong_size(width: int, height: int, kind: str, rules: Rules) -> Drop | None:
    icons_px = 0 if kind == "jpeg" else rules.max_icon_side_px
    return wrong_shape(width, height, rules.min_side_px, rules.max_aspect, icons_px)


def _from_jpeg(data: bytes, rules: Rules) -> Thumbnail | Drop:
    header = read_header(data)
    if isinstance(header, Drop):
        return header
    width, height = (header.width, header.height)[:: 1 if header.orientation < 5 else -1]
    wrong = too_large(width, height)
    if wrong is None and not scans_at_most(data, MAX_JPEG_SCANS):
        wrong = Drop("too_large", f"more than {MAX_JPEG_SCANS} scans")
    wrong = wrong or _wrong_size(width, height, "jpeg", rules)
    if wrong:
        return wrong
    pixels = decode_jpeg(data, header, min_side_px=MIN_DECODED_SIDE_PX)
    if isinstance(pixels, Drop):
        return pixels
    # Turning the square thumbnail is the same as turning the picture, and 30 times less work.
    return upright(shrunk(pixels), header.orientation), width, height


def _from_other(data: bytes, kind: str, rules: Rules) -> Thumbnail | Drop:
    size = frame_size(data, kind)
    if isinstance(size, Drop):
        return size
    wrong = too_large(*size) or _wrong_size(*size, kind, rules) or damage(data, kind)
    if wrong:
        return wrong
    pixels = decode_other(data)
    if isinstance(pixels, Drop):
        return pixels
    return shrunk(pixels), pixels.shape[1], pixels.shape[0]
