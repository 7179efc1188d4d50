"""Decodes content encodings piece by piece, so that a decompression bomb is noticed while it is
small."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import brotli
import zstandard

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

ACCEPTED = "gzip, deflate, br, zstd"
_WINDOW_BYTES = 8 << 20
"""Of zstd, by RFC 9659. A larger one is refused, since the decoder would allocate it."""
_PIECE_BYTES = 64
"""Fed to zstd at once, whose output cannot be limited: 64 bytes hold at most 16 blocks of 128
KiB."""
_GZIP = b"\x1f\x8b"
_CHUNK_BYTES = 64 << 10
MAX_SILENT_BYTES = 256 << 10
"""Encoded bytes in a row that may decode to nothing: header fields of gzip, empty members and
blocks, metadata, skippable frames. A block of zstd has at most 128 KiB."""
MAX_GZIP_MEMBERS = 4096
"""Tools that compress in parallel write one for each 64 KiB or more."""


class EncodingError(Exception):
    """The bytes are not in the encoding that their header states."""


class Decoder(Protocol):
    """Decodes one layer."""

    @property
    def finished(self) -> bool:
        """Whether the end of the encoded stream was reached."""

    @property
    def trailing(self) -> bool:
        """Whether bytes followed the end of the stream."""

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        """Decodes the next bytes to at most about `max_bytes`. Raises `EncodingError`."""


def decoder_for(labels: str) -> "Decoder | Drop | None":
    """The decoder of a `Content-Encoding`; None for plain bytes, a `Drop` for unknown and for
    several layers."""
    names = [
        name for word in labels.lower().split(",") if (name := word.strip()) not in {"", "identity"}
    ]
    if not names:
        return None
    # Several layers are refused: each multiplies what a few bytes can expand to.
    make: dict[str, Callable[[], Decoder]] = {
        "gzip": _Zlib,
        "x-gzip": _Zlib,
        "deflate": _Deflate,
        "br": _Brotli,
        "zstd": _Zstd,
    }
    if len(names) > 1 or names[0] not in make:
        return Drop(Reason.ENCODING, labels[:40])
    return _Chunked(make[names[0]]())


class _Chunked:
    """Feeds another decoder in chunks, and ends a stream that decodes to nothing."""

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self._silent_bytes = 0

    @property
    def finished(self) -> bool:
        return self._inner.finished

    @property
    def trailing(self) -> bool:
        return self._inner.trailing

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        out = bytearray()
        for start in range(0, len(data), _CHUNK_BYTES):
            if len(out) >= max_bytes:
                break
            chunk = data[start : start + _CHUNK_BYTES]
            decoded = self._inner.feed(chunk, max_bytes - len(out))
            out += decoded
            self._silent_bytes = 0 if decoded else self._silent_bytes + len(chunk)
            if self._silent_bytes > MAX_SILENT_BYTES and not self.finished:
                raise EncodingError(f"{self._silent_bytes} bytes without content")
        return bytes(out)


@dataclass(slots=True)
class _Zlib:
    """gzip with any number of members; with other window bits, zlib or raw deflate."""

    wbits: int = 31
    finished: bool = False
    trailing: bool = False
    _members: int = 0
    _pending: bytes = b""
    """The first byte of what may be another member."""
    _stream: "zlib._Decompress | None" = None

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        out = bytearray()
        data, self._pending = self._pending + data, b""
        while data and len(out) < max_bytes and not self.trailing:
            # RFC 1952: a gzip file may consist of several members.
            if self.finished and not self._begins_again(data):
                break
            stream = self._stream = self._stream or zlib.decompressobj(self.wbits)
            try:
                out += stream.decompress(data, max_bytes - len(out))
            except zlib.error as error:
                raise EncodingError(str(error)) from error
            self.finished = stream.eof
            data = stream.unused_data if stream.eof else b""
        return bytes(out)

    def _begins_again(self, data: bytes) -> bool:
        if self.wbits == 31 and data.startswith(_GZIP):
            self._stream, self.finished = None, False
            self._members += 1
            if self._members >= MAX_GZIP_MEMBERS:
                raise EncodingError(f"more than {MAX_GZIP_MEMBERS} members")
            return True
        if self.wbits == 31 and data == _GZIP[:1]:
            self._pending = data
            return False
        # Zeros after the last member are padding, as tar and tapes write it.
        self.trailing = bool(data.strip(b"\0"))
        return False


class _Deflate:
    """Deflate with a zlib header as in the standard, or raw as some servers send it."""

    def __init__(self) -> None:
        self._inner: _Zlib | None = None
        self._start = b""

    @property
    def finished(self) -> bool:
        return self._inner is not None and self._inner.finished

    @property
    def trailing(self) -> bool:
        return self._inner is not None and self._inner.trailing

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        if self._inner is None:
            self._start += data
            # The two formats differ in their first two bytes.
            if len(self._start) < 2:
                return b""
            data = self._start
            # A zlib header: method 8, and the two bytes are a multiple of 31.
            wrapped = data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._inner = _Zlib(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        return self._inner.feed(data, max_bytes)


class _Brotli:
    def __init__(self) -> None:
        self._stream: Any = brotli.Decompressor()
        self.trailing = False

    @property
    def finished(self) -> bool:
        return bool(self._stream.is_finished())

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        if self.finished:
            self.trailing = self.trailing or bool(data)
            return b""
        try:
            return bytes(self._stream.process(data, output_buffer_limit=max_bytes))
        except brotli.error as error:
            raise EncodingError(str(error)) from error


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
        self.trailing = False

    @property
    def finished(self) -> bool:
        return bool(self._stream.eof)

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        out = bytearray()
        for start in range(0, len(data), _PIECE_BYTES):
            if self.finished:
                self.trailing = True
                break
            try:
                out += self._stream.decompress(data[start : start + _PIECE_BYTES])
            except zstandard.ZstdError as error:
                raise EncodingError(str(error)) from error
            # The rest is never needed: the caller drops a body above its limit.
            if len(out) >= max_bytes:
                break
        return bytes(out)
