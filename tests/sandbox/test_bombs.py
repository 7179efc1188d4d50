"""Small files that expand to large ones: each is refused with its reason, in seconds, by a process
that stays small."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox import client as sandbox
from wenlan_data.testing import make_image

ANY = ImageRules(
    min_bytes=0, min_side_px=1, max_aspect=20_000, formats=("jpeg", "png", "webp", "gif", "avif")
)
MIB = 1 << 20


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *extra: bytes, colours: int = 2, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    body = zlib.compress(pixels or bytes((width * 3 + 1) * min(height, 100)), 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(extra)
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


def small_png(*extra: bytes) -> bytes:
    data = make_image(1, width=200, height=200, kind="PNG")
    return data[:33] + b"".join(extra) + data[33:]


def zeros(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()


def inflating_pixels() -> bytes:
    """A PNG whose pixels are 64 times what its header states."""
    return png(1000, 1000, pixels=bytes(3001 * 64_000))


def many_scans(scans: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1))).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + b"\xff\xd9"


def large_jpeg(width: int, height: int) -> bytes:
    data = make_image(1)
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def many_frames() -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1, width=150, height=150))).convert("P").save(out, "GIF")
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    return out.getvalue()[:-1] + frame * 300_000 + b"\x3b"


def webp_with(name: bytes, size: int) -> bytes:
    data = make_image(1, kind="WEBP")
    body = data[12:] + name + struct.pack("<I", size) + bytes(size + (size & 1))
    extended = (
        b"VP8X"
        + struct.pack("<IB3x", 10, 0x0C)
        + (319).to_bytes(3, "little")
        + (239).to_bytes(3, "little")
    )
    return b"RIFF" + struct.pack("<I", 4 + len(extended) + len(body)) + b"WEBP" + extended + body


def exif_loop() -> bytes:
    """64 KB of EXIF whose directory is its own successor and its own sub-directory."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    tiff = b"II*\0" + struct.pack("<IH", 8, 5000) + entry * 5000 + struct.pack("<I", 8)
    content = (b"Exif\0\0" + tiff)[:65_533]
    data = make_image(1)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + data[2:]


def many_segments() -> bytes:
    data = make_image(1)
    return data[:2] + (b"\xff\xe1\xff\xff" + bytes(65_533)) * 160 + data[2:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "60,000 squared PNG": lambda: png(60_000, 60_000),
    "13,000 squared PNG": lambda: png(13_000, 13_000),
    "one-pixel-high PNG of 2 G pixels": lambda: png(2_000_000_000, 1, pixels=bytes(1000)),
    "38 bytes of WebP, 16,383 squared": lambda: (
        b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f"
        + struct.pack("<I", 16_382 | 16_382 << 14)
        + bytes(13)
    ),
    "WebP canvas of 16 M squared": lambda: (
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6
    ),
    "GIF screen of 65,535 squared": lambda: (
        b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(50)
    ),
    "JPEG of 65,000 squared": lambda: large_jpeg(65_000, 65_000),
    "JPEG of 64 MP and a few": lambda: large_jpeg(8_001, 8_000),
    "JPEG of a thousand scans": lambda: many_scans(1000),
    "JPEG of a thousand scans and 64 MP": lambda: many_scans(1000).replace(
        struct.pack(">HH", 240, 320), struct.pack(">HH", 8000, 8000), 1
    ),
    "PNG with a text of 1 GB": lambda: small_png(chunk(b"zTXt", b"Comment\0\0" + zeros(1024))),
    "PNG with a profile of 1 GB": lambda: small_png(chunk(b"iCCP", b"icc\0\0" + zeros(1024))),
    "PNG with an XMP of 10 MB": lambda: small_png(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + bytes(10 * MIB))
    ),
    "PNG with an EXIF of 2 MB": lambda: small_png(chunk(b"eXIf", bytes(2 * MIB))),
    "WebP with an XMP of 10 MB": lambda: webp_with(b"XMP ", 10 * MIB),
}
HARMLESS: dict[str, Callable[[], bytes]] = {
    "GIF of 300,000 frames": many_frames,
    "EXIF that refers to itself": exif_loop,
    "10 MB of APP1 segments": many_segments,
    "PNG with too many pixels": inflating_pixels,
}


@pytest.fixture(autouse=True)
def new_worker() -> None:
    sandbox.close_all()


def fork_peak_bytes() -> int:
    fork_pid = sandbox._idle[-1].fork_pid
    line = next(
        one
        for one in Path(f"/proc/{fork_pid}/status").read_text().splitlines()
        if one.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def own_bytes() -> int:
    line = next(
        one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS")
    )
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_name_and_costs_little(name: str) -> None:
    data = BOMBS[name]()
    sandbox.check_image(make_image(1), ANY)
    before, started = own_bytes(), time.monotonic()
    found = sandbox.check_image(data, ANY)
    assert isinstance(found, Drop)
    assert found.reason == "too_large", found
    # The limits are ten seconds and 1 GiB; no bomb comes near either, so that a busy machine
    # passes.
    assert time.monotonic() - started < 10
    assert fork_peak_bytes() < 1 << 30
    assert own_bytes() - before < 16 * MIB + len(data)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_file_that_only_resembles_a_bomb_gives_its_first_frame_or_a_drop(name: str) -> None:
    found = sandbox.check_image(HARMLESS[name](), ANY)
    assert isinstance(found, ImageFacts) or found.reason in {
        "too_large",
        "undecodable",
        "near_blank",
    }
    assert fork_peak_bytes() < 1 << 30


@pytest.mark.parametrize("colours", [2, 6])
def test_the_largest_image_allowed_stays_within_the_limits(colours: int) -> None:
    side = 8_000
    samples = 3 if colours == 2 else 4
    rows = b"\0" + bytes(range(256)) * (side * samples // 256) + bytes(side * samples % 256)
    data = png(side, side, colours=colours, pixels=rows * side)
    found = sandbox.check_image(data, ANY)
    # Its stripes average out in the thumbnail, so that near_blank too proves a complete decoding.
    assert isinstance(found, ImageFacts) or found.reason == "near_blank", found
    assert fork_peak_bytes() < 1 << 30
