import struct

import pytest
from PIL import Image

from wenlan_data.image.exif import orientation_of


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(value: int, order: str) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(f"{order}HHIHH", 0x0100, 3, 1, 640, 0)
    block = (
        mark
        + struct.pack(f"{order}IH", 8, 2)
        + other
        + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, value, 0)
    )
    assert orientation_of(block) == orientation_of(b"Exif\0\0" + block) == value


def test_orientation_that_pillow_writes_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert orientation_of(exif.tobytes()) == 6


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"http://ns.adobe.com/xap/1.0/",
    ],
)
def test_a_corrupt_block_means_upright(block: bytes) -> None:
    assert orientation_of(block) == 1


def test_an_impossible_orientation_means_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert orientation_of(exif.tobytes()) == 1
