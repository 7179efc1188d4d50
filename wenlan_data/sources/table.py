"""A table of image URLs and texts: Parquet, CSV, TSV or JSON Lines, read in parts and never
whole."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import UsageError, in_short, os_errors
from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop, RecordedResponse, Text
from wenlan_data.sources.formats.delimited import (
    CsvRows,
    NextRow,
    decode,
    encoding_of,
    next_json_line,
    ranges,
    read_range,
)
from wenlan_data.sources.formats.json_lines import json_object
from wenlan_data.sources.formats.parquet import column_names, parquet_ranges, parquet_rows
from wenlan_data.sources.formats.parquet_check import check_parquet
from wenlan_data.sources.formats.planned_file import absolute_path, planned_file

URL_NAMES = (
    "url",
    "image_url",
    "img_url",
    "imageurl",
    "image_link",
    "pic_url",
    "src",
    "link",
    "图片链接",
    "图片地址",
)
TEXT_NAMES = (
    "text",
    "caption",
    "alt",
    "title",
    "alt_text",
    "description",
    "captions",
    "txt",
    "标题",
    "文本",
    "描述",
    "说明",
)
PAGE_NAMES = ("page_url", "pageurl", "page", "referrer", "referer")
"""Usual column names, best first, in any case: those of the published URL tables (LAION, COYO,
Wukong, Zero)."""

MAX_PART_ROWS = 50_000
"""Of a text table: some seconds of text rules, and about 10 MB of the file."""

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_JSON_LINES = {".jsonl", ".ndjson"}
_PARQUET = {".parquet", ".pq", ".parq"}
_SAMPLE_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableLayout:
    columns: tuple[str, ...]
    body: int = 0
    """Byte where the first row starts (CSV, TSV)."""
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Table:
    """Rows of a file: an image's URL and its text. Columns not named are guessed by usual names."""

    path: str
    """As the operator wrote it."""
    base: str = ""
    """Folder that a relative path starts from."""
    url: str = ""
    """The column of the image's URL."""
    text: str = ""
    """The column of the text, or of a list of texts."""
    page_url: str = ""
    """The column of the page's URL; optional."""

    @property
    def name(self) -> str:
        """`table:` and the path as written."""
        return f"table:{self.path}"

    def describe(self) -> str:
        """Returns which columns are read, and which of them were guessed."""
        columns = self._columns(_layout(self._checked_file()))
        named = {"url": self.url, "text": self.text, "page_url": self.page_url}
        return ", ".join(
            f"{role} from {column!r}{'' if named[role] else ' (guessed)'}"
            for role, column in zip(named, columns, strict=True)
            if column
        )

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns none: nothing is crawled."""
        return ()

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:
        """Yields ranges of rows in file order; a text table is read once, as its parts are
        consumed.

        Raises `UsageError` if the file is missing, empty or not a table, or lacks the columns.
        """
        file = self._checked_file()
        layout = _layout(file)
        self._columns(layout)
        row_ranges = (
            parquet_ranges(file, max_rows)
            if _is_parquet(file)
            else _text_ranges(file, layout, max_rows)
        )
        return self._planned(file, source, row_ranges)

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the part's rows.

        Raises `UsageError` if the size of the file is not that of the plan.
        """
        file = planned_file(part)
        layout = _layout(file)
        columns = self._columns(layout)
        rows = (
            parquet_rows(file, part, columns)
            if _is_parquet(file)
            else _text_rows(file, layout, part, columns)
        )
        for row in rows:
            yield row if isinstance(row, Drop) else self._candidate(*row)

    def images(self, part: SourcePart) -> Iterator[RecordedResponse]:  # noqa: ARG002
        """Yields nothing: a table holds no image bytes."""
        return iter(())

    def _checked_file(self) -> Path:
        """The file; a Parquet file only after another process has read it without a crash."""
        file = self._file()
        if _is_parquet(file):
            named = (self.url, self.text, self.page_url)
            with os_errors(file):
                check_parquet(file, {*URL_NAMES, *TEXT_NAMES, *PAGE_NAMES, *_lower(named)})
        return file

    def _file(self) -> Path:
        file = absolute_path(self.base, self.path)
        if file.is_dir():
            raise UsageError(
                f"{file}: a folder: name the table in it, such as table:{self.path.rstrip('/')}/urls.parquet"
            )
        if not file.is_file():
            what = "not a regular file" if file.exists() else "there is no such file"
            raise UsageError(f"{file}: {what}: check the path of the table")
        if file.suffix.lower() not in {*_DELIMITERS, *_JSON_LINES, *_PARQUET}:
            remedy = (
                "unpack it first (gunzip -k)"
                if file.suffix.lower() == ".gz"
                else "convert it to one of these"
            )
            raise UsageError(f"{file}: a table is read as .parquet, .csv, .tsv or .jsonl: {remedy}")
        if file.stat().st_size == 0:
            raise UsageError(f"{file}: the file is empty: give a table with rows")
        return file

    def _planned(
        self, file: Path, source: int, row_ranges: Iterator[tuple[int, int, int, int]]
    ) -> Iterator[SourcePart]:
        size_bytes, found = file.stat().st_size, False
        with os_errors(file):
            for group, start, stop, rows in row_ranges:
                found = True
                yield SourcePart(
                    source=source,
                    path=str(file),
                    start=start,
                    stop=stop,
                    group=group,
                    rows=rows,
                    bytes=size_bytes,
                )
        if not found:
            raise UsageError(f"{file}: the table has columns and no rows: give a table with rows")

    def _columns(self, layout: _TableLayout) -> tuple[str, str, str]:
        """The columns of image URL, text and page URL; the last one is empty if there is none."""
        url = self._column(layout, "url", self.url, URL_NAMES)
        text = self._column(layout, "text", self.text, TEXT_NAMES)
        page = self._column(layout, "page_url", self.page_url, PAGE_NAMES, is_optional=True)
        return url, text, page

    def _column(
        self,
        layout: _TableLayout,
        role: str,
        named: str,
        usual: Sequence[str],
        *,
        is_optional: bool = False,
    ) -> str:
        if named in layout.columns:
            return named
        lower = {column.casefold().strip(): column for column in reversed(layout.columns)}
        guessed = next((lower[name] for name in usual if name in lower), "")
        if named or not (guessed or is_optional):
            existing = ", ".join(in_short(name, 40) for name in layout.columns[:20]) or "none"
            what = f"there is no column {named!r}" if named else f"no column looks like the {role}"
            remedy = _separator_remedy(layout) or f"set {role}: COLUMN in a sources file"
            raise UsageError(
                f"{Path(self.base) / self.path}: {what}; its columns are {existing}: {remedy}"
            )
        return guessed

    def _candidate(self, url: object, text: object, page_url: object) -> Candidate | Drop:
        read_url, read_page = _as_text(url), _as_text(page_url)
        texts = [_as_text(one) for one in (text if isinstance(text, list) else [text])]
        bad = next((one for one in (read_url, read_page, *texts) if isinstance(one, Drop)), None)
        if bad:
            return bad
        if not read_url:
            return Drop(Reason.BAD_URL, "empty")
        return Candidate(
            url=str(read_url),
            texts=tuple(Text("caption", str(one)) for one in texts if one),
            page_url=str(read_page),
            source=self.name,
        )


