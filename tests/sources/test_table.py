import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance_source import check_source
from wenlan_data.errors import UsageError
from wenlan_data.records import Candidate, Drop, Text
from wenlan_data.sources.table import Table

ROWS = [
    ("http://a.cn/1.jpg", "一只猫"),
    ("http://a.cn/2.jpg", '湖边，\n有 "石桥"'),
    ("http://a.cn/3.jpg", "山"),
]


def _csv(
    path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    if path.suffix == ".parquet":
        table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(columns)})
        pq.write_table(table, path, row_group_size=2)
    elif path.suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows),
            "utf-8",
        )
    else:
        _csv(path, [columns, *rows], delimiter="\t" if path.suffix == ".tsv" else ",")
    return path


def _pairs(rows: list[Candidate | Drop]) -> list[tuple[str, str]]:
    return [
        (row.url, "".join(text.text for text in row.texts))
        for row in rows
        if isinstance(row, Candidate)
    ]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl"])
@pytest.mark.parametrize("max_rows", [1, 2, 10])
def test_every_kind_gives_the_same_rows_wherever_parts_end(
    tmp_path: Path, suffix: str, max_rows: int
) -> None:
    path = _write(
        tmp_path / f"urls{suffix}",
        ["id", "Image_URL", "caption"],
        [(str(n), *r) for n, r in enumerate(ROWS)],
    )
    table = Table(path=path.name, base=str(tmp_path))
    rows = check_source(table, max_rows=max_rows)
    assert _pairs(rows) == ROWS
    assert rows[0] == Candidate(
        url="http://a.cn/1.jpg", texts=(Text("caption", "一只猫"),), source=f"table:urls{suffix}"
    )
    assert table.describe() == "url from 'Image_URL' (guessed), text from 'caption' (guessed)"


def test_named_columns_are_taken_before_usual_ones(tmp_path: Path) -> None:
    path = _csv(
        tmp_path / "t.csv",
        [["url", "pic", "text", "标签", "page"], ["u", "http://p/", "x", "猫", "http://q/"]],
    )
    table = Table(path=str(path), url="pic", text="标签")
    [row] = check_source(table)
    assert isinstance(row, Candidate)
    assert (row.url, row.texts, row.page_url) == (
        "http://p/",
        (Text("caption", "猫"),),
        "http://q/",
    )
    assert table.describe() == "url from 'pic', text from '标签', page_url from 'page' (guessed)"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_csv_files_of_spreadsheets_are_read(tmp_path: Path, encoding: str) -> None:
    path = _csv(
        tmp_path / "t.csv",
        [["url", "标题"], ["http://a/", "联通"], ["http://b/", "石桥"]],
        encoding=encoding,
    )
    assert _pairs(check_source(Table(path=str(path)), max_rows=1)) == [
        ("http://a/", "联通"),
        ("http://b/", "石桥"),
    ]


def test_rows_that_cannot_be_used_are_drops_in_their_place(tmp_path: Path) -> None:
    lines = [
        "url,text",
        "http://a/,猫",
        ",狗",
        "http://b/",
        "http://c/,",
        "",
        "http://d/,x,y",
        f"{'x' * (1 << 20)},z",
    ]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(lines).encode() + b"\nhttp://e/,\xff\xff\nhttp://f/,end")
    rows = check_source(Table(path=str(path)), max_rows=2)
    assert [row.reason if isinstance(row, Drop) else row.url for row in rows] == [
        "http://a/", "bad_url", "bad_row", "http://c/", "bad_row", "bad_row", "bad_encoding", "http://f/",
    ]  # fmt: skip
    assert _pairs(rows) == [("http://a/", "猫"), ("http://c/", ""), ("http://f/", "end")]


def test_a_quote_that_never_closes_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"http://a/{n},{'长' * 20}\n" for n in range(5000)]
    path.write_text("url,text\n" + 'http://bad/,"开\n' + "".join(rows), "utf-8")
    read = check_source(Table(path=str(path)), max_rows=1000)
    assert [row.reason for row in read if isinstance(row, Drop)] == ["bad_row"]
    assert len(read) == 5001
    path.write_text('url,text\nhttp://bad/,"开\nhttp://a/,猫\n', "utf-8")
    assert [isinstance(row, Drop) for row in check_source(Table(path=str(path)))] == [True, False]


def test_json_lines_may_miss_keys_hold_numbers_lists_and_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    values: list[object] = [
        {"url": "http://a/", "text": 7},
        {"url": "http://b/"},
        {"url": "http://c/", "text": ["猫", None, "狗"]},
        {"text": "x"},
        {"url": None, "text": "x"},
        {"url": "http://d/", "text": {"zh": "x"}},
        ["http://e/", "x"],
    ]
    path.write_text(
        "".join(json.dumps(value) + "\n\n" for value in values) + "{oops\n" + "[" * 5000, "utf-8"
    )
    rows = check_source(Table(path=str(path)), max_rows=2)
    assert _pairs(rows) == [("http://a/", "7"), ("http://b/", ""), ("http://c/", "猫狗")]
    reasons = ["bad_url", "bad_url", "bad_row", "bad_row", "bad_row", "bad_row"]
    assert [row.reason for row in rows if isinstance(row, Drop)] == reasons


