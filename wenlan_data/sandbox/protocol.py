"""Messages between a build's worker and its sandbox process.

A message is a head of 21 bytes, a short text (mostly JSON) and data. Every request is answered by
one response, which carries the number and the checksum of the request that it answers.
"""

import json
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise

import google_crc32c
from pydantic import TypeAdapter

from wenlan_data.reasons import known_reason
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox.limits import MAX_RESPONSE_BYTES, POLL_S

Frame = tuple[int, bytes, bytes]
"""Kind, text and data."""

# Requests. The text holds the options as JSON, the data an image or a page.
CHECK, NORMALISE, PAIRS, LINKS = 1, 2, 3, 4
BATCH = 5
"""Several requests of one kind; the text is that kind (one byte) and its options."""
PIXELS = 6
EXPLAIN = 7
LISTING = 8
"""The links of a sitemap or feed."""
INLINE_IMAGES, THUMBNAIL = 9, 10

# Responses.
FACTS, DROP, IMAGE = 11, 12, 13
FAULT = 14
"""An exception that no decoder or parser is known to raise; the text is its message."""
READY = 15
"""The first message of a new fork; the text states what confines it."""
NOT_READY = 17
"""The first message of a fork that cannot be confined; the text states why."""
RESULT = 16
"""Any other result; empty where there is no image to return."""

OUT_OF_MEMORY = 8
"""Exit status of a process that reached its memory limit."""
GARBLED_REQUEST = 9
"""Exit status of a process that received other bytes than were sent."""

_HEAD = struct.Struct("<BIIIII")
_PART = struct.Struct("<BII")
_FACTS = struct.Struct("<QIIQ")
_FORMATS = frozenset({b"jpeg", b"png", b"webp", b"gif", b"avif"})
MAX_SIDE_PX = (1 << 31) - 1
"""What a table can hold."""
_PDQ_END = _FACTS.size + 32
_COLOURS_END = _PDQ_END + 8
FORKED = struct.Struct("<iQI")
"""What the sandbox process reports for a new fork: exit status of the fork before it (negative for
a signal, 0 if there was none), its processor time in microseconds, and the id of the new one."""


class GarbledResponseError(Exception):
    """A message that is none, or the response to another request."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response."""

    frame: Frame
    number: int
    """Of the request, counted by the client."""
    crc32c: int
    """Of text and data of the request."""
    time_us: int
    """Processor time: of a request, what each image or page may take; of a response, what it
    took."""


def checksum(text: bytes, data: bytes) -> int:
    """CRC-32C of the content of a request."""
    return int(google_crc32c.extend(google_crc32c.value(text), data))


def send(link: socket.socket, message: Message, on_wait: Callable[[], None] = lambda: None) -> None:
    """Sends one whole message; calls `on_wait` every `POLL_S` and after each timeout of the
    socket."""
    kind, text, data = message.frame
    head = _HEAD.pack(kind, message.number, message.crc32c, message.time_us, len(text), len(data))
    # One system call, and no copy of an image of megabytes only to put a head before it.
    try:
        sent = link.sendmsg([head, text, data])
    except TimeoutError:
        on_wait()
        sent = 0
    if sent < len(head) + len(text) + len(data):
        rest = memoryview(b"".join((head, text, data)))[sent:]
        clock = _Clock(on_wait)
        while rest:
            try:
                rest = rest[link.send(rest) :]
            except TimeoutError:
                clock.timed_out()
                continue
            clock.look()


def receive(link: socket.socket, on_wait: Callable[[], None] = lambda: None) -> Message | None:
    """Returns the next message, or None if the other end is closed.

    Calls `on_wait` every `POLL_S` and after each timeout of the socket. Raises
    `GarbledResponseError` for a length beyond `MAX_RESPONSE_BYTES`.
    """
    head = _receive_exactly(link, _HEAD.size, on_wait)
    if head is None:
        return None
    kind, number, crc32c, time_us, text_bytes, data_bytes = _HEAD.unpack(head)
    if text_bytes + data_bytes > MAX_RESPONSE_BYTES:
        raise GarbledResponseError(f"{text_bytes + data_bytes} bytes")
    text = _receive_exactly(link, text_bytes, on_wait)
    data = _receive_exactly(link, data_bytes, on_wait)
    if text is None or data is None:
        return None
    return Message((kind, text, data), number, crc32c, time_us)


