"""What travels between a build's worker and its decoding process: a kind, a short text and bytes."""

import socket
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

from wenlan_data.records import ImageFacts

CHECK, NORMALISE, PAIRS, LINKS = 1, 2, 3, 4
BATCH = 5
"""Several pieces of work of one kind at once; the first byte of the options is the kind."""
PIXELS = 6
INLINE_IMAGE, THUMBNAIL = 9, 10
FACTS, DROP, IMAGE, FAULT, DIED, FOUND = 11, 12, 13, 14, 15, 16
OUT_OF_MEMORY = 8
"""The status with which the process ends that could not get what it asked for."""
_HEAD = struct.Struct("<BII")
_FACTS = struct.Struct("<QIIQ")
_PDQ_END = _FACTS.size + 32
_COLOURS_END = _PDQ_END + 8


def send(link: socket.socket, kind: int, text: bytes = b"", data: bytes = b"") -> None:
    """Send one frame whole."""
    head = _HEAD.pack(kind, len(text), len(data)) + text
    sent = link.sendmsg([head, data])
    if sent < len(head) + len(data):
        link.sendall(memoryview(head + data)[sent:])


def receive(link: socket.socket) -> tuple[int, bytes, bytes] | None:
    """The next frame, or None where the other end is closed."""
    head = link.recv(_HEAD.size, socket.MSG_WAITALL)
    if len(head) < _HEAD.size:
        return None
    kind, text_bytes, data_bytes = _HEAD.unpack(head)
    text = _exactly(link, text_bytes)
    data = _exactly(link, data_bytes)
    return None if text is None or data is None else (kind, text, data)


def pack_batch(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one: how many, how long each is, then they."""
    return b"".join([struct.pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts)), *parts])


def unpack_batch(raw: bytes) -> list[bytes]:
    """What `pack_some` packed."""
    (count,) = struct.unpack_from("<I", raw)
    ends = list(accumulate(struct.unpack_from(f"<{count}I", raw, 4), initial=4 * (count + 1)))
    return [raw[start:end] for start, end in pairwise(ends)]


def pack_facts(facts: ImageFacts) -> bytes:
    """Facts as bytes, without the digest: JSON would take as long as both system calls."""
    sizes = _FACTS.pack(facts.bytes, facts.width, facts.height, facts.phash)
    return sizes + facts.pdq + facts.colours + facts.format.encode()


def unpack_facts(raw: bytes, sha256: str) -> ImageFacts:
    """What `pack_facts` packed, of the picture with that digest."""
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


def _exactly(link: socket.socket, size: int) -> bytes | None:
    if not size:
        return b""
    data = link.recv(size, socket.MSG_WAITALL)
    return data if len(data) == size else None
