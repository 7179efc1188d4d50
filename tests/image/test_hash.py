import io

import imagehash
import numpy as np
import pytest
from PIL import Image

from wenlan_data.image.check import check_image
from wenlan_data.image.hash import (
    HASH_VERSION,
    THUMBNAIL_PX,
    colour_thumbnail,
    grey_thumbnail,
    perceptual_hashes,
    quarter_colours,
)
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import ImageFacts
from wenlan_data.testing import make_image


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def bits_apart(one: bytes, other: bytes) -> tuple[int, int]:
    first, second = (check_image(data, ImageRules(min_bytes=0)) for data in (one, other))
    assert isinstance(first, ImageFacts)
    assert isinstance(second, ImageFacts)
    pdq = int.from_bytes(first.pdq, "big") ^ int.from_bytes(second.pdq, "big")
    return (first.phash ^ second.phash).bit_count(), pdq.bit_count()


def test_colours_are_cb_and_cr_of_the_quarters_from_the_upper_left_on() -> None:
    pixels = np.zeros((256, 128, 3), np.uint8)
    pixels[:128, :64], pixels[:128, 64:], pixels[128:, :64], pixels[128:, 64:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        90,
    )
    red, green, blue, none = [85, 255], [43, 21], [255, 107], [128, 128]
    assert list(quarter_colours(colour_thumbnail(pixels))) == [*red, *green, *blue, *none]
    assert (
        quarter_colours(colour_thumbnail(pixels[..., 0]))
        == quarter_colours(colour_thumbnail(np.full((9, 9, 3), 200, np.uint8)))
        == bytes([128] * 8)
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_colours_are_those_of_the_upright_image_in_every_format(kind: str) -> None:
    image = Image.new("RGB", (400, 300), (30, 160, 60))
    image.paste((200, 40, 60), (0, 0, 200, 150))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    files = [saved(image, kind, quality=90), saved(turned, kind, quality=90, exif=exif.tobytes())]
    for data in files:
        facts = check_image(data, ImageRules(min_bytes=0, min_entropy_bits=0))
        assert isinstance(facts, ImageFacts)
        assert (
            np.abs(
                np.frombuffer(facts.colours, np.uint8).astype(int) - [111, 206, *[100, 71] * 3]
            ).max()
            <= 3
        )


@pytest.mark.parametrize("seed", range(4))
def test_copies_stay_near_and_others_stay_far(seed: int) -> None:
    data = make_image(seed, width=800, height=600, quality=90)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    half = image.resize((400, 300), Image.Resampling.LANCZOS)
    copies = [
        saved(half),
        saved(image, quality=50),
        saved(image, "PNG", compress_level=1),
        saved(half, "WEBP"),
    ]
    for copy in copies:
        bits, pdq_bits = bits_apart(data, copy)
        assert bits <= 4
        assert pdq_bits <= 31
    assert bits_apart(data, make_image(seed + 100, width=800, height=600))[0] > 8


def test_the_thumbnail_is_the_same_for_grey_and_colour_pixels() -> None:
    grey = np.asarray(Image.open(io.BytesIO(make_image(3))).convert("L"))
    colour = np.repeat(grey[..., None], 3, axis=2)
    assert grey_thumbnail(grey).shape == (THUMBNAIL_PX, THUMBNAIL_PX)
    assert np.array_equal(grey_thumbnail(grey), grey_thumbnail(colour))


def test_phash_is_that_of_imagehash_with_its_first_bit_highest() -> None:
    small = grey_thumbnail(np.asarray(Image.open(io.BytesIO(make_image(3))).convert("L")))
    phash, pdq = perceptual_hashes(small)
    assert f"{phash:016x}" == str(imagehash.phash(Image.fromarray(small)))
    assert len(pdq) == 32


def test_known_hashes_of_version_4() -> None:
    rows, columns = np.mgrid[0:THUMBNAIL_PX, 0:THUMBNAIL_PX]
    small = (127 + 60 * np.sin(rows / 9 + 1) + 60 * np.cos(columns / 5 + rows / 31)).astype(
        np.uint8
    )
    phash, pdq = perceptual_hashes(small)
    assert HASH_VERSION == 4
    assert f"{phash:016x}" == "adf8d27852787258"
    assert pdq.hex() == "caa7caefbaa79e0f8aa7faaf80a51eaf9aa52a0fa8a5aa8f8aa5000faaa5000f"
