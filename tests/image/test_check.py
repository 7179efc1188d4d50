import hashlib
import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.testing import make_image

RULES = ImageRules()
ANY = ImageRules(min_bytes=0, min_side_px=1, max_aspect=1000)
INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def photo(seed: int = 7, width: int = 320, height: int = 240) -> Image.Image:
    return Image.open(io.BytesIO(make_image(seed, width=width, height=height, quality=95))).convert(
        "RGB"
    )


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def facts(data: bytes, rules: ImageRules = RULES) -> ImageFacts:
    found = check_image(data, rules)
    assert isinstance(found, ImageFacts), found
    return found


def reason(data: bytes, rules: ImageRules = ANY) -> str:
    found = check_image(data, rules)
    assert isinstance(found, Drop), found
    return found.reason


def hash_distances(one: ImageFacts, other: ImageFacts) -> tuple[int, int]:
    pdq = int.from_bytes(one.pdq, "big") ^ int.from_bytes(other.pdq, "big")
    return (one.phash ^ other.phash).bit_count(), pdq.bit_count()


def test_facts_of_an_accepted_image() -> None:
    data = make_image(1)
    found = facts(data)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert (found.bytes, found.format, found.width, found.height) == (len(data), "jpeg", 320, 240)
    assert 0 < found.phash < 1 << 64
    assert len(found.pdq) == 32


@pytest.mark.parametrize(
    ("data", "drop"),
    [
        (b"", Drop("empty_body")),
        (b"\xff\xd8\xff" + bytes(500), Drop("too_few_bytes", "503")),
        (b"<!DOCTYPE html><html>" + b" " * 3000, Drop("not_image", "html")),
        (b"<svg onload='x()'/>" + b" " * 3000, Drop("not_image", "svg")),
        (b"%PDF-1.4" + bytes(3000), Drop("not_image", "pdf")),
        (bytes(3000), Drop("not_image", "unknown")),
        (b"II*\0" + bytes(3000), Drop("format", "tiff")),
        (make_image(1, width=99, height=300), Drop("too_small", "99x300")),
        (make_image(1, width=401, height=100), Drop("aspect", "401x100")),
    ],
)
def test_an_image_that_the_rules_refuse_is_a_drop_with_the_observed_value(
    data: bytes, drop: Drop
) -> None:
    assert check_image(data, RULES) == drop


def test_limits_themselves_are_accepted() -> None:
    assert facts(make_image(1, width=400, height=100)).width == 400