def pack_batch(parts: Sequence[bytes]) -> bytes:
    """Several byte strings as one: their number, the length of each (u32), then the strings."""
    return b"".join([struct.pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts)), *parts])


def unpack_batch(raw: bytes) -> list[bytes]:
    """The byte strings of `pack_batch`. Raises `GarbledResponseError` if they are none."""
    try:
        (count,) = struct.unpack_from("<I", raw)
        ends = list(accumulate(struct.unpack_from(f"<{count}I", raw, 4), initial=4 * (count + 1)))
    except (struct.error, MemoryError) as error:
        raise GarbledResponseError(str(error)) from error
    if ends[-1] != len(raw):
        raise GarbledResponseError(f"{len(raw)} instead of {ends[-1]} bytes")
    return [raw[start:end] for start, end in pairwise(ends)]


def pack_part(frame: Frame, crc32c: int, time_us: int) -> tuple[bytes, bytes]:
    """The response to one request of a batch, as two of the batch's byte strings."""
    kind, text, data = frame
    return _PART.pack(kind, crc32c, time_us) + text, data


def unpack_part(head: bytes, data: bytes) -> tuple[Frame, int, int]:
    """Frame, checksum and time in microseconds of `pack_part`."""
    if len(head) < _PART.size:
        raise GarbledResponseError("a part without a head")
    kind, crc32c, time_us = _PART.unpack_from(head)
    return (kind, head[_PART.size :], data), crc32c, time_us


def pack_facts(facts: ImageFacts) -> bytes:
    """Facts without the digest, as bytes: JSON would take as long as both system calls of a
    message."""
    sizes = _FACTS.pack(facts.bytes, facts.width, facts.height, facts.phash)
    return sizes + facts.pdq + facts.colours + facts.format.encode()


def unpack_facts(raw: bytes, sha256: str) -> ImageFacts:
    """The facts of `pack_facts`, with the digest of the image. Raises `ValueError` or
    `struct.error` if they are none."""
    size_bytes, width, height, phash = _FACTS.unpack_from(raw)
    if raw[_COLOURS_END:] not in _FORMATS:
        raise ValueError("no format of an image")
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX and size_bytes < 1 << 62):
        raise ValueError("no size of an image")
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
    """The drop of `pack_drop`. Raises `ValueError` if it is none."""
    drop = _DROP.validate_json(text)
    check_reason(drop.reason)
    return drop


def check_reason(word: str) -> None:
    """Raises `ValueError` for a word that is no `Reason`."""
    if known_reason(word) is None:
        raise ValueError(f"{word[:100]!r} is no reason")


def _receive_exactly(
    link: socket.socket, size_bytes: int, on_wait: Callable[[], None]
) -> bytes | None:
    # Many texts and data are empty: no system call for them.
    if not size_bytes:
        return b""
    clock = _Clock(on_wait)
    # In one buffer: of a message that comes byte by byte, each piece would be an object.
    buffer = bytearray(size_bytes)
    left = memoryview(buffer)
    while left:
        try:
            count = link.recv_into(left, 0, socket.MSG_WAITALL)
        except TimeoutError:
            clock.timed_out()
            continue
        if not count:
            return None
        left = left[count:]
        clock.look()
    return bytes(buffer)


class _Clock:
    """Calls `on_wait` every `POLL_S`, also where something is sent or received all the time."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        self._on_wait = on_wait
        self._last_s = time.monotonic()

    def look(self) -> None:
        """Calls it where so much time has passed."""
        now = time.monotonic()
        if now - self._last_s >= POLL_S:
            self._last_s = now
            self._on_wait()

    def timed_out(self) -> None:
        """Calls it after a timeout of the socket, and measures the next one from then."""
        self._last_s = time.monotonic()
        self._on_wait()


_DROP = TypeAdapter(Drop)
