"""Fetched bytes in, facts or a reason out: everything that decides whether a picture is taken."""

import hashlib

from wenlan_data.image.containers import damage, frame_size
from wenlan_data.image.decode import Pixels, decode_jpeg, decode_other, upright
from wenlan_data.image.hash import MIN_DECODED_SIDE_PX, hashes, thumbnail
from wenlan_data.image.limits import MAX_JPEG_SCANS, too_large
from wenlan_data.image.segments import read_header, scans_at_most
from wenlan_data.image.sniff import looks_like, other_image, sniff
from wenlan_data.recipe import ImageRules
from wenlan_data.records import Drop, ImageFacts

Thumbnail = tuple[Pixels, int, int]
"""The normalised thumbnail, then width and height of the upright picture in pixels."""


def examine(data: bytes, rules: ImageRules) -> ImageFacts | Drop:
    """What is known of a picture, or the first reason against it; pure, and safe for hostile bytes.

    Reasons, in the order in which they are looked for: `empty_body`, `too_few_bytes`, `not_image`, `format`,
    `too_large` (by its header, before any pixel), `too_small`, `aspect`, `truncated`, `undecodable`.
    """
    kind = _kind(data, rules)
    if isinstance(kind, Drop):
        return kind
    found = _from_jpeg(data, rules) if kind == "jpeg" else _from_other(data, kind, rules)
    if isinstance(found, Drop):
        return found
    grey, width, height = found
    phash, pdq = hashes(grey)
    return ImageFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        format=kind,
        width=width,
        height=height,
        phash=phash,
        pdq=pdq,
    )


def _kind(data: bytes, rules: ImageRules) -> str | Drop:
    if not data:
        return Drop("empty_body")
    if len(data) < rules.min_bytes:
        return Drop("too_few_bytes", str(len(data)))
    kind = sniff(data)
    if kind in rules.formats:
        return kind
    name = kind or other_image(data)
    return Drop("format", name) if name else Drop("not_image", looks_like(data))


def _wrong_size(width: int, height: int, rules: ImageRules) -> Drop | None:
    shorter, longer = sorted((width, height))
    if shorter < rules.min_side_px:
        return Drop("too_small", f"{width}x{height}")
    if longer > shorter * rules.max_aspect:
        return Drop("aspect", f"{width}x{height}")
    return None


def _from_jpeg(data: bytes, rules: ImageRules) -> Thumbnail | Drop:
    header = read_header(data)
    if isinstance(header, Drop):
        return header
    width, height = (header.width, header.height)[:: 1 if header.orientation < 5 else -1]
    wrong = too_large(width, height)
    if wrong is None and not scans_at_most(data, MAX_JPEG_SCANS):
        wrong = Drop("too_large", f"more than {MAX_JPEG_SCANS} scans")
    wrong = wrong or _wrong_size(width, height, rules)
    if wrong:
        return wrong
    pixels = decode_jpeg(data, header, min_side_px=MIN_DECODED_SIDE_PX, grey=True)
    if isinstance(pixels, Drop):
        return pixels
    # Turning the square thumbnail is the same as turning the picture, and 30 times less work.
    return upright(thumbnail(pixels), header.orientation), width, height


def _from_other(data: bytes, kind: str, rules: ImageRules) -> Thumbnail | Drop:
    size = frame_size(data, kind)
    if isinstance(size, Drop):
        return size
    wrong = too_large(*size) or _wrong_size(*size, rules) or damage(data, kind)
    if wrong:
        return wrong
    pixels = decode_other(data)
    if isinstance(pixels, Drop):
        return pixels
    return thumbnail(pixels), pixels.shape[1], pixels.shape[0]
