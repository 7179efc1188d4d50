"""The promises of the role `Source`; a test of a source is one line:
`check_source(Table(path=...))`."""

import json
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path

import pytest

from wenlan_data import plugins
from wenlan_data.protocols import Source, SourcePart
from wenlan_data.records import TEXT_TYPES, Candidate, Drop


def check_source(source: Source, *, max_rows: int = 3) -> list[Candidate | Drop]:
    """Checks the promises of the role and returns all rows of the source."""
    parts = list(source.parts(source=7, max_rows=max_rows))
    rows = [row for part in parts for row in source.read(part)]
    _check_value(source)
    _check_parts(source, parts, max_rows)
    for row in rows:
        _check_row(source, row)
    assert list(source.parts(source=7, max_rows=max_rows)) == parts, (
        "planned again, the parts are the same"
    )
    assert [row for part in parts for row in source.read(part)] == rows, (
        "read again, the rows are the same"
    )
    assert _all_rows(source, 1_000_000) == rows, "where parts end makes no difference to the rows"
    return rows


def _check_value(source: Source) -> None:
    kind, _, _ = source.name.partition(":")
    assert "\n" not in source.describe(), "one line for --dry-run"
    assert source.crawl_seeds() == (), "only a source without parts of its own is crawled"
    parameters = {field.name: getattr(source, field.name) for field in fields(source)}  # type: ignore[arg-type]
    assert plugins.build(plugins.SOURCES, kind, parameters) == source, (
        "it is found by its file name, with its fields"
    )
    with pytest.raises(FrozenInstanceError):
        source.path = "other"  # type: ignore[attr-defined]


def _check_parts(source: Source, parts: list[SourcePart], max_rows: int) -> None:
    assert parts, "an empty source is refused, not planned"
    for part in parts:
        assert SourcePart(**json.loads(json.dumps(asdict(part)))) == part, "a plan is kept as JSON"
        assert part.source == 7
        assert part.rows is None or 0 < part.rows <= max_rows
        assert Path(part.path).is_absolute(), "a worker elsewhere can open it as it stands"
        assert part.rows is None or part.rows == sum(1 for _ in source.read(part))
        assert all(one.url and one.offset >= 0 for one in source.images(part))


def _check_row(source: Source, row: Candidate | Drop) -> None:
    if isinstance(row, Drop):
        assert row.reason
        assert not row.retryable, "reading the same bytes again gives the same"
        return
    assert row.url
    assert row.source == source.name
    assert all(text.type in TEXT_TYPES and text.text for text in row.texts)


def _all_rows(source: Source, max_rows: int) -> list[Candidate | Drop]:
    return [row for part in source.parts(source=7, max_rows=max_rows) for row in source.read(part)]