def _separator_remedy(layout: _TableLayout) -> str:
    """Returns the remedy if the only column name has another separator in it; empty otherwise."""
    only = layout.columns[0] if len(layout.columns) == 1 else ""
    found = next((sign for sign in "\t;|," if sign in only), "")
    return (
        f"its separator seems to be {found!r}: .csv is read with commas, .tsv with tabs"
        if found
        else ""
    )


def _lower(names: Iterable[str]) -> set[str]:
    return {name.strip().casefold() for name in names if name}


def _as_text(value: object) -> str | Drop:
    if isinstance(value, bytes):
        value = decode(value, "utf-8")
    if isinstance(value, str):
        return value.strip()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, dict | list):
        return Drop(Reason.BAD_ROW, "a value is neither text nor number")
    return value if isinstance(value, Drop) else str(value)


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() in _PARQUET


def _layout(file: Path) -> _TableLayout:
    with os_errors(file):
        if _is_parquet(file):
            return _TableLayout(columns=column_names(file))
        encoding = encoding_of(file)
        if encoding == "utf-16":
            raise UsageError(f"{file}: the table is UTF-16: save it as UTF-8")
        return (
            _json_layout(file)
            if file.suffix.lower() in _JSON_LINES
            else _csv_layout(file, encoding)
        )


def _csv_layout(file: Path, encoding: str) -> _TableLayout:
    with file.open("rb") as opened:
        if opened.read(3) != b"\xef\xbb\xbf":
            opened.seek(0)
        cells = CsvRows(_DELIMITERS[file.suffix.lower()])(opened)
        body = opened.tell()
    names = (
        [decode(cell.encode("latin-1"), encoding) for cell in cells]
        if isinstance(cells, list)
        else []
    )
    columns = tuple(name.strip() for name in names if isinstance(name, str))
    if not columns or len(columns) < len(names):
        raise UsageError(
            f"{file}: its first line holds no column names: give a table with a header line"
        )
    return _TableLayout(columns=columns, body=body, encoding=encoding)


def _json_layout(file: Path) -> _TableLayout:
    columns: dict[str, None] = {}
    with file.open("rb") as opened:
        for _ in range(_SAMPLE_ROWS):
            line = next_json_line(opened)
            row = json_object(line) if isinstance(line, bytes) else None
            columns.update(dict.fromkeys(row if isinstance(row, dict) else ()))
    if not columns:
        raise UsageError(
            f"{file}: its first lines hold no JSON object: give JSON Lines, one object a line"
        )
    return _TableLayout(columns=tuple(columns))


def _next_row(file: Path) -> NextRow:
    delimiter = _DELIMITERS.get(file.suffix.lower())
    return CsvRows(delimiter) if delimiter else next_json_line


def _text_ranges(
    file: Path, layout: _TableLayout, max_rows: int
) -> Iterator[tuple[int, int, int, int]]:
    byte_ranges = ranges(file, layout.body, _next_row(file), min(MAX_PART_ROWS, max_rows))
    return ((0, start, stop, rows) for start, stop, rows in byte_ranges)


def _text_rows(
    file: Path, layout: _TableLayout, part: SourcePart, names: Sequence[str]
) -> Iterator[list[object] | Drop]:
    places = [layout.columns.index(name) if name else -1 for name in names]
    width = len(layout.columns)
    for row in read_range(file, part.start, part.stop, _next_row(file)):
        if isinstance(row, bytes):
            value = json_object(row)
            yield (
                value
                if isinstance(value, Drop)
                else [value.get(name) if name else None for name in names]
            )
        elif isinstance(row, Drop) or len(row) != width:
            yield (
                row
                if isinstance(row, Drop)
                else Drop(Reason.BAD_ROW, f"{len(row)} cells for {width} columns")
            )
        else:
            yield [_cell(row[place], layout.encoding) if place >= 0 else None for place in places]


def _cell(cell: str, encoding: str) -> str | Drop:
    return cell if cell.isascii() else decode(cell.encode("latin-1"), encoding)
