import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.image.modes import Case, cases, difference
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox import client as sandbox
from wenlan_data.testing import make_image

PHOTO = Image.open(io.BytesIO(make_image(7, width=320, height=240, quality=95))).convert("RGB")
PHOTO = PHOTO.filter(ImageFilter.GaussianBlur(2))
CASES = list(cases(PHOTO))
pytest.importorskip("skimage.color")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_mode_looks_as_it_should(case: Case) -> None:
    stored = normalise(case.data, max_side_px=1024, jpeg_quality=95)
    shown = srgb_pixels(stored.jpeg)
    assert shown.shape == case.wanted.shape == (stored.height, stored.width, 3)
    apart_in_levels = np.abs(shown.astype(int) - case.wanted)
    # JPEG keeps the dots of one bit and of a palette worst: its own loss exceeds any error of ours.
    is_dotted = case.name in {
        "1 bit PNG",
        "palette PNG",
        "palette, alpha",
        "animated GIF",
        "interlaced GIF",
    }
    assert apart_in_levels.mean() < (12 if is_dotted else 3)
    found = difference(shown, case.wanted)
    assert found.mean() < 1.5
    assert np.percentile(found, 99) < 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_mode_is_accepted_in_the_sandbox(case: Case) -> None:
    found = sandbox.check_image(case.data, ImageRules())
    assert isinstance(found, ImageFacts)
    assert (found.width, found.height) == (320, 240)


def test_eight_orientations_are_one_image() -> None:
    turned = [case for case in CASES if case.name.startswith("EXIF")]
    shown = [
        srgb_pixels(normalise(case.data, max_side_px=1024, jpeg_quality=95).jpeg).astype(int)
        for case in turned
    ]
    assert len(shown) == 8
    assert all(np.abs(one - shown[0]).mean() < 2 for one in shown)


@pytest.mark.parametrize("size", [1 << 20, 5 << 20])
def test_a_huge_profile_costs_nothing_and_changes_nothing(size: int) -> None:
    out = io.BytesIO()
    PHOTO.save(out, "JPEG", quality=95, icc_profile=bytes(size))
    assert isinstance(sandbox.check_image(out.getvalue(), ImageRules()), ImageFacts)
    shown = srgb_pixels(normalise(out.getvalue(), max_side_px=1024, jpeg_quality=95).jpeg)
    assert np.abs(shown.astype(int) - np.asarray(PHOTO)).mean() < 3


def test_the_first_image_of_an_animated_png_counts() -> None:
    out = io.BytesIO()
    PHOTO.save(out, "PNG", save_all=True, append_images=[PHOTO.rotate(180)])
    shown = srgb_pixels(normalise(out.getvalue(), max_side_px=1024, jpeg_quality=95).jpeg)
    assert np.abs(shown.astype(int) - np.asarray(PHOTO)).mean() < 3


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA])
def test_a_lossless_or_arithmetic_jpeg_is_a_drop_or_an_image(marker: int) -> None:
    out = io.BytesIO()
    PHOTO.save(out, "JPEG", quality=95)
    data = out.getvalue()
    start = data.index(b"\xff\xc0")
    odd = data[: start + 1] + bytes([marker]) + data[start + 2 :]
    found = sandbox.check_image(odd, ImageRules())
    assert isinstance(found, ImageFacts) or found.reason in {"undecodable", "truncated"}
    twelve_bits = data[: start + 4] + b"\x0c" + data[start + 5 :]
    refused = sandbox.check_image(twelve_bits, ImageRules())
    assert isinstance(refused, Drop)
    assert refused.reason == "undecodable"
