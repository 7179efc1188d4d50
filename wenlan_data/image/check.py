"""Fetched bytes in, facts or a reason out: everything that decides whether a picture is taken."""

import hashlib
from dataclasses import dataclass

from wenlan_data.image.containers import check_integrity, frame_size
from wenlan_data.image.decode import Pixels, apply_orientation, decode_jpeg, decode_other
from wenlan_data.image.filters import check_content, check_shape
from wenlan_data.image.hash import (
    MIN_DECODED_SIDE_PX,
    colour_thumbnail,
    luma,
    perceptual_hashes,
    quarter_colours,
)
from wenlan_data.image.jpeg import read_header, scans_at_most
from wenlan_data.image.limits import MAX_JPEG_SCANS, too_large
from wenlan_data.image.normalise import (
    can_pass_through,
    decode_for_storage,
    encode_jpeg,
    limit_side,
    resize,
    size_within,
)
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.sniff import looks_like, other_image, sniff
from wenlan_data.records import Drop, ImageFacts


@dataclass(frozen=True, slots=True)
class _DecodedImage:
    """What a look at the pixels gives."""

    thumbnail: Pixels
    """With its colours, upright."""
    width: int
    """Of the upright picture as it came, in pixels."""
    height: int
    stored: Pixels | None
    """Upright, as they are stored; None where the picture is stored as it came."""


def check_image(data: bytes, rules: ImageRules, *, sha256: str | None = None) -> ImageFacts | Drop:
    """What is known of a picture, or the first reason against it; pure, and safe for hostile bytes.

    `sha256` is the digest of `data`, where the caller has it.

    Reasons, in the order in which they are looked for: `empty_body`, `too_few_bytes`, `not_image`, `format`,
    `too_large` (by its header, before any pixel), `spacer`, `icon`, `too_small`, `aspect`, `truncated`,
    `undecodable`, `near_blank`, `low_information`.
    """
    found = _check(data, rules, sha256)
    return found if isinstance(found, Drop) else found[0]


def check_and_encode(
    data: bytes, rules: ImageRules, *, jpeg_quality: int, sha256: str | None = None
) -> tuple[ImageFacts, bytes] | Drop:
    """`examine`, and the JPEG that a shard stores; no bytes where `image.normalise.passed_through` gives that."""
    found = _check(data, rules, sha256)
    if isinstance(found, Drop):
        return found
    facts, stored = found
    return facts, b"" if stored is None else encode_jpeg(stored, jpeg_quality).jpeg


def _check(
    data: bytes, rules: ImageRules, sha256: str | None
) -> tuple[ImageFacts, Pixels | None] | Drop:
    kind = _format_of(data, rules)
    if isinstance(kind, Drop):
        return kind
    seen = _decode_jpeg(data, rules) if kind == "jpeg" else _decode_other(data, kind, rules)
    if isinstance(seen, Drop):
        return seen
    grey = luma(seen.thumbnail)
    if empty := check_content(grey, rules.min_contrast, rules.min_entropy_bits):
        return empty
    phash, pdq = perceptual_hashes(grey)
    facts = ImageFacts(
        sha256=hashlib.sha256(data).hexdigest() if sha256 is None else sha256,
        bytes=len(data),
        format=kind,
        width=seen.width,
        height=seen.height,
        phash=phash,
        pdq=pdq,
        colours=quarter_colours(seen.thumbnail),
    )
    return facts, seen.stored


def _format_of(data: bytes, rules: ImageRules) -> str | Drop:
    if not data:
        return Drop("empty_body")
    if len(data) < rules.min_bytes:
        return Drop("too_few_bytes", str(len(data)))
    kind = sniff(data)
    if kind in rules.formats:
        return kind
    name = kind or other_image(data)
    return Drop("format", name) if name else Drop("not_image", looks_like(data))


def _check_shape(width: int, height: int, kind: str, rules: ImageRules) -> Drop | None:
    icons_px = 0 if kind == "jpeg" else rules.max_icon_side_px
    return check_shape(width, height, rules.min_side_px, rules.max_aspect, icons_px)


def _decode_jpeg(data: bytes, rules: ImageRules) -> _DecodedImage | Drop:
    header = read_header(data)
    if isinstance(header, Drop):
        return header
    width, height = (header.width, header.height)[:: 1 if header.orientation < 5 else -1]
    wrong = too_large(width, height)
    if wrong is None and not scans_at_most(data, MAX_JPEG_SCANS):
        wrong = Drop("too_large", f"more than {MAX_JPEG_SCANS} scans")
    wrong = wrong or _check_shape(width, height, "jpeg", rules)
    if wrong:
        return wrong
    if can_pass_through(header, rules.max_side_px):
        pixels = decode_jpeg(data, header, min_side_px=MIN_DECODED_SIDE_PX)
        return (
            pixels
            if isinstance(pixels, Drop)
            else _DecodedImage(colour_thumbnail(pixels), width, height, None)
        )
    pixels = decode_for_storage(data, header, rules.max_side_px)
    if isinstance(pixels, Drop):
        return pixels
    stored = resize(pixels, *size_within(header.width, header.height, rules.max_side_px))
    # Turning the square thumbnail is the same as turning the picture, and 30 times less work.
    thumbnail = apply_orientation(
        colour_thumbnail(_thumbnail_source(stored, pixels)), header.orientation
    )
    return _DecodedImage(thumbnail, width, height, apply_orientation(stored, header.orientation))


def _thumbnail_source(stored: Pixels, decoded: Pixels) -> Pixels:
    """What the thumbnail is made of: the stored pixels, unless they are too few."""
    return decoded if min(stored.shape[:2]) < MIN_DECODED_SIDE_PX else stored


def _decode_other(data: bytes, kind: str, rules: ImageRules) -> _DecodedImage | Drop:
    size = frame_size(data, kind)
    if isinstance(size, Drop):
        return size
    wrong = too_large(*size) or _check_shape(*size, kind, rules) or check_integrity(data, kind)
    if wrong:
        return wrong
    pixels = decode_other(data)
    if isinstance(pixels, Drop):
        return pixels
    stored = limit_side(pixels, rules.max_side_px)
    return _DecodedImage(
        colour_thumbnail(_thumbnail_source(stored, pixels)),
        pixels.shape[1],
        pixels.shape[0],
        stored,
    )
