"""Hostile Parquet tables: refused before they take memory, with one error of the project."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bounds import bounded
from tests.mutations import mutations
from tests.shard.make_golden import GOLDEN, GOLDEN_1_0
from wenlan_data.bounded_tables import read_batches, read_rows
from wenlan_data.errors import DamageError, WenlanError
from wenlan_data.parquet_pages import read_pages
from wenlan_data.tables import DROPS, METADATA, OFFSETS

ITEMS = pa.list_(pa.struct([("text", pa.string()), ("confidence", pa.float64())]))
SCHEMA = pa.schema([("key", pa.string()), ("number", pa.int64()), ("items", ITEMS)])
ROW = {"key": "a", "number": 1, "items": [{"text": "猫", "confidence": 0.5}]}


def _table(rows: int = 1, **columns: object) -> pa.Table:
    table = pa.Table.from_pylist([ROW] * rows, SCHEMA)
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, column)
    return table


def _bytes(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out.getvalue()


def _repeated(text: str, times: int) -> pa.Array:
    """One text many times, which takes 4 bytes a row here and less in a file."""
    codes = pa.array(np.zeros(times, np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array([text]))


def _plain_strings(table: pa.Table) -> bytes:
    # Without the schema of Arrow, which would make a dictionary of what is one here.
    return _bytes(table, store_schema=False)


def _long_text_in_many_rows() -> bytes:
    table = _table(20_000).drop_columns(["key"])
    return _plain_strings(table.append_column("key", _repeated("x" * 500_000, 20_000)))


def _long_text_in_a_list() -> bytes:
    texts = _repeated("x" * 500_000, 4000)
    struct = pa.StructArray.from_arrays(
        [texts, pa.array(np.zeros(4000))], names=["text", "confidence"]
    )
    items = pa.ListArray.from_arrays(pa.array([0, 4000], pa.int32()), struct)
    return _plain_strings(_table(items=items))


def _long_list() -> bytes:
    struct = pa.StructArray.from_arrays(
        [_repeated("x", 5000), pa.array(np.zeros(5000))], names=["text", "confidence"]
    )
    items = pa.ListArray.from_arrays(pa.array([0, 5000], pa.int32()), struct)
    return _plain_strings(_table(items=items))


def _list_of_many_values() -> bytes:
    count = 17_000_000
    struct = pa.StructArray.from_arrays(
        [_repeated("x", count), pa.array(np.zeros(count))], names=["text", "confidence"]
    )
    items = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), struct)
    return _plain_strings(_table(items=items))


def _invalid_text() -> pa.Array:
    values = pa.array([b"\xff\xfe"], pa.binary())
    return pa.Array.from_buffers(pa.string(), 1, values.buffers())


def _two_columns_of_one_name() -> bytes:
    table = _table()
    return _bytes(table.append_column("key", table["key"]))


def _with_item(**fields: object) -> pa.Array:
    return pa.array([[{"text": "猫", "confidence": 0.5, **fields}]], ITEMS)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a long text in many rows": (_long_text_in_many_rows, "is larger than"),
    "a long text many times in a list": (_long_text_in_a_list, "a row decodes to"),
    "a long list": (_long_list, "a list of more than 4096 items"),
    "a list of many values": (_list_of_many_values, "17000000 values in 1 rows"),
    "a page that decompresses to 100 MB": (
        lambda: _bytes(_table(key=pa.array(["x" * 100_000_000])), use_dictionary=False),
        "a page of more than",
    ),
    "a text of 100 MB in a dictionary": (
        lambda: _bytes(_table(key=pa.array(["x" * 100_000_000]))),
        "a page of more than",
    ),
    "1,200 columns": (
        lambda: _bytes(pa.table({f"c{number}": [1] for number in range(1200)})),
        "1200 columns",
    ),
    "10,001 row groups": (
        lambda: _bytes(pa.table({"key": [""] * 10_001}), row_group_size=1),
        "10001 row groups",
    ),
    "a footer of 5 MB": (
        lambda: _bytes(_table().replace_schema_metadata({"a": "x" * 5_000_000})),
        "a footer of",
    ),
    "values that repeat the one before": (
        lambda: _bytes(_table(), use_dictionary=False, column_encoding={"key": "DELTA_BYTE_ARRAY"}),
        "an encoding that no build writes",
    ),
    "values as differences": (
        lambda: _bytes(
            _table(), use_dictionary=False, column_encoding={"number": "DELTA_BINARY_PACKED"}
        ),
        "an encoding that no build writes",
    ),
    "a column less": (lambda: _bytes(_table().drop_columns(["number"])), "'number' is missing"),
    "a column twice": (_two_columns_of_one_name, "there twice"),
    "numbers in place of texts": (lambda: _bytes(_table(key=pa.array([1]))), "another type"),
    "bytes in place of texts": (lambda: _bytes(_table(key=pa.array([b"a"]))), "another type"),
    "large texts": (
        lambda: _bytes(_table(key=pa.array(["a"], pa.large_string()))),
        "another type",
    ),
    "small numbers": (lambda: _bytes(_table(number=pa.array([1], pa.int8()))), "another type"),
    "fractions": (lambda: _bytes(_table(number=pa.array([0.5]))), "another type"),
    "texts in place of a list": (lambda: _bytes(_table(items=pa.array(["a"]))), "another type"),
    "a list of texts": (lambda: _bytes(_table(items=pa.array([["a"]]))), "another type"),
    "a list of other objects": (
        lambda: _bytes(_table(items=pa.array([[{"other": "a"}]]))),
        "another type",
    ),
    "an empty cell": (lambda: _bytes(_table(key=pa.array([None], pa.string()))), "empty cells"),
    "an empty list": (lambda: _bytes(_table(items=pa.array([None], ITEMS))), "empty cells"),
    "an empty item": (lambda: _bytes(_table(items=pa.array([[None]], ITEMS))), "empty cells"),
    "an empty field": (lambda: _bytes(_table(items=_with_item(text=None))), "empty cells"),
    "not a number": (
        lambda: _bytes(_table(items=_with_item(confidence=float("nan")))),
        "not finite",
    ),
    "infinity": (lambda: _bytes(_table(items=_with_item(confidence=float("inf")))), "not finite"),
    "1e400": (lambda: _bytes(_table(items=_with_item(confidence=-1e400))), "not finite"),
    "invalid UTF-8": (lambda: _bytes(_table(key=_invalid_text())), "UTF"),
    "an empty file": (lambda: b"", "not a Parquet file"),
    "the magic alone": (lambda: b"PAR1", "not a Parquet file"),
    "no footer": (lambda: b"PAR1" + bytes(4) + b"PAR1", "cannot be read"),
    "a footer before the file": (lambda: b"PAR1" + b"\xff" * 4 + b"PAR1", "not a Parquet file"),
    "an encrypted file": (lambda: _bytes(_table())[:-4] + b"PARE", "not a Parquet file"),
    "a text file": (lambda: b"key,number\n" * 100, "not a Parquet file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_table_is_one_error(tmp_path: Path, case: str) -> None:
    make, message = HOSTILE[case]
    path = tmp_path / "a.parquet"
    path.write_bytes(make())
    assert path.stat().st_size < 12_000_000
    pa.default_memory_pool().release_unused()
    with bounded(mib=700), pytest.raises(DamageError, match=r"a\.parquet: this table") as raised:
        read_rows(path, SCHEMA)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 500


def test_rows_are_those_that_pyarrow_reads(tmp_path: Path) -> None:
    for number, table in enumerate((_table(0), _table(1), _table(10_000))):
        path = tmp_path / f"{number}.parquet"
        for options in ({}, {"row_group_size": 999}, {"data_page_version": "2.0"}):
            pq.write_table(table, path, **options)
            assert read_rows(path, SCHEMA).to_pylist() == table.to_pylist()
            batches = list(read_batches(path, SCHEMA, rows=777))
            assert max((batch.num_rows for batch in batches), default=0) <= 777
            assert sum(batch.num_rows for batch in batches) == table.num_rows
    # More distinct texts than a dictionary page holds: the rest follows without one.
    texts = [[{"text": f"{number:0500}", "confidence": 1.0}] * 2 for number in range(9000)]
    table = _table(9000, items=pa.array(texts, ITEMS))
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", SCHEMA).to_pylist() == table.to_pylist()
    for corpus in (GOLDEN, GOLDEN_1_0):
        table = pq.read_table(corpus / "drops" / "000000.parquet")
        assert (
            read_rows(corpus / "drops" / "000000.parquet", DROPS).to_pylist() == table.to_pylist()
        )


def test_other_columns_and_fields_are_not_read(tmp_path: Path) -> None:
    bomb = _repeated("x" * 500_000, 20_000)
    table = _table(20_000).append_column("other", bomb)
    (tmp_path / "a.parquet").write_bytes(_plain_strings(table))
    with bounded(mib=200):
        assert read_rows(tmp_path / "a.parquet", SCHEMA).num_rows == 20_000
    small = pa.schema([("items", pa.list_(pa.struct([("text", pa.string())])))])
    pq.write_table(_table(), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", small).to_pylist() == [{"items": [{"text": "猫"}]}]


def test_a_table_larger_than_memory_is_read_by_batches(tmp_path: Path) -> None:
    table = _table(300_000, key=_repeated("x" * 2000, 300_000).cast(pa.string()))
    (tmp_path / "a.parquet").write_bytes(_plain_strings(table))
    del table
    pa.default_memory_pool().release_unused()
    with bounded(mib=300):
        assert sum(one.num_rows for one in read_batches(tmp_path / "a.parquet", SCHEMA)) == 300_000
    with bounded(mib=1000), pytest.raises(DamageError, match="is larger than"):
        read_rows(tmp_path / "a.parquet", SCHEMA)


def test_long_rows_come_in_smaller_batches(tmp_path: Path) -> None:
    """Also where each row has a text of its own, and where all have one of a dictionary."""
    path = tmp_path / "a.parquet"
    count = 600
    for text in (
        _repeated("猫" * 100_000, count),
        pa.array([f"{n:0300000}" for n in range(count)]),
    ):
        items = pa.StructArray.from_arrays([text, pa.array(np.ones(count))], ["text", "confidence"])
        lists = pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), items)
        # Pages of a few rows: otherwise Arrow writes all in one, which readers refuse.
        table = _table(count, items=lists)
        path.write_bytes(_bytes(table, store_schema=False, write_batch_size=10))
        pa.default_memory_pool().release_unused()
        with bounded(mib=700):
            sizes = [(one.num_rows, one.nbytes) for one in read_batches(path, SCHEMA)]
        assert sum(rows for rows, _ in sizes) == count
        assert max(size for _, size in sizes) < 1 << 27


def test_a_text_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wenlan_data.bounded_tables.MAX_DECODED_BYTES", 1 << 30)
    path, count = tmp_path / "a.parquet", 300_000
    table = _table(count).drop_columns(["key"])
    path.write_bytes(_plain_strings(table.append_column("key", _repeated("x" * 500_000, count))))
    del table
    with pytest.raises(DamageError, match="far more than its size"):
        for _ in read_batches(path, SCHEMA):
            pass


def test_the_file_that_was_checked_is_the_one_that_is_decoded(tmp_path: Path) -> None:
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(_table(3), path)
    pq.write_table(_table(5), other)

    def replace_path(frame: object, event: str, called: object) -> None:
        if getattr(called, "__name__", "") == "pread" and other.exists():
            other.replace(path)

    sys.setprofile(replace_path)
    try:
        rows = sum(one.num_rows for one in read_batches(path, SCHEMA))
    finally:
        sys.setprofile(None)
    assert not other.exists()
    assert rows == 3


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _i32(step: int, value: int) -> bytes:
    return bytes([step << 4 | 5]) + _varint(value << 1)


def _page(values: int, size: int, compressed: int, encoding: int = 0) -> bytes:
    """A data page: type, sizes, and a struct with values and encoding."""
    details = _i32(1, values) + _i32(1, encoding) + b"\0"
    head = _i32(1, 0) + _i32(1, size) + _i32(1, compressed)
    return head + b"\x2c" + details + b"\0" + bytes(compressed)


def test_pages_are_read_from_their_headers(tmp_path: Path) -> None:
    content = _page(3, 10, 5) + _page(4, 20, 0, encoding=8)
    (tmp_path / "a").write_bytes(b"PAR1" + content)
    with (tmp_path / "a").open("rb") as file:
        assert [tuple(page) for page in read_pages(file, 4, len(content))] == [
            (3, 10, "PLAIN"),
            (4, 20, "RLE_DICTIONARY"),
        ]


def test_long_page_headers_are_read_in_little_more_than_their_size(tmp_path: Path) -> None:
    header, count = _page(1, 0, 0)[:-1] + b"\x38" + _varint(1100) + bytes(1100) + b"\0", 2000
    (tmp_path / "a").write_bytes(b"PAR1" + header * count)
    before = _bytes_read()
    with (tmp_path / "a").open("rb") as file:
        assert len(read_pages(file, 4, len(header) * count)) == count
    assert _bytes_read() - before < 4 * len(header) * count


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text("utf-8").split()[1])


PAGES = {
    "page larger than its column": _page(1, 9, 9)[:-1],
    "field twice": _i32(1, 0) + b"\x05\x02" + b"\x02" + b"\0",
    "negative size": bytes([0x15, 0, 0x15, 1, 0x15, 1]) + b"\x2c\x15\x02\x15\x00\0\0",
    "no size": _i32(1, 0) + b"\0",
    "no values": _i32(1, 0) + _i32(1, 1) + _i32(1, 0) + b"\x2c\0\0",
    "unknown type": _i32(1, 9) + _i32(1, 1) + _i32(1, 0) + b"\0",
    "type that is a struct": b"\x1c\0" + _i32(1, 1) + _i32(1, 0) + b"\0",
    "number without end": b"\x15" + b"\xff" * 20 + b"\0",
    "text of gigabytes": b"\x18\xff\xff\xff\xff\x0f",
    "header of zeros": bytes(20),
    "header without end": b"\x1c" * 2000,
    "list": b"\x19\x15",
    "cut short": _page(1, 0, 0)[:-1],
    "100,001 pages": _page(0, 0, 0) * 100_001,
}


@pytest.mark.parametrize("case", PAGES)
def test_hostile_page_headers_are_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "a").write_bytes(b"PAR1" + PAGES[case])
    with (
        bounded(mib=100),
        (tmp_path / "a").open("rb") as file,
        pytest.raises(ValueError, match=r"page|column"),
    ):
        read_pages(file, 4, len(PAGES[case]))


@pytest.mark.parametrize(("start", "size"), [(0, 8), (-4, 8), (4, 1 << 40), (1 << 60, 1), (4, -9)])
def test_a_column_outside_of_the_file_is_refused(tmp_path: Path, start: int, size: int) -> None:
    (tmp_path / "a").write_bytes(_page(1, 0, 0) * 2)
    with (tmp_path / "a").open("rb") as file, pytest.raises(ValueError, match="outside"):
        read_pages(file, start, size)


def test_a_page_with_more_values_than_the_footer_states_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(_table(100), path, compression="none")
    with pq.ParquetFile(path) as table:
        column = table.metadata.row_group(0).column(1)
    content = bytearray(path.read_bytes())
    place = content.index(_varint(200), column.data_page_offset)  # 100, as zigzag
    content[place : place + 2] = _varint(202)
    path.write_bytes(content)
    with pytest.raises(DamageError, match="its pages do not hold 100 values"):
        read_rows(path, SCHEMA)


def run_table_fuzz(folder: Path, count: int, seed: int = 0) -> int:
    """Reads mutated tables of every kind; returns how many were sound."""
    kinds = ((OFFSETS, "shards/*.parquet"), (METADATA, "metadata/*"), (DROPS, "drops/*"))
    samples = [
        (schema, path.read_bytes()) for schema, glob in kinds for path in sorted(GOLDEN.glob(glob))
    ]
    path, sound = folder / "mutated.parquet", 0
    for number, content in mutations([data for _, data in samples], count, seed):
        path.write_bytes(content)
        try:
            read_rows(path, samples[number % len(samples)][0]).to_pylist()
            sound += 1
        except WenlanError:
            continue
        except BaseException as error:
            raise AssertionError(f"mutation {number}, seed {seed}") from error
    return sound


def test_mutated_tables_raise_errors_of_the_project_only(tmp_path: Path) -> None:
    with bounded(seconds=600, mib=500):
        assert run_table_fuzz(tmp_path, 1500) > 50
