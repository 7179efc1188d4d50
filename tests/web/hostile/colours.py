"""Cases 133 to 137: rotated images, and images in other colours and depths. The stored image looks
like a reference conversion."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.image import modes
from tests.web.hostile.cases import Case, Run
from tests.web.hostile.images import images
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.testing import make_image

PHOTO = Image.open(io.BytesIO(make_image(7, width=320, height=240, quality=95))).convert("RGB")
PHOTO = PHOTO.filter(ImageFilter.GaussianBlur(2))
PLAIN = np.asarray(PHOTO)
BY_NAME = {case.name: case for case in modes.cases(PHOTO)}
TURNED = [f"EXIF {orientation}" for orientation in range(1, 9)]


def _stored(run: Run) -> list[modes.Pixels]:
    """Returns the stored form of each recorded image, as a viewer shows it."""
    warc = (run.out / "images.warc").read_bytes()
    places = [(int(str(row["warc_offset"])), int(str(row["bytes"]))) for row in run.rows]
    return [
        srgb_pixels(normalise(warc[start : start + size], max_side_px=1024, jpeg_quality=95).jpeg)
        for start, size in places
    ]


def _compare(run: Run, wanted: list[modes.Pixels]) -> None:
    pytest.importorskip("skimage.color")
    for shown, right in zip(_stored(run), wanted, strict=True):
        assert shown.shape == right.shape
        assert np.percentile(modes.difference(shown, right), 99) < 3


def _named(number: int, does: str, *names: str) -> Case:
    wanted = [BY_NAME[name].wanted for name in names]
    return images(
        number,
        does,
        "ok",
        *(BY_NAME[name].data for name in names),
        check=lambda run: _compare(run, wanted),
    )


def _eight_alike(run: Run) -> None:
    _compare(run, [PLAIN] * 8)
    first, *others = (one.astype(int) for one in _stored(run))
    assert all(np.abs(one - first).mean() < 2 for one in others)


def _with_profile(profile: bytes) -> bytes:
    out = io.BytesIO()
    PHOTO.save(out, "JPEG", quality=95, icc_profile=profile)
    return out.getvalue()


CASES = [
    images(
        133,
        "sends one image in the eight EXIF orientations",
        "ok",
        *(BY_NAME[name].data for name in TURNED),
        check=_eight_alike,
    ),
    _named(
        134,
        "sends CMYK, by Adobe inverted and without Adobe's mark",
        "CMYK, Adobe",
        "CMYK, no mark",
    ),
    _named(
        135,
        "sends 16 bits, 1 bit, a palette with alpha",
        "16 bit PNG",
        "1 bit PNG",
        "palette, alpha",
    ),
    images(
        136,
        "sends profiles that are broken, or of 5 MB",
        "ok",
        BY_NAME["broken ICC"].data,
        _with_profile(bytes(5 << 20)),
        check=lambda run: _compare(run, [PLAIN] * 2),
    ),
    _named(137, "sends Display-P3", "Display-P3 JPEG", "Display-P3 PNG"),
]
