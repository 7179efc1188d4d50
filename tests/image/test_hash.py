import io

import imagehash
import numpy as np
import pytest
from PIL import Image

from wenlan_data.image.examine import examine
from wenlan_data.image.hash import HASH_VERSION, THUMBNAIL_PX, hashes, thumbnail
from wenlan_data.recipe import ImageRules
from wenlan_data.records import ImageFacts
from wenlan_data.testing import picture


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def bits_apart(one: bytes, other: bytes) -> tuple[int, int]:
    first, second = (examine(data, ImageRules(min_bytes=0)) for data in (one, other))
    assert isinstance(first, ImageFacts)
    assert isinstance(second, ImageFacts)
    pdq = int.from_bytes(first.pdq, "big") ^ int.from_bytes(second.pdq, "big")
    return (first.phash ^ second.phash).bit_count(), pdq.bit_count()


@pytest.mark.parametrize("seed", range(4))
def test_copies_stay_near_and_others_stay_far(seed: int) -> None:
    data = picture(seed, width=800, height=600, quality=90)
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
    assert bits_apart(data, picture(seed + 100, width=800, height=600))[0] > 8


def test_the_thumbnail_is_the_same_for_grey_and_colour_pixels() -> None:
    grey = np.asarray(Image.open(io.BytesIO(picture(3))).convert("L"))
    colour = np.repeat(grey[..., None], 3, axis=2)
    assert thumbnail(grey).shape == (THUMBNAIL_PX, THUMBNAIL_PX)
    assert np.array_equal(thumbnail(grey), thumbnail(colour))


def test_phash_is_that_of_imagehash_with_its_first_bit_highest() -> None:
    small = thumbnail(np.asarray(Image.open(io.BytesIO(picture(3))).convert("L")))
    phash, pdq = hashes(small)
    assert f"{phash:016x}" == str(imagehash.phash(Image.fromarray(small)))
    assert len(pdq) == 32


def test_known_hashes_of_version_2() -> None:
    rows, columns = np.mgrid[0:THUMBNAIL_PX, 0:THUMBNAIL_PX]
    small = (127 + 60 * np.sin(rows / 9 + 1) + 60 * np.cos(columns / 5 + rows / 31)).astype(np.uint8)
    phash, pdq = hashes(small)
    assert HASH_VERSION == 2
    assert f"{phash:016x}" == "adf8d27852787258"
    assert pdq.hex() == "caa7caefbaa79e0f8aa7faaf80a51eaf9aa52a0fa8a5aa8f8aa5000faaa5000f"