def test_parquet_values_of_other_types_are_read(tmp_path: Path) -> None:
    table = pa.table(
        {
            "image": pa.array([{"bytes": b"x"}] * 3, pa.struct([("bytes", pa.binary())])),
            "url": pa.array([b"http://a/", "狗".encode("gb18030"), None], pa.binary()),
            "text": pa.array([1.5, None, float("nan")], pa.float64()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    rows = check_source(Table(path=str(tmp_path / "t.parquet")))
    assert _pairs(rows) == [("http://a/", "1.5"), ("狗", "")]
    assert rows[2] == Drop("bad_url", "empty")


_CELL = st.lists(st.sampled_from(["a", "猫", ",", '"', "\n", "\r\n", " ", "\t"]), max_size=8).map(
    "".join
)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=1, max_size=25),
    max_rows=st.integers(1, 7),
    delimiter=st.sampled_from([",", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_csv_gives_the_rows_of_the_standard_reader(
    rows: list[tuple[str, str, str]], max_rows: int, delimiter: str, end: str
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(
        [("url", "x", "text"), *rows]
    )
    expected = [
        row
        for row in csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=delimiter)
        if row
    ][1:]
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("t.csv" if delimiter == "," else "t.tsv")
        path.write_bytes(text.getvalue().encode())
        table = Table(path=str(path))
        read = [
            row for part in table.parts(source=0, max_rows=max_rows) for row in table.read(part)
        ]
    wanted = [(row[0].strip(), row[2].strip()) for row in expected]
    assert [
        ("", "") if isinstance(row, Drop) else (row.url, "".join(t.text for t in row.texts))
        for row in read
    ] == [(url, caption) if url else ("", "") for url, caption in wanted]


def test_quotes_inside_an_unquoted_cell_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('url,text\nhttp://a/,5" 屏\nhttp://b/,"两\n行"\nhttp://c/,猫\n', "utf-8")
    rows = check_source(Table(path=str(path)), max_rows=1)
    assert _pairs(rows) == [("http://a/", '5" 屏'), ("http://b/", "两\n行"), ("http://c/", "猫")]


def test_a_table_that_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.csv", ["url", "text"], ROWS)
    table = Table(path=str(path))
    [part] = table.parts(source=0, max_rows=10)
    path.write_bytes(path.read_bytes() + b"http://new/,x\n")
    with pytest.raises(
        UsageError, match=r"t\.csv: it has \d+ bytes now and had \d+ when .*: put the old file back"
    ):
        list(table.read(part))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, r"none\.csv: there is no such file: check the path"),
        ("empty.csv", b"", r"empty\.csv: the file is empty: give a table with rows"),
        ("head.csv", b"url,text\n", r"head\.csv: the table has columns and no rows"),
        ("head.csv", b"\n\nurl,text\n", r"head\.csv: its first line holds no column names"),
        ("a.csv", b"http://a/1.jpg,cat\n", r"a\.csv: no column looks like the url; .* http://a/1.jpg, cat: set url"),
        ("a.csv", b"url,tags\nhttp://a/,x\n", r"a\.csv: no column looks like the text; .* url, tags: set text"),
        ("a.csv", "url,text\nu,t".encode("utf-16"), r"a\.csv: the table is UTF-16: save it as UTF-8"),
        ("a.csv.gz", gzip.compress(b"url,text\n", mtime=0), r"a\.csv\.gz: .*: unpack it first \(gunzip -k\)"),
        ("a.xlsx", b"PK", r"a\.xlsx: a table is read as .*: convert it to one of these"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl: its first lines hold no JSON object"),
        ("a.parquet", b"PAR1 no", r"a\.parquet: it cannot be read as Parquet"),
    ],
)  # fmt: skip
def test_what_is_missing_empty_or_no_table_is_named_with_the_remedy(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        list(Table(path=name, base=str(tmp_path)).parts(source=0, max_rows=10))


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.parquet", ["url", "text"], ROWS)
    with pytest.raises(
        UsageError,
        match=r"there is no column 'picture'; its columns are url, text: set url: COLUMN",
    ):
        Table(path=str(path), url="picture").parts(source=0, max_rows=10)
    with pytest.raises(UsageError, match=r"there is no column 'page'"):
        Table(path=str(path), page_url="page").describe()
    with pytest.raises(
        UsageError, match=r"a folder: name the table in it, such as table:.*/urls\.parquet"
    ):
        Table(path=str(tmp_path)).parts(source=0, max_rows=10)


def test_another_separator_than_the_files_name_says_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("编号;图片地址;说明\n1;http://a.cn/1.jpg;一座桥\n", "utf-8")
    with pytest.raises(UsageError, match="its separator seems to be ';'"):
        Table(path=str(tmp_path / "a.csv")).describe()


def test_a_parquet_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "t.parquet", ["url", "text"], [(f"http://a/{n}", f"字{n}") for n in range(500)]
    )
    table = Table(path=str(path))
    part = next(table.parts(source=0, max_rows=10))
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"t\.parquet: row group 0 is corrupt"):
        list(table.read(part))
