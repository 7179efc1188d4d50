"""Files that are mostly metadata: each is refused as `too_large`, in time that is linear in its
bytes."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image

from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.thumbnail import thumbnail_jpeg
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.testing import make_image

RULES = ImageRules(
    min_bytes=0, min_side_px=1, max_icon_side_px=1, formats=("jpeg", "png", "webp", "gif", "avif")
)
MIB = 1 << 20


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*parts: bytes) -> bytes:
    data = make_image(1)
    return data[:2] + b"".join(parts) + data[2:]


def many_scans(before: bytes, between: bytes = b"") -> bytes:
    """A JPEG of a thousand scans, each a pass over all pixels, after segments that hide them."""
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1))).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    scans = (between + data[last:-2]) * 1000
    return data[:2] + before + data[2:-2] + scans + b"\xff\xd9"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    data = make_image(1, kind="PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def sub_blocks(content: bytes, size: int) -> bytes:
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    return b"".join(bytes((len(piece),)) + piece for piece in pieces) + b"\0"


def gif_with(*extensions: bytes) -> bytes:
    data = make_image(1, kind="GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + b"".join(extensions) + data[start:]


def webp_with(*chunks: tuple[bytes, bytes]) -> bytes:
    body = make_image(1, kind="WEBP")[12:]
    extended = b"VP8X" + struct.pack("<IB3x", 10, 0) + struct.pack("<I", 319)[:3]
    body = extended + struct.pack("<I", 239)[:3] + body
    body += b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) & 1)
        for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def avif_with(*boxes: tuple[bytes, bytes]) -> bytes:
    extra = (struct.pack(">I", 8 + len(content)) + name + content for name, content in boxes)
    return make_image(1, kind="AVIF") + b"".join(extra)


TOO_LARGE: dict[str, Callable[[], bytes]] = {
    "JPEG: 2,000 comments": lambda: jpeg_with(segment(0xFE, b"x") * 2000),
    "JPEG: 9 MB of comments": lambda: jpeg_with(segment(0xFE, bytes(65_000)) * 140),
    "JPEG: 9 MB of APP13": lambda: jpeg_with(segment(0xED, bytes(65_000)) * 140),
    "JPEG: 2,000 APPn of all kinds": lambda: jpeg_with(
        *(segment(0xE0 + number % 16, b"x") for number in range(1, 2001))
    ),
    "JPEG: 25,000 comments before 1,000 scans": lambda: many_scans(segment(0xFE, b"") * 25_000),
    "JPEG: 25,000 tables before 1,000 scans": lambda: many_scans(segment(0xDD, b"\0\0") * 25_000),
    "JPEG: 25,000 fill bytes before 1,000 scans": lambda: many_scans(b"\xff" * 25_000),
    "JPEG: 25,000 restart marks before 1,000 scans": lambda: many_scans(b"\xff\xd0" * 25_000),
    "JPEG: a comment before each of 1,000 scans": lambda: many_scans(b"", segment(0xFE, b"x")),
    "JPEG: a million comments": lambda: jpeg_with(segment(0xFE, b"") * 1_000_000),
    "PNG: 2,000 texts": lambda: png_with(chunk(b"tEXt", b"a\0b") * 2000),
    "PNG: 9 MB of texts": lambda: png_with(chunk(b"tEXt", b"a\0" + bytes(900_000)) * 11),
    "PNG: 2,000 private chunks": lambda: png_with(chunk(b"mkBT", b"x") * 2000),
    "PNG: 9 MB in a private chunk": lambda: png_with(chunk(b"mkBT", bytes(9 * MIB))),
    "PNG: a million empty pixel chunks": lambda: (
        make_image(1, kind="PNG")[:33]
        + chunk(b"IDAT", b"") * 1_000_000
        + make_image(1, kind="PNG")[33:]
    ),
    "PNG: a million chunks": lambda: png_with(chunk(b"tIME", b"") * 1_000_000),
    "GIF: a comment of 2 MB": lambda: gif_with(b"!\xfe" + sub_blocks(bytes(2 * MIB), 255)),
    "GIF: a comment of 500 kB, byte by byte": lambda: gif_with(
        b"!\xfe" + sub_blocks(b"x" * 500_000, 1)
    ),
    "GIF: 2,000 comments": lambda: gif_with((b"!\xfe" + sub_blocks(b"x", 1)) * 2000),
    "GIF: 9 MB of comments": lambda: gif_with((b"!\xfe" + sub_blocks(bytes(900_000), 255)) * 11),
    "GIF: 9 MB of application extensions": lambda: gif_with(
        (b"!\xff" + sub_blocks(bytes(900_000), 255)) * 11
    ),
    "GIF: 2,000 plain texts": lambda: gif_with((b"!\x01" + sub_blocks(b"x" * 13, 13)) * 2000),
    "WebP: 2,000 unknown chunks": lambda: webp_with(*[(b"abcd", b"x")] * 2000),
    "WebP: 9 MB of unknown chunks": lambda: webp_with(*[(b"abcd", bytes(900_000))] * 11),
    "WebP: 200,000 empty frames": lambda: webp_with(*[(b"ANMF", b"")] * 200_000),
    "AVIF: 2,000 free boxes": lambda: avif_with(*[(b"free", b"x")] * 2000),
    "AVIF: 9 MB in a free box": lambda: avif_with((b"free", bytes(9 * MIB))),
    "AVIF: 9 MB of metadata": lambda: avif_with(*[(b"uuid", bytes(900_000))] * 11),
}
ACCEPTED: dict[str, Callable[[], bytes]] = {
    "JPEG: 3 MB of extended XMP": lambda: jpeg_with(segment(0xE1, bytes(65_000)) * 47),
    "JPEG: 100 comments": lambda: jpeg_with(segment(0xFE, b"x" * 100) * 100),
    "JPEG: fill bytes": lambda: jpeg_with(b"\xff" * 100),
    "PNG: 5 MB in chunks of an editor": lambda: png_with(chunk(b"mkBT", bytes(2_500_000)) * 2),
    "PNG: 200 texts": lambda: png_with(chunk(b"tEXt", b"a\0b") * 200),
    "GIF: an XMP of 300 kB": lambda: gif_with(
        b"!\xff\x0bXMP DataXMP" + sub_blocks(b"x" * 300_000, 120)
    ),
    "GIF: a comment of 30 kB": lambda: gif_with(b"!\xfe" + sub_blocks(b"x" * 30_000, 255)),
    "WebP: an XMP of 500 kB": lambda: webp_with((b"XMP ", b"x" * 500_000)),
    "AVIF: a free box": lambda: avif_with((b"free", bytes(1000))),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_file_of_too_much_metadata_is_too_large(name: str) -> None:
    data = TOO_LARGE[name]()
    found = check_image(data, RULES)
    assert isinstance(found, Drop)
    assert found.reason == "too_large", found
    assert thumbnail_jpeg(data, side_px=60, quality=70) is None


@pytest.mark.parametrize("name", ACCEPTED)
def test_usual_metadata_is_accepted(name: str) -> None:
    found = check_image(ACCEPTED[name](), RULES)
    assert isinstance(found, ImageFacts), found
