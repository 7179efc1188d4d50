"""Builds tars block by block, with any bytes in the fields of their headers."""

import os
from pathlib import Path

END = bytes(1024)


def block(
    name: bytes = b"a.txt",
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: bytes | None = None,
    rest: dict[int, bytes] | None = None,
) -> bytes:
    """Returns a header with a right checksum, unless `checksum` is given; `rest` is written at its
    places."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    out = bytearray(512)
    fields = {
        0: name[:100],
        100: b"0000644\0",
        108: b"0000000\0",
        116: b"0000000\0",
        124: field[:12],
        136: b"00000000000\0",
        148: b" " * 8,
        156: kind,
        257: magic,
        345: prefix[:155],
        **(rest or {}),
    }
    for place, value in fields.items():
        out[place : place + len(value)] = value
    out[148:156] = checksum if checksum is not None else b"%06o\0 " % sum(out)
    return bytes(out)


def data(content: bytes) -> bytes:
    """Returns data with their padding."""
    return content + bytes(-len(content) % 512)


def member(name: bytes, content: bytes = b"x") -> bytes:
    """Returns a regular file."""
    return block(name, len(content)) + data(content)


def extension(kind: bytes, content: bytes) -> bytes:
    """Returns an extension header with its data."""
    return block(b"././@PaxHeader", len(content), kind) + data(content)


def record(keyword: bytes, value: bytes) -> bytes:
    """Returns a PAX record with the right length."""
    length = len(keyword) + len(value) + 3
    while len(str(length)) + len(keyword) + len(value) + 3 != length:
        length = len(str(length)) + len(keyword) + len(value) + 3
    return b"%d %s=%s\n" % (length, keyword, value)


def pax(keyword: bytes, value: bytes) -> bytes:
    """Returns a PAX header with one record."""
    return extension(b"x", record(keyword, value))


def write_sparse(path: Path, size: int, pieces: dict[int, bytes]) -> Path:
    """Writes a file of `size` bytes that takes little space: zeros but for the pieces."""
    with path.open("wb") as file:
        file.truncate(size)
        for place, piece in pieces.items():
            os.pwrite(file.fileno(), piece, place)
    return path
