"""WARC files: payloads with URL, date and IP. Written by warcio, read by fastwarc.

WARC/1.1 headers, among them the URL, the date, the IP and the payload's SHA-256
HTTP status line and headers (of responses), then the payload
"""

import os
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from wenlan_data.errors import DamageError, UsageError, from_os_error, os_errors
from wenlan_data.files import open_regular
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.content_encoding import EncodingError, decoder_for

MAX_PAYLOAD_BYTES = 20 << 20
UNKNOWN_DATE = datetime.fromtimestamp(0, UTC)
"""Date of a record that states none, or one that no archive can have."""
_YEARS = range(1990, 2200)
"""Years in which an archive may have been made: the web is no older. Years 1 and 9999 overflow when
they are converted."""
_RECORD_END_BYTES = 4
_PIECE_BYTES = 1 << 12
"""Encoded bytes that are decoded at once. Small, since each end of a gzip member copies the rest of
its piece: a file of empty members would take quadratic time."""
_CONTENT_STARTS = (b"<", b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")
# These describe the transfer; the payload is stored without it.
_OF_THE_TRANSPORT = frozenset({"transfer-encoding", "connection", "keep-alive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WarcPayload:
    """One `response` or `resource` record."""

    kind: str
    """`response` or `resource`."""
    url: str
    offset: int
    """Of the record, bytes from the start of the file (compressed bytes, for .gz)."""
    status: int
    """Of the HTTP response; 200 for a resource."""
    content_type: str
    """By the HTTP headers or, of a resource, the record's: `text/html; charset=gbk`."""
    payload: bytes
    """Without transfer and content encoding; at most `max_bytes` of the reader."""
    too_large: bool
    """Whether the payload was cut there."""
    date: datetime
    """In UTC; `UNKNOWN_DATE` if the record has no date of the years 1990 to 2199."""
    ip: str
    """Empty if the record has no valid IP address."""
    headers: tuple[tuple[str, str], ...]
    problem: Drop | None = None
    """Why headers or payload cannot be decoded; the payload is then empty."""


class PayloadWriter:
    """Writes a new WARC and returns the offsets of the payloads.

    A context manager; raises `DiskError` when the disk is full.
    """

    def __init__(self, path: Path) -> None:
        with os_errors(path):
            # "x": an attempt never writes into the files of another one.
            self._sink = _Sink(path.open("xb", buffering=1 << 20), path)
        self._writer = _Writer(self._sink, gzip=False, warc_version="WARC/1.1")

    @property
    def size_bytes(self) -> int:
        """Written so far."""
        return self._sink.position

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.close()

    def response(
        self,
        url: str,
        payload: bytes,
        *,
        status: str,
        headers: Iterable[tuple[str, str]],
        sha256: str,
        ip: str,
        date: datetime,
    ) -> int:
        """Writes an HTTP response (`status` as `200 OK`).

        Returns the offset of the payload's first byte.
        """
        kept = [
            (
                f"X-Crawler-{name}" if name.lower() in _OF_THE_TRANSPORT else _one_line(name),
                _one_line(value),
            )
            for name, value in headers
        ]
        http = StatusAndHeaders(_one_line(status), kept, protocol="HTTP/1.1")
        extra = {"WARC-IP-Address": ip} if ip else {}
        return self._write(
            "response", url, payload, sha256=sha256, date=date, extra=extra, http=http
        )

    def resource(
        self, url: str, payload: bytes, *, content_type: str, sha256: str, date: datetime
    ) -> int:
        """Writes the bytes of a file. Returns the offset of the payload's first byte."""
        extra = {"Content-Type": content_type}
        return self._write(
            "resource", url, payload, sha256=sha256, date=date, extra=extra, http=None
        )

    def _write(
        self,
        kind: str,
        url: str,
        payload: bytes,
        *,
        sha256: str,
        date: datetime,
        extra: dict[str, str],
        http: StatusAndHeaders | None,
    ) -> int:
        # The id is a function of URL and content, so that a repeated build writes the same bytes.
        headers = {
            "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{url} {sha256}')}>",
            "WARC-Date": date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "WARC-Payload-Digest": f"sha256:{sha256}",
            **extra,
        }
        record = self._writer.create_warc_record(
            _one_line(url),
            kind,
            payload=BytesIO(payload),
            length=len(payload),
            warc_headers_dict=headers,
            http_headers=http,
            warc_content_type=extra.get("Content-Type", ""),
        )
        self._writer.write_record(record)
        # Payload and two line ends are the last bytes of a record.
        return self._sink.position - _RECORD_END_BYTES - len(payload)


def records(path: Path, max_bytes: int = MAX_PAYLOAD_BYTES) -> Iterator[WarcPayload]:
    """Yields every `response` and `resource` record of a WARC (plain, or .gz by record), in order.

    Raises `DamageError`, with file and offset, for a file that is no WARC or is cut short, and
    `UsageError` for one gzipped as a whole. A file cut right after a record looks complete.
    """
    with os_errors(path), open_regular(path) as file:
        yield from _read(path, file, 0, max_bytes)


def record_at(path: Path, offset: int, max_bytes: int = MAX_PAYLOAD_BYTES) -> WarcPayload:
    """Reads the record that starts at `offset`.

    Raises `DamageError` if there is none or it is cut short.
    """
    with os_errors(path), open_regular(path) as file:
        file.seek(offset)
        found = next(_read(path, file, offset, max_bytes), None)
    if found is None or found.offset != offset:
        raise _damage(path, offset, "no response or resource record starts here")
    return found


def payload_at(file: BinaryIO, offset: int, size: int, path: Path) -> bytes:
    """Reads `size` bytes at `offset` of a plain WARC.

    Raises `DamageError` if the file ends before.
    """
    file.seek(offset)
    payload = file.read(size)
    if len(payload) < size:
        raise _damage(
            path, offset, f"{size} bytes of an image are expected, {len(payload)} are there"
        )
    return payload


def _read(path: Path, file: BinaryIO, start: int, max_bytes: int) -> Iterator[WarcPayload]:
    last = start
    # Records of other kinds are read too: the file may be cut inside one of them.
    iterator = iter(ArchiveIterator(file, parse_http=False))
    is_gzip = _is_gzip(file, start)
    while True:
        try:
            record = next(iterator, None)
            if record is None:
                break
            last = record.stream_pos if record.stream_pos >= start else start + record.stream_pos
            # Without a gzip header of its own the record lies inside the member of the one before.
            if is_gzip and not _is_gzip(file, last):
                raise UsageError(
                    f"{path}: gzipped as a whole and not record by record: gunzip it, and give the .warc"
                )
            found = _payload(path, record, last, max_bytes)
        except OSError as error:
            # fastwarc raises an `OSError` without a number for a file that is not a WARC.
            if error.errno is not None:
                raise
            raise _damage(path, last, str(error)) from error
        if found:
            yield found
    _expect_whole_members(path, file, last)


def _is_gzip(file: BinaryIO, offset: int) -> bool:
    return os.pread(file.fileno(), 2, offset) == b"\x1f\x8b"


def _expect_whole_members(path: Path, file: BinaryIO, last: int) -> None:
    """Raises where a gzip member after the last record is cut: fastwarc takes a torn start of one
    for the end."""
    file.seek(last)
    member, offset, position = zlib.decompressobj(wbits=31), last, last
    data = file.read(_PIECE_BYTES)
    if not data.startswith(b"\x1f\x8b"):
        return
    # The output is thrown away: only the checksum and the end of each member matter.
    while data:
        try:
            member.decompress(data)
        except zlib.error as error:
            raise _damage(path, offset, str(error)) from error
        position += len(data) - len(member.unused_data)
        data = member.unused_data or file.read(_PIECE_BYTES)
        if member.eof and data:
            member, offset = zlib.decompressobj(wbits=31), position
    if not member.eof:
        raise _damage(path, offset, "the compressed record is cut short")


def _payload(path: Path, record: WarcRecord, offset: int, max_bytes: int) -> WarcPayload | None:
    if "Content-Length" not in record.headers:
        raise _damage(path, offset, "the record's headers are cut short")
    length = record.content_length
    is_payload = record.record_type in (WarcRecordType.response, WarcRecordType.resource)
    if not is_payload:
        _expect(path, offset, record.reader.consume(), length)
        return None
    kind = "resource" if record.record_type == WarcRecordType.resource else "response"
    content_type = record.headers.get("Content-Type") or ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    payload: bytes | Drop | None = None
    is_cut = False
    if record.is_http:
        try:
            record.parse_http()
        except OSError as error:
            if error.errno is not None:
                raise
            payload, status, content_type = Drop(Reason.HEADER_LIMIT), 0, ""
        else:
            status, headers = record.http_headers.status_code or 0, _headers(record)
            # Of three digits, as in a column of 16 bits.
            status = status if 100 <= status <= 999 else 0
            length = record.content_length
            content_type = record.http_headers.get("Content-Type") or ""
    if payload is None:
        # One byte more than allowed shows that a payload is too large.
        raw = record.reader.read(max_bytes + 1)
        _expect(path, offset, len(raw) + record.reader.consume(), length)
        # Its decoded bytes are not whole, though they may be fewer than allowed.
        is_cut = len(raw) > max_bytes
        payload = _decoded(raw, headers, max_bytes)
    problem = payload if isinstance(payload, Drop) else None
    content = b"" if isinstance(payload, Drop) else payload
    return WarcPayload(
        kind=kind,
        url=(record.headers.get("WARC-Target-URI") or "").strip("<>"),
        offset=offset,
        status=status,
        content_type=content_type,
        payload=content[:max_bytes],
        too_large=is_cut or len(content) > max_bytes,
        date=archive_date(record.record_date),
        ip=_address(record.headers.get("WARC-IP-Address") or ""),
        headers=headers,
        problem=problem,
    )


def archive_date(date: datetime | None) -> datetime:
    """Returns a date in UTC; `UNKNOWN_DATE` for none, and for one outside the years 1990 to
    2199."""
    # Before the conversion, which overflows for the years 1 and 9999.
    return date.astimezone(UTC) if date and date.year in _YEARS else UNKNOWN_DATE


def _address(text: str) -> str:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return ""
    # A scope names an interface of the machine that made the archive.
    return "" if getattr(address, "scope_id", None) else str(address)


def _headers(record: WarcRecord) -> tuple[tuple[str, str], ...]:
    return tuple((name or "", value or "") for name, value in record.http_headers.items())


def _decoded(raw: bytes, headers: tuple[tuple[str, str], ...], max_bytes: int) -> bytes | Drop:
    """The payload without its encodings, at most one byte longer than `max_bytes`, so that a bomb
    stays small; or why it cannot be decoded."""
    encodings = ",".join(value for name, value in headers if name.lower() == "content-encoding")
    transfer = ",".join(value for name, value in headers if name.lower() == "transfer-encoding")
    is_chunked = "chunked" in transfer.lower()
    body = _without_chunks(raw, is_cut=len(raw) > max_bytes) if is_chunked else raw
    if isinstance(body, bytes):
        body = _uncompressed(body, encodings, max_bytes)
    # Many archives store decoded bytes and keep the headers that state an encoding.
    if isinstance(body, Drop) and raw.lstrip()[:8].startswith(_CONTENT_STARTS):
        return raw
    return body


def _without_chunks(raw: bytes, *, is_cut: bool) -> bytes | Drop:
    """The data of the chunks; `raw` itself if it does not begin with a chunk. A payload that was
    `is_cut` at the limit may end inside a chunk."""
    position, pieces = 0, list[bytes]()
    while True:
        end = raw.find(b"\n", position, position + 1024)
        size = raw[position:end].partition(b";")[0].strip() if end >= 0 else b""
        if not size or len(size) > 16 or size.strip(b"0123456789abcdefABCDEF"):
            break
        start = end + 1
        stop = start + int(size, 16)
        # Nothing follows the last chunk but trailers.
        if stop == start:
            return b"".join(pieces)
        # A line end closes each chunk.
        if raw[stop : stop + 2] not in {b"\r\n", b""} and raw[stop : stop + 1] != b"\n":
            break
        pieces.append(raw[start:stop])
        position = stop + (1 if raw[stop : stop + 1] == b"\n" else 2)
    if not pieces:
        return raw
    return b"".join(pieces) if is_cut else Drop(Reason.ENCODING, "its chunks have no end")


def _uncompressed(body: bytes, encodings: str, max_bytes: int) -> bytes | Drop:
    decoder = decoder_for(encodings)
    if decoder is None or not body:
        return body
    if isinstance(decoder, Drop):
        return decoder
    decoded = bytearray()
    try:
        for start in range(0, len(body), _PIECE_BYTES):
            decoded += decoder.feed(
                body[start : start + _PIECE_BYTES], max_bytes + 1 - len(decoded)
            )
            if len(decoded) > max_bytes:
                return bytes(decoded[: max_bytes + 1])
    except EncodingError as error:
        return Drop(Reason.ENCODING, str(error)[:40])
    if not decoder.finished and len(body) <= max_bytes:
        return Drop(Reason.ENCODING, "its encoding has no end")
    return bytes(decoded)


def _expect(path: Path, offset: int, found: int, expected: int) -> None:
    if found < expected:
        raise _damage(
            path,
            offset,
            f"the record is cut short: {expected} bytes are expected, {found} are there",
        )


def _damage(path: Path, offset: int, what: str) -> DamageError:
    return DamageError(
        f"{path}: at byte {offset}: {what}: not an intact WARC, get the file again or leave it out"
    )


def _one_line(text: str) -> str:
    # A line break in a header would begin another header.
    return " ".join(text.split("\n")).replace("\r", " ").encode("utf-8", "replace").decode()


class _Writer(WARCWriter):  # type: ignore[misc]
    """Leaves out the SHA-1 digests that warcio would compute beside ours (40 us an image)."""

    def ensure_digest(self, record: object, block: bool = True, payload: bool = True) -> None:
        """Does nothing: the payload's SHA-256 is in the headers."""


class _Sink:
    """A file that counts its bytes and is flushed once at its end instead of after each record."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.position = 0
        self._file = file
        self._path = path

    def write(self, data: bytes) -> int:
        self.position += len(data)
        try:
            return self._file.write(data)
        except OSError as error:
            raise from_os_error(error, self._path) from error

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        with os_errors(self._path):
            self._file.close()
