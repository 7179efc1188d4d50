"""The structure of a JPEG file: its frame header, and a copy without metadata. No pixel is decoded.

A JPEG is a sequence of segments: 0xFF, a marker byte, two bytes of length, and the content. The
entropy-coded bytes of a scan follow its header (SOS) without a length; a 0xFF in them is followed
by 0x00 or by a restart marker.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from wenlan_data.image.exif import orientation_of
from wenlan_data.image.limits import MAX_JPEG_SCANS, MetadataCount
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_ICC_BYTES = 4 << 20
"""CMYK profiles of print shops take 0.5 to 2.5 MB; a larger one is not read and not stored."""
_MAX_SEGMENTS = 20_000
_SOS, _EOI, _APP0, _APP1, _APP2, _APP14, _COM = 0xDA, 0xD9, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_APPLICATION = frozenset(range(0xE0, 0xF0))
_TOO_MANY = -1
"""In place of a marker: the file holds more than `_MAX_SEGMENTS` segments and fill bytes."""
_TOO_MANY_SEGMENTS = Drop(Reason.TOO_LARGE, f"more than {_MAX_SEGMENTS} segments")
# All of SOF0 to SOF15; 0xC4, 0xC8 and 0xCC lie between them and are tables or reserved.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD})
# Markers without a length: TEM and the restart markers RST0 to RST7.
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_ICC = b"ICC_PROFILE\0"
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """The segments before the first scan."""

    width: int
    """Pixels, before EXIF orientation."""
    height: int
    components: int
    """1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK."""
    precision_bits: int
    frame: int
    """Marker of the frame: 0xC0, 0xC1 sequential, 0xC2 progressive, others arithmetic or
    lossless."""
    orientation: int
    """EXIF orientation, 1 to 8."""
    icc: bytes
    """ICC profile; empty if there is none, or it is incomplete."""


def read_header(data: bytes) -> JpegHeader | Drop:
    """Returns the header of a JPEG; `truncated` if the bytes end before the first scan, `too_large`
    if too many segments come before it."""
    frame: tuple[int, int] | None = None
    orientation = 0
    icc: list[bytes] = []
    for marker, start, end in _segments(data, before_scans=True):
        payload = start + 4
        if marker in _FRAMES:
            frame = frame or (marker, payload)
        elif marker == _APP1 and not orientation and data.startswith(b"Exif\0\0", payload):
            orientation = orientation_of(data[payload:end])
        elif marker == _APP2 and data.startswith(_ICC, payload):
            icc.append(data[payload + len(_ICC) : end])
        elif marker in {_SOS, _EOI}:
            return _header(data, frame, orientation or 1, _join_icc(icc))
        elif marker == _TOO_MANY:
            return _TOO_MANY_SEGMENTS
    return Drop(Reason.TRUNCATED, "no scan")


def _header(
    data: bytes, frame: tuple[int, int] | None, orientation: int, icc: bytes
) -> JpegHeader | Drop:
    if frame is None:
        return Drop(Reason.UNDECODABLE, "no frame header")
    marker, payload = frame
    try:
        precision_bits, height, width, components = struct.unpack_from(">BHHB", data, payload)
    except struct.error:
        return Drop(Reason.TRUNCATED, "frame header")
    return JpegHeader(
        width=width,
        height=height,
        components=components,
        precision_bits=precision_bits,
        frame=marker,
        orientation=orientation,
        icc=icc,
    )


def _join_icc(pieces: list[bytes]) -> bytes:
    # A profile of more than 64 KiB comes in segments, each with its number (from 1) and their
    # count; a set with a gap is no profile.
    ordered = sorted(piece for piece in pieces if len(piece) > 2)
    if [piece[0] for piece in ordered] != list(range(1, len(ordered) + 1)):
        return b""
    if sum(map(len, ordered)) > MAX_ICC_BYTES or any(piece[1] != len(ordered) for piece in ordered):
        return b""
    return b"".join(piece[2:] for piece in ordered)


def check_segments(data: bytes) -> Drop | None:
    """`too_large` for more scans, segments or metadata than the limits, else None.

    Each scan costs a pass over all pixels, even an empty one.
    """
    # An upper bound that is fast to count: it includes the scans of a thumbnail in the metadata.
    # Bytes after the only scan cost nothing.
    before_scans = data.count(b"\xff\xda") <= 1
    scans, metadata = 0, MetadataCount()
    for marker, start, end in _segments(data, before_scans=before_scans):
        drop = None
        if marker == _SOS:
            scans += 1
            if scans > MAX_JPEG_SCANS:
                drop = Drop(Reason.TOO_LARGE, f"more than {MAX_JPEG_SCANS} scans")
        elif marker == _COM or marker in _APPLICATION:
            name = "comment" if marker == _COM else f"APP{marker - _APP0}"
            drop = metadata.add(name, end - start)
        elif marker == _TOO_MANY:
            drop = _TOO_MANY_SEGMENTS
        if drop:
            return drop
    return None


def strip_metadata(data: bytes) -> bytes | None:
    """Returns the same image, with equal pixel bits, without any segment that decoding does not
    need.

    JFIF (without its thumbnail), the ICC profile and Adobe's colour mark are kept. All other APPn
    segments, comments and the bytes after the end marker are removed. None without an end marker.
    """
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    view = memoryview(data)
    for marker, start, end in _segments(data):
        if marker == _APP0 and data.startswith(b"JFIF\0", start + 4) and end - start >= 18:
            # Decoders warn of any version but 1.x, and some then refuse.
            version = data[start + 9 : start + 11] if data[start + 9] == 1 else b"\x01\x02"
            kept.append(
                b"\xff\xe0\x00\x10JFIF\0" + version + data[start + 11 : start + 16] + b"\0\0"
            )
        elif _is_needed(data, marker, start):
            kept.append(view[start:end])
        elif marker == _EOI:
            return b"".join([*kept, b"\xff\xd9"])
    return None


def _is_needed(data: bytes, marker: int, start: int) -> bool:
    if marker == _APP2:
        return data.startswith(_ICC, start + 4)
    # Adobe's segment states the colour transform: without it RGB would be read as YCbCr.
    if marker == _APP14:
        return data.startswith(b"Adobe", start + 4)
    return marker in _FRAMES or marker in _TABLES or marker == _SOS


def _segments(data: bytes, *, before_scans: bool = False) -> Iterator[tuple[int, int, int]]:
    """Yields marker, offset of its 0xFF and end offset of each segment, up to the end marker.

    A scan includes its entropy-coded bytes. With `before_scans` the header of the first scan is the
    last segment, and the bytes after it are not searched. The last marker of a file of too many
    segments is `_TOO_MANY`.
    """
    position = 2
    # Bounded: a hostile file may hold a segment in every 4 bytes.
    for _ in range(_MAX_SEGMENTS):
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            return
        marker = data[position + 1]
        if marker == _EOI:
            yield marker, position, position + 2
            return
        if marker in {0x00, 0xFF} or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        end = position + 2 + max(int.from_bytes(data[position + 2 : position + 4], "big"), 2)
        if end > len(data):
            return
        if marker == _SOS and not before_scans:
            found = _AFTER_SCAN.search(data, end)
            end = found.start() if found else len(data)
        yield marker, position, end
        if marker == _SOS and before_scans:
            return
        position = end
    yield _TOO_MANY, position, position
