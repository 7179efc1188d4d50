import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.testing import make_image

RULES = ImageRules(min_bytes=0)


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def reason(data: bytes, rules: ImageRules = RULES) -> str:
    found = check_image(data, rules)
    return found.reason if isinstance(found, Drop) else ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 90)])
def test_one_flat_colour_is_near_blank(kind: str, colour: tuple[int, int, int]) -> None:
    assert reason(saved(Image.new("RGB", (400, 300), colour), kind)) == "near_blank"


def test_faint_noise_is_near_blank() -> None:
    noise = np.random.default_rng(1).integers(126, 130, (300, 400), dtype=np.uint8)
    assert reason(saved(Image.fromarray(noise))) == "near_blank"


def test_a_wholly_transparent_image_is_near_blank() -> None:
    assert reason(saved(Image.new("RGBA", (400, 300), (10, 200, 30, 0)))) == "near_blank"


def test_a_small_mark_on_white_shows_little() -> None:
    image = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(image).rectangle((190, 140, 240, 190), fill=0)
    assert reason(saved(image)) == "low_information"


def test_a_drawing_with_thin_lines_is_kept() -> None:
    image = Image.new("L", (400, 300), 255)
    draw = ImageDraw.Draw(image)
    for place in range(0, 400, 20):
        draw.line((place, 0, 400 - place, 300), fill=0, width=2)
    assert reason(saved(image)) == ""


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 3), (2, 2000)])
def test_a_hair_line_is_a_spacer(size: tuple[int, int]) -> None:
    assert reason(saved(Image.new("RGB", size))) == "spacer"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("side", [16, 64, 128])
def test_a_small_square_that_is_no_jpeg_is_an_icon(kind: str, side: int) -> None:
    assert reason(make_image(1, width=side, height=side, kind=kind)) == "icon"


@pytest.mark.parametrize(
    ("width", "height", "kind", "wanted"),
    [
        (128, 128, "JPEG", ""),
        (129, 129, "PNG", ""),
        (128, 110, "PNG", ""),
        (64, 64, "JPEG", "too_small"),
    ],
)
def test_images_of_another_shape_are_no_icons(
    width: int, height: int, kind: str, wanted: str
) -> None:
    assert reason(make_image(1, width=width, height=height, kind=kind)) == wanted


def test_the_recipe_turns_each_filter_off() -> None:
    off = ImageRules(
        min_bytes=0,
        min_side_px=1,
        max_aspect=9999,
        min_contrast=0,
        min_entropy_bits=0,
        max_icon_side_px=0,
    )
    for image in (
        Image.new("RGB", (400, 300)),
        Image.new("RGB", (64, 64)),
        Image.new("RGB", (1, 1)),
    ):
        assert isinstance(check_image(saved(image), off), ImageFacts)


def test_the_detail_is_the_observed_value() -> None:
    found = check_image(saved(Image.new("RGB", (400, 300))), RULES)
    assert found == Drop("near_blank", "contrast 0.0")
    assert check_image(saved(Image.new("RGB", (300, 1))), RULES) == Drop("spacer", "300x1")
