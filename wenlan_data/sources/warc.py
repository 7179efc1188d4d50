"""WARC files of another crawl: candidates from their pages, image bytes from their image
records."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.extract.pages import is_html_page
from wenlan_data.files import open_regular
from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop, RecordedResponse
from wenlan_data.sandbox.pages import read_page
from wenlan_data.sources.formats.planned_file import absolute_path, planned_file
from wenlan_data.web.response import REDIRECTS, failure_of, recorded_response, redirect_target
from wenlan_data.web.urls import host_of
from wenlan_data.web.warc import WarcPayload, records

_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_MAX_SHOWN_URL = 2048


@dataclass(frozen=True)
class Warc:
    """One WARC file, plain or gzipped by record; it is one part, and known by its content."""

    path: str
    """As the operator wrote it."""
    base: str = ""
    """Folder that a relative path starts from."""

    @property
    def name(self) -> str:
        """`warc:` and the path as written."""
        return f"warc:{self.path}"

    def describe(self) -> str:
        """Returns an empty string: `name` describes the source."""
        return ""

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns none: nothing is crawled."""
        return ()

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:  # noqa: ARG002 - rows are unknown until it is read
        """Yields the file as one part.

        Raises `UsageError` if it is missing, empty or not a WARC.
        """
        file = absolute_path(self.base, self.path)
        if not file.is_file():
            what = "there is no such file: check the path of the WARC"
            if file.is_dir():
                what = f"a folder: name its files, such as warc:{self.path.rstrip('/')}/*.warc.gz"
            elif file.exists():
                what = "not a regular file: give a .warc or .warc.gz"
            raise UsageError(f"{file}: {what}")
        with os_errors(file):
            size_bytes = file.stat().st_size
            if not _is_warc(file):
                what = "it is no WARC file" if size_bytes else "the file is empty"
                raise UsageError(f"{file}: {what}: give a .warc or .warc.gz")
        part = SourcePart(
            source=source, path=str(file), stop=size_bytes, bytes=size_bytes, sha256=""
        )
        return iter((part,))

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the images of each page with status 200, with their texts; a page that cannot be
        decoded is a `Drop`."""
        for record in records(planned_file(part)):
            if drop := _page_drop(record):
                yield drop
            elif is_html_page(record):
                yield from read_page(record, part.path, self.name)
        # It may have been replaced since its digest was checked.
        planned_file(part)

    def images(self, part: SourcePart) -> Iterator[RecordedResponse]:
        """Yields every response and resource: images by their first bytes, whatever their headers,
        and all others, for these URLs need no request either."""
        for record in records(planned_file(part)):
            if not record.url:
                continue
            response = recorded_response(record)
            failure = failure_of(record.status)
            target = redirect_target(response) if record.status in REDIRECTS else ""
            yield RecordedResponse(
                url=record.url,
                offset=record.offset,
                sha256=hashlib.sha256(record.payload).hexdigest(),
                is_image=record.status == 200 and _is_image(record.payload),
                transient=failure is not None and failure.retryable,
                redirect=target if isinstance(target, str) else "",
            )
        planned_file(part)


def _is_warc(file: Path) -> bool:
    with open_regular(file) as opened:
        start = opened.read(4096)
    if start.startswith(b"\x1f\x8b"):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, 16)
        except zlib.error:
            return False
    return start.startswith(b"WARC/")


def _page_drop(record: WarcPayload) -> Drop | None:
    """Why a page is not read; None for a page that is read, and for a record that is no page."""
    # Without a type an undecodable record may be a page; one that says that it is none is none.
    is_page = record.kind == "response" and (
        "html" in record.content_type.lower() or not record.content_type
    )
    url = record.url[:_MAX_SHOWN_URL]
    # Headers that cannot be read leave status and type unknown.
    if record.problem and record.kind == "response" and record.status in {0, 200} and is_page:
        return Drop(record.problem.reason, record.problem.detail, page_url=url)
    if not is_html_page(record):
        return None
    if not host_of(record.url):
        return Drop(Reason.BAD_URL, f"of the page at byte {record.offset}", page_url=url)
    if record.too_large:
        return Drop(Reason.PAGE_TOO_LARGE, f"more than {len(record.payload)} bytes", page_url=url)
    return None


def _is_image(payload: bytes) -> bool:
    return payload.startswith(_IMAGE_STARTS) or (
        payload[:4] == b"RIFF" and payload[8:12] == b"WEBP"
    )
