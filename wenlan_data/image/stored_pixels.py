"""The pixels of a stored JPEG as they stand in the file: what plain decoders and the training loader see."""

from dataclasses import replace

import numpy as np

from wenlan_data.errors import DamageError
from wenlan_data.image.decode import Pixels, decode_jpeg
from wenlan_data.image.jpeg import read_header
from wenlan_data.records import Drop


def stored_pixels(jpeg: bytes) -> Pixels:
    """uint8 (H, W, 3) of a stored JPEG, without the colour transform that its ICC profile asks for.

    Detectors and the model that is trained later then look at the same picture.
    Raises `DamageError` if it cannot be decoded.
    """
    found = decode_stored(jpeg)
    if isinstance(found, Drop):
        raise DamageError(
            f"a stored picture cannot be decoded ({found.reason}: {found.detail}): its bytes changed"
        )
    return found


def decode_stored(jpeg: bytes) -> Pixels | Drop:
    """The same, or why there are none."""
    header = read_header(jpeg)
    if isinstance(header, Drop):
        return header
    found = decode_jpeg(
        jpeg, replace(header, icc=b""), min_side_px=min(header.width, header.height)
    )
    return (
        np.repeat(found[..., None], 3, axis=2)
        if not isinstance(found, Drop) and found.ndim == 2
        else found
    )
