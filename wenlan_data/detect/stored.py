"""The pixels of a stored JPEG as they stand in the file: what plain decoders and the training loader see."""

from dataclasses import replace

import numpy as np

from wenlan_data.errors import DamageError
from wenlan_data.image.decode import Pixels, decode_jpeg
from wenlan_data.image.segments import JpegHeader, read_header
from wenlan_data.records import Drop


def stored_pixels(jpeg: bytes) -> Pixels:
    """uint8 (H, W, 3) of a stored JPEG, without the colour transform that its ICC profile asks for.

    Detectors and the model that is trained later then look at the same picture.
    Raises `DamageError` if it cannot be decoded.
    """
    header = read_header(jpeg)
    found = header if isinstance(header, Drop) else _as_it_stands(jpeg, header)
    if isinstance(found, Drop):
        raise DamageError(f"a stored picture cannot be decoded ({found.reason}: {found.detail}): its bytes changed")
    return np.repeat(found[..., None], 3, axis=2) if found.ndim == 2 else found


def _as_it_stands(jpeg: bytes, header: JpegHeader) -> Pixels | Drop:
    return decode_jpeg(jpeg, replace(header, icc=b""), min_side_px=min(header.width, header.height))
