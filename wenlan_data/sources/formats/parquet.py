"""Ranges of the row groups of a Parquet file, and the rows of one range, streamed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.errors import UsageError
from wenlan_data.protocols import SourcePart

_BATCH_ROWS = 8_192


def open_parquet(file: Path) -> pq.ParquetFile:
    """Opens the file. Raises `UsageError` if it is not a complete Parquet file."""
    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(
            f"{file}: it cannot be read as Parquet ({_first_line(error)}): give a whole file"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(". ")


def parquet_ranges(file: Path, max_rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields row group, first row, end row and number of rows of each range.

    A range is a sixteenth of its row group, but 10,000 to 100,000 rows, and at most `max_rows`.
    """
    with open_parquet(file) as table:
        counts = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
    for group, count in enumerate(counts):
        step = min(max(10_000, min(count // 16, 100_000)), max_rows)
        for start in range(0, count, step):
            stop = min(start + step, count)
            yield group, start, stop, stop - start


def parquet_rows(
    file: Path, part: SourcePart, names: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    """Yields the values of the columns `names` in each row of the part; None for an empty name."""
    wanted = [name for name in names if name]
    seen = 0
    with open_parquet(file) as table:
        try:
            for batch in table.iter_batches(_BATCH_ROWS, row_groups=[part.group], columns=wanted):
                first, last = max(part.start - seen, 0), min(part.stop - seen, batch.num_rows)
                seen += batch.num_rows
                if first < last:
                    rows = batch.slice(first, last - first)
                    values = [
                        rows.column(name).to_pylist() if name else [None] * rows.num_rows
                        for name in names
                    ]
                    yield from zip(*values, strict=True)
                if seen >= part.stop:
                    return
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{file}: row group {part.group} is corrupt ({_first_line(error)}): give a whole file"
            ) from error
