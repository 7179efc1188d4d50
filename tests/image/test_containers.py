import io
import struct

import pytest
from PIL import Image

from wenlan_data.image.containers import check_integrity, frame_size
from wenlan_data.records import Drop
from wenlan_data.testing import make_image


def saved(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(5, width=123, height=77))).save(out, kind, **options)
    return out.getvalue()


FILES = [
    ("png", saved("PNG")),
    ("gif", saved("GIF")),
    ("webp", saved("WEBP")),
    ("webp", saved("WEBP", lossless=True)),
    ("webp", saved("WEBP", exif=b"Exif\0\0II*\0")),
]


@pytest.mark.parametrize(("kind", "data"), FILES)
def test_size_is_read_from_the_header(kind: str, data: bytes) -> None:
    assert frame_size(data[:40], kind) == (123, 77)


@pytest.mark.parametrize(("kind", "data"), FILES)
def test_a_complete_file_is_intact_and_a_cut_one_is_truncated(kind: str, data: bytes) -> None:
    assert check_integrity(data, kind) is None
    assert check_integrity(data + b"anything", kind) is None
    for length in (len(data) // 3, len(data) // 2, len(data) - 9, len(data) - 1):
        found = check_integrity(data[:length], kind)
        assert found is not None
        assert found.reason == "truncated"


def test_a_header_cut_short_is_truncated() -> None:
    for kind, data in FILES[:2]:
        assert frame_size(data[:9], kind) == Drop("truncated", "header")
    assert frame_size(b"RIFF\0\0\0\0WEBPVP8 ", "webp") == Drop("truncated", "header")


def test_a_flipped_bit_in_png_pixels_is_found() -> None:
    data = bytearray(saved("PNG"))
    data[len(data) // 2] ^= 4
    assert check_integrity(bytes(data), "png") == Drop("undecodable", "checksum of IDAT")


def test_a_wrong_checksum_of_a_text_chunk_is_accepted() -> None:
    data = saved("PNG")
    chunk = struct.pack(">I4s", 3, b"tEXt") + b"a\0b" + b"\0\0\0\0"
    assert check_integrity(data[:33] + chunk + data[33:], "png") is None


def test_an_animation_with_all_its_blocks_is_intact() -> None:
    out = io.BytesIO()
    frames = [Image.open(io.BytesIO(make_image(seed, width=60, height=40))) for seed in range(3)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], comment=b"hello", loop=0)
    assert check_integrity(out.getvalue(), "gif") is None
