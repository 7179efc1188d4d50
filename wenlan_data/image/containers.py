"""PNG, GIF, WebP and AVIF files, read without decoding: the image's size, and whether the file is
intact."""

import struct
import zlib
from collections.abc import Callable, Iterator

from wenlan_data.image.limits import MAX_METADATA_BYTES
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop


def frame_size(data: bytes, kind: str) -> tuple[int, int] | Drop:
    """Width and height in pixels, as the header of a `png`, `gif`, `webp` or `avif` states them."""
    try:
        return _SIZES[kind](data)
    except (struct.error, IndexError):
        return Drop(Reason.TRUNCATED, "header")


def check_integrity(data: bytes, kind: str) -> Drop | None:
    """Returns `truncated` if the end mark is missing, `undecodable` if a checksum is wrong, else
    None.

    Also `too_large` if a block of metadata in a `png` or `webp` exceeds `MAX_METADATA_BYTES`.
    """
    try:
        return _INTEGRITY_CHECKS[kind](data)
    except (struct.error, IndexError):
        return Drop(Reason.TRUNCATED, f"no end mark in {len(data)} bytes")


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
    return Drop(Reason.UNDECODABLE, "unknown WebP chunk")


def _check_png(data: bytes) -> Drop | None:
    # Pillow skips the checksums of the pixel chunks, so that a flipped bit would pass.
    position = 8
    while True:
        length, name = struct.unpack_from(">I4s", data, position)
        (stated,) = struct.unpack_from(">I", data, position + 8 + length)
        # Bit 5 of the first letter of a chunk's name marks it as ancillary: a wrong checksum there
        # costs no pixel.
        is_critical = not name[0] & 0x20
        if name in _PNG_METADATA and length > MAX_METADATA_BYTES:
            return _metadata_too_large(name, length)
        if (
            is_critical
            and zlib.crc32(memoryview(data)[position + 4 : position + 8 + length]) != stated
        ):
            return Drop(Reason.UNDECODABLE, f"checksum of {name.decode('latin-1')}")
        if name == b"IEND":
            return None
        position += 12 + length


def _check_gif(data: bytes) -> Drop | None:
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
            return Drop(Reason.UNDECODABLE, "unknown GIF block")
        while data[position]:
            position += 1 + data[position]
        position += 1
    return None


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_webp(data: bytes) -> Drop | None:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        return Drop(Reason.TRUNCATED, f"{len(data)} of {length + 8} bytes")
    position = 12
    while position + 8 <= length + 8:
        name, size = struct.unpack_from("<4sI", data, position)
        if name in _WEBP_METADATA and size > MAX_METADATA_BYTES:
            return _metadata_too_large(name, size)
        position += 8 + size + (size & 1)
    return None


def _metadata_too_large(name: bytes, size: int) -> Drop:
    return Drop(Reason.TOO_LARGE, f"{name.decode('latin-1').strip()} of {size} bytes")


def _avif_size(data: bytes) -> tuple[int, int] | Drop:
    """The largest extent of any item: the alpha plane and a thumbnail have one too."""
    sizes = [
        struct.unpack_from(">II", data, start + 4)
        for start, _ in _find_boxes(data, 0, len(data), _TO_EXTENTS)
    ]
    if not sizes:
        return Drop(Reason.TRUNCATED, "no extents")
    return max(sizes, key=lambda size: size[0] * size[1])


def _check_avif(data: bytes) -> Drop | None:
    end = 0
    for start, stop, _ in _boxes(data, 0, len(data), with_truncated=True):
        end = stop
        if stop > len(data):
            return Drop(Reason.TRUNCATED, f"{len(data)} of {stop} bytes or more")
        if stop == start:
            break
    return None if end else Drop(Reason.TRUNCATED, "no box")


_TO_EXTENTS = (b"meta", b"iprp", b"ipco", b"ispe")
_MAX_BOXES = 1000


def _find_boxes(
    data: bytes, start: int, stop: int, path: tuple[bytes, ...]
) -> Iterator[tuple[int, int]]:
    """Yields start and end of the content of each ISO box at `path`, a name for each level."""
    for inner, end, name in _boxes(data, start, stop):
        if name != path[0]:
            continue
        if len(path) == 1:
            yield inner, end
        else:
            # `meta` holds four bytes of version and flags before its boxes.
            yield from _find_boxes(data, inner + (4 if name == b"meta" else 0), end, path[1:])


def _boxes(
    data: bytes, start: int, stop: int, *, with_truncated: bool = False
) -> Iterator[tuple[int, int, bytes]]:
    """Yields start and end of the content, and the name, of the ISO boxes between `start` and
    `stop`.

    A box that ends beyond `stop` is yielded only with `with_truncated`.
    """
    # Bounded: a hostile file may hold a box in every 8 bytes.
    for _ in range(_MAX_BOXES):
        if start + 8 > stop:
            return
        size, name = struct.unpack_from(">I4s", data, start)
        inner = start + 8
        if size == 1 and inner + 8 <= stop:
            (size,) = struct.unpack_from(">Q", data, inner)
            inner += 8
        # Size 0 means: to the end of the file.
        end = stop if size == 0 else start + size
        if end < inner or (end > stop and not with_truncated):
            return
        yield inner, end, name
        start = end


_PNG_METADATA = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP"}
_WEBP_METADATA = {b"EXIF", b"XMP ", b"ICCP"}

_SIZES: dict[str, Callable[[bytes], tuple[int, int] | Drop]] = {
    "png": _png_size,
    "gif": _gif_size,
    "webp": _webp_size,
    "avif": _avif_size,
}
_INTEGRITY_CHECKS: dict[str, Callable[[bytes], Drop | None]] = {
    "png": _check_png,
    "gif": _check_gif,
    "webp": _check_webp,
    "avif": _check_avif,
}
