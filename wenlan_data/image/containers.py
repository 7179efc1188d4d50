"""PNG, GIF and WebP files without decoding them: how large the picture is, and whether the file is whole."""

import struct
import zlib
from collections.abc import Callable

from wenlan_data.records import Drop


def frame_size(data: bytes, kind: str) -> tuple[int, int] | Drop:
    """Width and height in pixels that the header of a `png`, `gif` or `webp` states."""
    try:
        return _SIZES[kind](data)
    except (struct.error, IndexError):
        return Drop("truncated", "header")


def damage(data: bytes, kind: str) -> Drop | None:
    """`truncated` where the end mark is missing, `undecodable` where a checksum is wrong, else None."""
    try:
        return _CHECKS[kind](data)
    except (struct.error, IndexError):
        return Drop("truncated", f"no end mark in {len(data)} bytes")


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int] | Drop:
    kind = data[12:16]
    if kind == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", data, 24)
        return (low_w | high_w << 16) + 1, (low_h | high_h << 16) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return Drop("undecodable", "unknown WebP chunk")


def _png_damage(data: bytes) -> Drop | None:
    """Pillow skips the checksums of the pixel chunks, so that a flipped bit would pass."""
    position = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, position)
        (stated,) = struct.unpack_from(">I", data, position + 8 + length)
        critical = not name[0] & 0x20
        if critical and zlib.crc32(memoryview(data)[position + 4 : position + 8 + length]) != stated:
            return Drop("undecodable", f"checksum of {name.decode('latin-1')}")
        if name == b"IEND":
            return None
        position += 12 + length


def _gif_damage(data: bytes) -> Drop | None:
    position = 13 + _colour_table_bytes(data[10])
    while data[position] != 0x3B:
        if data[position] == 0x2C:
            position += 11 + _colour_table_bytes(data[position + 9])
        elif data[position] == 0x21:
            position += 2
        elif data[position] == 0:  # padding that some writers leave between blocks
            position += 1
            continue
        else:
            return Drop("undecodable", "unknown GIF block")
        while data[position]:
            position += 1 + data[position]
        position += 1
    return None


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp_damage(data: bytes) -> Drop | None:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        return Drop("truncated", f"{len(data)} of {length + 8} bytes")
    return None


_SIZES: dict[str, Callable[[bytes], tuple[int, int] | Drop]] = {
    "png": _png_size,
    "gif": _gif_size,
    "webp": _webp_size,
}
_CHECKS: dict[str, Callable[[bytes], Drop | None]] = {
    "png": _png_damage,
    "gif": _gif_damage,
    "webp": _webp_damage,
}
