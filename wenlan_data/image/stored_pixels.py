"""The pixel levels of a stored JPEG, as plain decoders and the training loader return them."""

from dataclasses import replace

from wenlan_data.errors import DamageError
from wenlan_data.image.decode import Pixels, as_rgb, decode_jpeg
from wenlan_data.image.jpeg import read_header
from wenlan_data.records import Drop


def stored_pixels(jpeg: bytes) -> Pixels:
    """uint8 (H, W, 3) of a stored JPEG, without the colour transform of its ICC profile.

    Detectors and the model that is trained later then see the same levels.
    Raises `DamageError` if it cannot be decoded.
    """
    pixels = decode_stored(jpeg)
    if isinstance(pixels, Drop):
        raise DamageError(
            f"a stored image cannot be decoded ({pixels.reason}: {pixels.detail}):"
            " its bytes changed"
        )
    return pixels


def decode_stored(jpeg: bytes) -> Pixels | Drop:
    """`stored_pixels`, or the reason why the JPEG cannot be decoded."""
    header = read_header(jpeg)
    if isinstance(header, Drop):
        return header
    pixels = decode_jpeg(
        jpeg, replace(header, icc=b""), min_side_px=min(header.width, header.height)
    )
    return pixels if isinstance(pixels, Drop) else as_rgb(pixels)
