"""Real images through both hashes: copies are dropped, others kept."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from tests.dedupe.rows import Row, run
from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import ImageFacts
from wenlan_data.testing import make_image


def row_of(name: str, data: bytes) -> Row:
    facts = check_image(data, ImageRules())
    assert isinstance(facts, ImageFacts)
    pdq = int.from_bytes(facts.pdq, "big")
    return Row(url=name, phash=facts.phash, pdq=pdq, width=facts.width, height=facts.height)


def saved(image: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def watermarked(image: Image.Image) -> bytes:
    marked = image.copy()
    ImageDraw.Draw(marked).text(
        (image.width - 90, image.height - 20), "example.com", fill=(235, 235, 235)
    )
    return saved(marked, "JPEG", quality=85)


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "smaller": lambda image: saved(
        image.resize((image.width // 2, image.height // 2)), "JPEG", quality=85
    ),
    "worse": lambda image: saved(image, "JPEG", quality=30),
    "png": lambda image: saved(image, "PNG"),
    "webp": lambda image: saved(image, "WEBP", quality=75),
    "watermarked": watermarked,
}


@pytest.mark.parametrize("name", COPIES)
def test_of_an_image_and_its_copy_the_larger_is_kept(name: str, tmp_path: Path) -> None:
    original = make_image(41, width=640, height=480, quality=92)
    image = Image.open(io.BytesIO(original)).convert("RGB")
    larger = saved(image.resize((1280, 960), Image.Resampling.LANCZOS), "JPEG", quality=92)
    rows = [
        row_of("copy", COPIES[name](image)),
        row_of("larger", larger),
        row_of("other", make_image(42)),
    ]
    found = run(tmp_path / "a", rows)
    assert found.kept_urls() == ["larger", "other"]
    assert found.reasons() == {"copy": "near_duplicate"}
