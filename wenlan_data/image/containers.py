"""PNG, GIF, WebP and AVIF files, read without decoding: the image's size, and whether the file is
intact."""

import struct
import zlib
from collections.abc import Callable, Iterator

from wenlan_data.image.limits import MAX_BLOCKS, MAX_METADATA_TOTAL_BYTES, MetadataCount
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop


def frame_size(data: bytes, kind: str) -> tuple[int, int] | Drop:
    """Width and height in pixels, as the header of a `png`, `gif`, `webp` or `avif` states them."""
    try:
        return _SIZES[kind](data)
    except (struct.error, IndexError):
        return Drop(Reason.TRUNCATED, "header")
    except _TooManyBlocksError as error:
        return Drop(Reason.TOO_LARGE, str(error))


def check_integrity(data: bytes, kind: str) -> Drop | None:
    """Returns `truncated` if the end mark is missing, `undecodable` if a checksum is wrong, else
    None.

    Also `too_large` for more metadata or blocks than `image.limits` allows.
    """
    try:
        return _INTEGRITY_CHECKS[kind](data)
    except (struct.error, IndexError):
        return Drop(Reason.TRUNCATED, f"no end mark in {len(data)} bytes")
    except _TooManyBlocksError as error:
        return Drop(Reason.TOO_LARGE, str(error))


class _TooManyBlocksError(Exception):
    """More chunks or boxes than are read."""


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
    position, metadata = 8, MetadataCount()
    for _ in range(MAX_BLOCKS):
        length, name = struct.unpack_from(">I4s", data, position)
        (stated,) = struct.unpack_from(">I", data, position + 8 + length)
        # Bit 5 of the first letter of a chunk's name marks it as ancillary: a wrong checksum there
        # costs no pixel.
        is_critical = not name[0] & 0x20
        if not is_critical and name not in _PNG_FRAMES:
            # Some editors keep their layers in chunks of their own, which decoders skip.
            most = {} if name in _PNG_METADATA else {"max_bytes": MAX_METADATA_TOTAL_BYTES}
            if drop := metadata.add(_printable(name), length, **most):
                return drop
        if (
            is_critical
            and zlib.crc32(memoryview(data)[position + 4 : position + 8 + length]) != stated
        ):
            return Drop(Reason.UNDECODABLE, f"checksum of {_printable(name)}")
        if name == b"IEND":
            return None
        position += 12 + length
    raise _TooManyBlocksError(f"more than {MAX_BLOCKS} chunks")


def _check_gif(data: bytes) -> Drop | None:
    position, metadata, comment_blocks = 13 + _colour_table_bytes(data[10]), MetadataCount(), 0
    while data[position] != 0x3B:
        start, label = position, data[position + 1] if data[position] == 0x21 else -1
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
            comment_blocks += label == _GIF_COMMENT
        position += 1
        if label in _GIF_METADATA and (drop := metadata.add("extension", position - start)):
            return drop
        # Pillow joins them one by one, which takes quadratic time.
        if comment_blocks > _MAX_COMMENT_BLOCKS:
            return Drop(Reason.TOO_LARGE, f"more than {_MAX_COMMENT_BLOCKS} blocks of comments")
    return None


def _printable(name: bytes) -> str:
    return name.strip().decode("ascii") if name.strip().isalnum() else "a block"


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_webp(data: bytes) -> Drop | None:
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        return Drop(Reason.TRUNCATED, f"{len(data)} of {length + 8} bytes")
    position, metadata = 12, MetadataCount()
    for _ in range(MAX_BLOCKS):
        if position + 8 > length + 8:
            return None
        name, size = struct.unpack_from("<4sI", data, position)
        if name not in _WEBP_IMAGE and (drop := metadata.add(_printable(name), size)):
            return drop
        position += 8 + size + (size & 1)
    raise _TooManyBlocksError(f"more than {MAX_BLOCKS} chunks")


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
    end, metadata = 0, MetadataCount()
    for start, stop, name in _boxes(data, 0, len(data), with_truncated=True):
        end = stop
        if name not in _AVIF_IMAGE and (
            drop := metadata.add(
                _printable(name), min(stop, len(data)) - start, MAX_METADATA_TOTAL_BYTES
            )
        ):
            return drop
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
    raise _TooManyBlocksError(f"more than {_MAX_BOXES} boxes")


_PNG_METADATA = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP"}
_PNG_FRAMES = {b"fcTL", b"fdAT"}
_WEBP_IMAGE = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}
_AVIF_IMAGE = {b"ftyp", b"mdat", b"moov"}
_GIF_COMMENT = 0xFE
_GIF_METADATA = {0x01, _GIF_COMMENT, 0xFF}
"""Labels of plain texts, comments and extensions of applications; the others belong to a frame."""
_MAX_COMMENT_BLOCKS = 8192

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
