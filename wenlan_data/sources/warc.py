"""WARC files of another crawl: candidates from their pages, image bytes from their image
records."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import UsageError, os_errors
from wenlan_data.extract.pages import is_html_page
from wenlan_data.protocols import SourcePart
from wenlan_data.records import Candidate, Drop
from wenlan_data.sandbox.pages import read_page
from wenlan_data.sources.formats.planned_file import absolute_path, planned_file
from wenlan_data.web.warc import records

_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")


@dataclass(frozen=True)
class Warc:
    """One WARC file, plain or gzipped by record; it is one part."""

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
            what = (
                f"a folder: name its files, such as warc:{self.path.rstrip('/')}/*.warc.gz"
                if file.is_dir()
                else ""
            )
            raise UsageError(
                f"{file}: {what or 'there is no such file: check the path of the WARC'}"
            )
        with os_errors(file):
            size_bytes = file.stat().st_size
            if not _is_warc(file):
                what = "it is no WARC file" if size_bytes else "the file is empty"
                raise UsageError(f"{file}: {what}: give a .warc or .warc.gz")
        return iter((SourcePart(source=source, path=str(file), stop=size_bytes, bytes=size_bytes),))

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the images of each page with status 200, with their texts."""
        for record in records(planned_file(part)):
            if is_html_page(record):
                yield from read_page(record, part.path, self.name)

    def images(self, part: SourcePart) -> Iterator[tuple[str, int]]:
        """Yields each record with status 200 and the first bytes of an image, whatever its
        headers."""
        for record in records(planned_file(part)):
            if record.status == 200 and _is_image(record.payload):
                yield record.url, record.offset


def _is_warc(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(4096)
    if start.startswith(b"\x1f\x8b"):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, 16)
        except zlib.error:
            return False
    return start.startswith(b"WARC/")


def _is_image(payload: bytes) -> bool:
    return payload.startswith(_IMAGE_STARTS) or (
        payload[:4] == b"RIFF" and payload[8:12] == b"WEBP"
    )
