"""Rows still allowed by a limit, for a resumed build and for the next one."""

from pathlib import Path

from wenlan_data.run.row_limit import RowLimit

SOURCES = ({"kind": "table", "path": "a.parquet"},)


def test_a_resumed_build_reads_the_remaining_rows_and_the_next_one_counts_from_the_beginning(
    tmp_path: Path,
) -> None:
    first = RowLimit(tmp_path / "limit.json", 10, SOURCES)
    assert first.left_before(0) == 10
    first.record(0, 4)
    first.record(1, 4)
    resumed = RowLimit(tmp_path / "limit.json", 10, SOURCES)
    assert [resumed.left_before(number) for number in (0, 1, 2)] == [10, 6, 2]
    resumed.end()
    assert RowLimit(tmp_path / "limit.json", 10, SOURCES).left_before(2) == 10


def test_rows_that_brought_nothing_new_count_too_and_once(tmp_path: Path) -> None:
    limit = RowLimit(tmp_path / "limit.json", 10, SOURCES)
    limit.record(3, 4)
    limit.record_nothing_new(3)
    limit.record_nothing_new(3)  # as after a kill in between
    limit.record(3, 4)
    resumed = RowLimit(tmp_path / "limit.json", 10, SOURCES)
    assert (resumed.left_before(3), resumed.left_before(4)) == (6, 2)


def test_another_limit_and_other_sources_count_from_the_beginning(tmp_path: Path) -> None:
    RowLimit(tmp_path / "limit.json", 10, SOURCES).record(0, 4)
    assert RowLimit(tmp_path / "limit.json", 11, SOURCES).left_before(1) == 11
    assert (
        RowLimit(
            tmp_path / "limit.json", 10, ({"kind": "table", "path": "b.parquet"},)
        ).left_before(1)
        == 10
    )
    assert RowLimit(tmp_path / "limit.json", None, SOURCES).left_before(1) is None
