"""Checks fetched bytes: returns facts about the image, or the reason why it is not accepted."""

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
from wenlan_data.image.jpeg import check_segments, read_header
from wenlan_data.image.limits import too_large
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
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, ImageFacts


@dataclass(frozen=True, slots=True)
class _DecodedImage:
    """The pixels that a check needs."""

    thumbnail: Pixels
    """uint8 (64, 64) or (64, 64, 3), upright."""
    width: int
    """Pixels of the upright image at its original size."""
    height: int
    stored: Pixels | None
    """Upright, at the size that is stored; None if the image is stored unchanged."""


def check_image(data: bytes, rules: ImageRules, *, sha256: str | None = None) -> ImageFacts | Drop:
    """Returns facts about an image, or the first reason against it; pure, and safe for hostile
    bytes.

    `sha256` is the digest of `data` as hex digits, if the caller has it.

    Reasons, in the order of the checks: `empty_body`, `too_few_bytes`, `not_image`, `format`,
    `too_large` (by the header, before any pixel is decoded), `spacer`, `icon`, `too_small`,
    `aspect`, `truncated`, `undecodable`, `near_blank`, `low_information`.
    """
    checked = _check(data, rules, sha256)
    return checked if isinstance(checked, Drop) else checked[0]


def check_and_encode(
    data: bytes, rules: ImageRules, *, jpeg_quality: int, sha256: str | None = None
) -> tuple[ImageFacts, bytes] | Drop:
    """`check_image`, and the JPEG that a shard stores, from the same decoding.

    The JPEG is empty if the image is stored unchanged (`image.normalise.pass_through`).
    """
    checked = _check(data, rules, sha256)
    if isinstance(checked, Drop):
        return checked
    facts, stored = checked
    return facts, b"" if stored is None else encode_jpeg(stored, jpeg_quality).jpeg


def _check(
    data: bytes, rules: ImageRules, sha256: str | None
) -> tuple[ImageFacts, Pixels | None] | Drop:
    kind = _format_of(data, rules)
    if isinstance(kind, Drop):
        return kind
    decoded = _decode_jpeg(data, rules) if kind == "jpeg" else _decode_other(data, kind, rules)
    if isinstance(decoded, Drop):
        return decoded
    grey = luma(decoded.thumbnail)
    if drop := check_content(grey, rules.min_contrast, rules.min_entropy_bits):
        return drop
    phash, pdq = perceptual_hashes(grey)
    facts = ImageFacts(
        sha256=hashlib.sha256(data).hexdigest() if sha256 is None else sha256,
        bytes=len(data),
        format=kind,
        width=decoded.width,
        height=decoded.height,
        phash=phash,
        pdq=pdq,
        colours=quarter_colours(decoded.thumbnail),
    )
    return facts, decoded.stored


def _format_of(data: bytes, rules: ImageRules) -> str | Drop:
    if not data:
        return Drop(Reason.EMPTY_BODY)
    if len(data) < rules.min_bytes:
        return Drop(Reason.TOO_FEW_BYTES, str(len(data)))
    kind = sniff(data)
    if kind in rules.formats:
        return kind
    name = kind or other_image(data)
    return Drop(Reason.FORMAT, name) if name else Drop(Reason.NOT_IMAGE, looks_like(data))


def _check_shape(width: int, height: int, kind: str, rules: ImageRules) -> Drop | None:
    # Icons are PNG, GIF or WebP: a small square JPEG may be a photograph.
    max_icon_side_px = 0 if kind == "jpeg" else rules.max_icon_side_px
    return check_shape(width, height, rules.min_side_px, rules.max_aspect, max_icon_side_px)


def _decode_jpeg(data: bytes, rules: ImageRules) -> _DecodedImage | Drop:
    header = read_header(data)
    if isinstance(header, Drop):
        return header
    width, height = header.width, header.height
    # EXIF orientations 5 to 8 lie on their side.
    if header.orientation >= 5:
        width, height = height, width
    drop = (
        too_large(width, height)
        or check_segments(data)
        or _check_shape(width, height, "jpeg", rules)
    )
    if drop:
        return drop
    if can_pass_through(header, rules.max_side_px):
        # Only the thumbnail is needed: libjpeg decodes at a fraction of the size.
        pixels = decode_jpeg(data, header, min_side_px=MIN_DECODED_SIDE_PX)
        if isinstance(pixels, Drop):
            return pixels
        return _DecodedImage(colour_thumbnail(pixels), width, height, None)
    pixels = decode_for_storage(data, header, rules.max_side_px)
    if isinstance(pixels, Drop):
        return pixels
    stored = resize(pixels, *size_within(header.width, header.height, rules.max_side_px))
    # Turning the square thumbnail is the same as turning the image, and 30 times less work.
    thumbnail = apply_orientation(
        colour_thumbnail(_thumbnail_source(stored, pixels)), header.orientation
    )
    return _DecodedImage(thumbnail, width, height, apply_orientation(stored, header.orientation))


def _decode_other(data: bytes, kind: str, rules: ImageRules) -> _DecodedImage | Drop:
    size = frame_size(data, kind)
    if isinstance(size, Drop):
        return size
    drop = too_large(*size) or _check_shape(*size, kind, rules) or check_integrity(data, kind)
    if drop:
        return drop
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


def _thumbnail_source(stored: Pixels, decoded: Pixels) -> Pixels:
    """The pixels that the thumbnail is made of: those stored, unless they are too few."""
    return decoded if min(stored.shape[:2]) < MIN_DECODED_SIDE_PX else stored
