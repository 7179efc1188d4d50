"""Frames between a build's worker and its sandbox process.

A frame is a head of 9 bytes (little-endian: kind u8, bytes of text u32, bytes of data u32), a short
text (mostly JSON) and data. Every request frame is answered by one response frame.
"""

import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate, pairwise

from wenlan_data.records import Drop, ImageFacts

Frame = tuple[int, bytes, bytes]
"""Kind, text and data."""

# Requests. The text holds the options as JSON, the data an image or a page.
CHECK, NORMALISE, PAIRS, LINKS = 1, 2, 3, 4
BATCH = 5
"""Several requests of one kind; the text is that kind (one byte) and its options."""
PIXELS = 6
EXPLAIN = 7
INLINE_IMAGE, THUMBNAIL = 9, 10

# Responses.
FACTS, DROP, IMAGE = 11, 12, 13
FAULT = 14
"""An exception that no decoder or parser is known to raise; the text is its message."""
DIED = 15
"""The process that did the work ended; the text is its exit status, negative for a signal."""
RESULT = 16
"""Any other result; empty where there is no image to return."""

OUT_OF_MEMORY = 8
"""Exit status of a process that reached its memory limit."""

_HEAD = struct.Struct("<BII")
_FACTS = struct.Struct("<QIIQ")
_PDQ_END = _FACTS.size + 32
_COLOURS_END = _PDQ_END + 8


def send(link: socket.socket, kind: int, text: bytes = b"", data: bytes = b"") -> None:
    """Sends one whole frame."""
    head = _HEAD.pack(kind, len(text), len(data)) + text
    # One system call, and no copy of an image of megabytes only to put nine bytes before it.
    sent = link.sendmsg([head, data])
    if sent < len(head) + len(data):
        link.sendall(memoryview(head + data)[sent:])


def receive(link: socket.socket) -> Frame | None:
    """Returns the next frame, or None if the other end is closed."""
    head = link.recv(_HEAD.size, socket.MSG_WAITALL)
    if len(head) < _HEAD.size:
        return None
    kind, text_bytes, data_bytes = _HEAD.unpack(head)
    text = _receive_exactly(link, text_bytes)
    data = _receive_exactly(link, data_bytes)
    return None if text is None or data is None else (kind, text, data)


def pack_batch(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one: their number, the length of each (u32), then the strings."""
    return b"".join([struct.pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts)), *parts])


def unpack_batch(raw: bytes) -> list[bytes]:
    """The byte strings of `pack_batch`."""
    (count,) = struct.unpack_from("<I", raw)
    ends = list(accumulate(struct.unpack_from(f"<{count}I", raw, 4), initial=4 * (count + 1)))
    return [raw[start:end] for start, end in pairwise(ends)]


def pack_facts(facts: ImageFacts) -> bytes:
    """Facts without the digest, as bytes: JSON would take as long as both system calls of a
    frame."""
    sizes = _FACTS.pack(facts.bytes, facts.width, facts.height, facts.phash)
    return sizes + facts.pdq + facts.colours + facts.format.encode()


def unpack_facts(raw: bytes, sha256: str) -> ImageFacts:
    """The facts of `pack_facts`, with the digest of the image."""
    size_bytes, width, height, phash = _FACTS.unpack_from(raw)
    pdq, colours = raw[_FACTS.size : _PDQ_END], raw[_PDQ_END:_COLOURS_END]
    return ImageFacts(
        sha256=sha256,
        bytes=size_bytes,
        format=raw[_COLOURS_END:].decode(),
        width=width,
        height=height,
        phash=phash,
        pdq=pdq,
        colours=colours,
    )


def pack_drop(drop: Drop) -> bytes:
    """A drop as JSON."""
    return json.dumps(asdict(drop)).encode()


def unpack_drop(text: bytes) -> Drop:
    """The drop of `pack_drop`."""
    return Drop(**json.loads(text))


def _receive_exactly(link: socket.socket, size_bytes: int) -> bytes | None:
    # Many texts and data are empty: no system call for them.
    if not size_bytes:
        return b""
    data = link.recv(size_bytes, socket.MSG_WAITALL)
    return data if len(data) == size_bytes else None
