import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, features

from wenlan_data.image.check import check_image
from wenlan_data.image.containers import frame_size
from wenlan_data.image.normalise import normalise
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox import client as sandbox
from wenlan_data.testing import make_image

pytestmark = pytest.mark.skipif(
    not features.check("avif"), reason="this build of Pillow has no AVIF"
)
WITH_AVIF = ImageRules(formats=("jpeg", "avif"))


def avif(width: int = 320, height: int = 240, **options: object) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1, width=width, height=height))).save(
        out, "AVIF", quality=80, **options
    )
    return out.getvalue()


def test_avif_is_an_option() -> None:
    assert check_image(avif(), ImageRules()) == Drop("format", "avif")
    found = sandbox.check_image(avif(), WITH_AVIF)
    assert isinstance(found, ImageFacts)
    assert (found.format, found.width, found.height) == ("avif", 320, 240)
    original = check_image(make_image(1), WITH_AVIF)
    assert isinstance(original, ImageFacts)
    assert (found.phash ^ original.phash).bit_count() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_avif_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = avif(exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
        wanted = image.convert("RGB")
        wanted = wanted if turn is None else wanted.transpose(Image.Transpose(turn))
    stored = normalise(data, max_side_px=1024, jpeg_quality=95)
    shown = np.asarray(Image.open(io.BytesIO(stored.jpeg))).astype(int)
    assert np.abs(shown - np.asarray(wanted)).mean() < 6


def test_a_cut_avif_is_a_drop() -> None:
    data = avif()
    for length in (40, len(data) // 2, len(data) - 1):
        found = check_image(data[:length], replace(WITH_AVIF, min_bytes=0))
        assert isinstance(found, Drop)
        assert found.reason in {"truncated", "undecodable"}


def test_the_size_is_known_before_decoding() -> None:
    data = avif()
    assert frame_size(data, "avif") == (320, 240)
    huge = data.replace(
        (320).to_bytes(4, "big") + (240).to_bytes(4, "big"), (60_000).to_bytes(4, "big") * 2
    )
    assert check_image(huge, WITH_AVIF) == Drop("too_large", "60000x60000")