def test_a_format_that_the_recipe_does_not_list_is_refused() -> None:
    assert check_image(saved(photo(), "PNG"), ImageRules(formats=("jpeg",))) == Drop(
        "format", "png"
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16"])
def test_png_of_every_mode_is_taken(mode: str) -> None:
    image = photo()
    if mode == "I;16":
        image = Image.frombytes(
            "I;16", image.size, b"".join(bytes([0, v]) for v in image.convert("L").tobytes())
        )
    elif mode == "PA":
        image = image.convert("P")
        image.info["transparency"] = bytes(range(256))
    else:
        image = image.convert(mode)
    assert facts(saved(image, "PNG"), ANY).width == 320


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_of_every_mode_hashes_like_the_png_of_it(mode: str, progressive: bool) -> None:
    image = photo().convert("L").convert(mode) if mode == "L" else photo().convert(mode)
    found = facts(saved(image, progressive=progressive, quality=95))
    bits, pdq_bits = hash_distances(found, facts(saved(image.convert("RGB"), "PNG")))
    assert bits <= 4
    assert pdq_bits <= 31


@pytest.mark.parametrize("orientation", range(1, 9))
def test_hashes_and_size_are_those_of_the_upright_image(orientation: int) -> None:
    upright = photo(width=600, height=520)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(INVERSE[orientation]) if orientation > 1 else upright
    for kind in ("JPEG", "PNG", "WEBP"):
        found = facts(saved(stored, kind, exif=exif))
        assert (found.width, found.height) == (600, 520)
        bits, pdq_bits = hash_distances(found, facts(saved(upright)))
        assert bits <= 4
        assert pdq_bits <= 31


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_cut_anywhere_is_truncated(kind: str) -> None:
    data = saved(photo(), kind)
    for length in (len(data) * 3 // 10, len(data) // 2, len(data) * 9 // 10, len(data) - 1):
        assert reason(data[:length]) == "truncated", length


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_with_its_end_mark_put_back_is_truncated(progressive: bool) -> None:
    data = saved(photo(), progressive=progressive)
    assert reason(data[: len(data) // 2] + b"\xff\xd9") == "truncated"


def with_jfif_2(data: bytes) -> bytes:
    return data.replace(b"JFIF\0\x01", b"JFIF\0\x02", 1)


def with_odd_scan_header(data: bytes) -> bytes:
    spectral_end = data.index(b"\xff\xda") + 12
    return data[:spectral_end] + b"\0" + data[spectral_end + 1 :]


def with_padding(data: bytes) -> bytes:
    return data[:-2] + b"\0\0\0" + data[-2:]


@pytest.mark.parametrize("odd", [with_jfif_2, with_odd_scan_header, with_padding])
def test_a_jpeg_whose_oddity_costs_no_pixel_is_taken_and_still_checked(
    odd: Callable[[bytes], bytes],
) -> None:
    data = saved(photo(), progressive=odd is with_padding)
    strange = odd(data)
    assert strange != data
    assert hash_distances(facts(strange), facts(data)) == (0, 0)
    assert reason(strange[:-500]) == "truncated"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_random_corruption_never_raises_and_is_deterministic(kind: str) -> None:
    rng = random.Random(kind)
    data = saved(photo(width=120, height=110), kind)
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            broken[rng.randrange(min(len(broken), rng.choice([64, 700, len(broken)])))] = (
                rng.randrange(256)
            )
        found = check_image(bytes(broken), ANY)
        assert found == check_image(bytes(broken), ANY)
        assert not isinstance(found, Drop) or "0x7" not in found.detail


def bomb_png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c))
        for c in (header, body, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bomb_jpeg(width: int, height: int) -> bytes:
    data = make_image(1)
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


@pytest.mark.parametrize(
    "data",
    [
        bomb_png(60_000, 60_000),
        bomb_png(13_000, 13_000),
        bomb_png(16_385, 100),
        bomb_jpeg(8_001, 8_000),
        bomb_jpeg(65_000, 65_000),
        b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(50),
        b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f"
        + struct.pack("<I", 16_382 | 16_382 << 14)
        + bytes(20),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" * 2,
    ],
)
def test_bombs_are_refused_by_their_header(data: bytes) -> None:
    tracemalloc.start()
    try:
        assert reason(data) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_a_thousand_scans_is_refused() -> None:
    data = saved(photo(), progressive=True)
    last = data.rindex(b"\xff\xda")
    assert reason(data[:-2] + data[last:-2] * 1000 + b"\xff\xd9") == "too_large"


def test_a_huge_text_chunk_in_a_png_is_refused_by_name() -> None:
    body = b"zTXtComment\0\0" + zlib.compress(bytes(100 << 20))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved(photo(), "PNG")
    assert reason(data[:33] + chunk + data[33:]) == "too_large"


def test_the_first_frame_of_an_animation_counts() -> None:
    for kind in ("GIF", "WEBP"):
        data = saved(photo(1), kind, save_all=True, append_images=[photo(2)])
        bits, _ = hash_distances(facts(data), facts(saved(photo(1), "PNG")))
        assert bits <= 4


def test_trailing_bytes_do_no_harm() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        data = saved(photo(), kind)
        assert hash_distances(facts(data), facts(data + b"PK\x03\x04<html>")) == (0, 0)
