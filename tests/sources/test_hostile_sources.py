"""Hostile WARCs, tables, folders and records: each ends in rows, drops or one clear error, in
bounded memory and time."""

import gzip
import io
import json
import os
import socket
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.mutations import mutations
from tests.sources.test_warc import PAGE, RECORDS, write_records
from wenlan_data.errors import DamageError, UsageError, WenlanError
from wenlan_data.protocols import Source
from wenlan_data.records import Candidate, Drop
from wenlan_data.sources.brivl import Brivl
from wenlan_data.sources.folder import Folder
from wenlan_data.sources.table import Table
from wenlan_data.sources.warc import Warc
from wenlan_data.web.warc import UNKNOWN_DATE, WarcPayload, records

MAX_MEMORY_MIB = 1024
"""Of a process that reads a hostile file, by VmHWM."""


def _rows(source: Source, max_rows: int = 1000) -> list[Candidate | Drop]:
    return [row for part in source.parts(source=0, max_rows=max_rows) for row in source.read(part)]


def _reasons(source: Source) -> list[str]:
    """Returns `ok`, or the reason of the drop, for each row."""
    return [row.reason if isinstance(row, Drop) else "ok" for row in _rows(source)]


# WARCs


def _record(
    headers: bytes = b"",
    body: bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x",
    *,
    kind: bytes = b"response",
    length: bytes | None = None,
    date: bytes = b"WARC-Date: 2020-01-01T00:00:00Z\r\n",
    url: bytes = b"http://a.cn/",
) -> bytes:
    head = b"WARC/1.0\r\nWARC-Type: " + kind + b"\r\nWARC-Target-URI: " + url + b"\r\n" + date
    head += b"Content-Type: application/http; msgtype=response\r\n" + headers
    size = str(len(body)).encode() if length is None else length
    return head + b"Content-Length: " + size + b"\r\n\r\n" + body + b"\r\n\r\n"


def _http(*headers: str, body: bytes = PAGE, status: str = "200 OK") -> bytes:
    lines = ["HTTP/1.1 " + status, "Content-Type: text/html", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _chunks(body: bytes, size: int = 7) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


def _deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": _deflate,
    "BR": brotli.compress,
    "zstd": zstandard.compress,
    "": bytes,
    "identity": bytes,
}


def _read(path: Path, data: bytes) -> list[WarcPayload]:
    path.write_bytes(data)
    return list(records(path))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("label", ENCODE)
def test_a_payload_is_decoded_as_the_crawl_decodes_it(
    tmp_path: Path, label: str, chunked: bool
) -> None:
    body = ENCODE[label](PAGE)
    more = ["Transfer-Encoding: chunked"] if chunked else []
    if label:
        more.append(f"Content-Encoding: {label}")
    http = _http(*more, body=_chunks(body) if chunked else body)
    # The headers state it, and the archive stores the payload without it.
    stale = _http(*more, body=PAGE)
    found = _read(tmp_path / "a.warc", _record(body=http) + _record(body=stale))
    assert [(one.payload, one.problem) for one in found] == [(PAGE, None)] * 2


BROKEN: dict[str, bytes] = {
    "two layers": _http("Content-Encoding: gzip, br", body=brotli.compress(gzip.compress(PAGE))),
    "two headers": _http("Content-Encoding: gzip", "Content-Encoding: br",
                         body=brotli.compress(gzip.compress(PAGE))),
    "another encoding": _http("Content-Encoding: br", body=gzip.compress(PAGE)),
    "no encoding": _http("Content-Encoding: zstd", body=b"plain words"),
    "unknown": _http("Content-Encoding: lzma", body=b"\xfd7zXZ\0"),
    "cut gzip": _http("Content-Encoding: gzip", body=gzip.compress(PAGE)[:-9]),
    "cut br": _http("Content-Encoding: br", body=brotli.compress(PAGE)[:-3]),
    "flipped gzip": _http("Content-Encoding: gzip", body=gzip.compress(PAGE)[:30] + b"\0" * 40),
    "cut chunks": _http("Transfer-Encoding: chunked", body=_chunks(b"text without a tag")[:-9]),
    "long header": _http("X: " + "a" * 1_000_000),
    "many headers": _http(*["X: a"] * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_page_that_cannot_be_decoded_is_a_drop_and_the_next_one_is_read(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "a.warc").write_bytes(_record(body=BROKEN[name]) + _record(body=_http()))
    rows = _rows(Warc(path=str(tmp_path / "a.warc")))
    reason = "header_limit" if "header" in name and name != "two headers" else "encoding"
    assert isinstance(rows[0], Drop)
    assert (rows[0].reason, rows[0].page_url) == (reason, "http://a.cn/")
    assert [isinstance(row, Candidate) for row in rows[1:]] == [True] * 3


@pytest.mark.parametrize(
    ("date", "year"),
    [
        (None, 1970),
        ("", 1970),
        ("garbage", 1970),
        ("0000-00-00T00:00:00Z", 1970),
        ("0001-01-01T00:00:00Z", 1970),
        ("0001-01-01T00:00:00+23:59", 1970),
        ("1969-01-01T00:00:00Z", 1970),
        ("2020-02-30T00:00:00Z", 1970),
        ("9999-12-31T23:59:59Z", 1970),
        ("9999-12-31T23:59:59-23:59", 1970),
        ("99999-01-01T00:00:00Z", 1970),
        ("2016-12-31T23:59:60Z", 2016),
        ("2021-03-11T08:09:10.123456789Z", 2021),
    ],
)
def test_a_date_that_no_archive_has_is_absent(tmp_path: Path, date: str | None, year: int) -> None:
    line = b"" if date is None else b"WARC-Date: " + date.encode() + b"\r\n"
    [found] = _read(tmp_path / "a.warc", _record(date=line))
    assert found.date.year == year
    assert year != 1970 or found.date == UNKNOWN_DATE


@pytest.mark.parametrize(
    ("stated", "ip"),
    [
        ("192.0.2.1", "192.0.2.1"), (" 192.0.2.1 ", "192.0.2.1"), ("2001:DB8::1", "2001:db8::1"),
        ("1.2.3", ""), ("localhost", ""), ("1.2.3.4; rm", ""), ("<p>", ""), ("fe80::1%eth0", ""),
        ("9" * 5000, ""), ("\x1b[2J", ""), ("", ""), ("192.0.2.1, 192.0.2.2", ""), ("0x7f.1", ""),
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_absent(tmp_path: Path, stated: str, ip: str) -> None:
    header = b"WARC-IP-Address: " + stated.encode() + b"\r\n"
    assert [one.ip for one in _read(tmp_path / "a.warc", _record(header))] == [ip]


STRUCTURES: dict[str, tuple[bytes, int | None]] = {
    # Number of records that are read; None: the file is refused, with the offset.
    "continued header": (_record(b"X-A: b\r\n c\r\n\td\r\n"), 1),
    "continuation of none": (_record(b" c\r\n"), 1),
    "revisit": (_record(kind=b"revisit"), 0),
    "conversion": (_record(kind=b"conversion"), 0),
    "metadata": (_record(kind=b"metadata"), 0),
    "continuation record": (_record(kind=b"continuation"), 0),
    "unknown kind": (_record(kind=b"\xff\xfe"), 0),
    "no HTTP": (_record(body=b"\r\n\r\n"), 1),
    "status garbage": (_record(body=b"HTTP/1.1 abc OK\r\n\r\nx"), 1),
    "status huge": (_record(body=b"HTTP/1.1 " + b"9" * 30 + b" OK\r\n\r\nx"), 1),
    "headers without end": (_record(body=b"HTTP/1.1 200 OK\r\nA: b"), 1),
    "empty block": (_record(body=b""), 1),
    "no URL": (_record(url=b""), 1),
    "URL garbage": (_record(url=b"\xff\xfe\0 <x>\x1b"), 1),
    "length -1": (_record(length=b"-1"), None),
    "length huge": (_record(length=b"9" * 40), None),
    "length 2^63": (_record(length=b"9223372036854775808"), None),
    "length 2^64": (_record(length=b"18446744073709551616"), None),
    "length words": (_record(length=b"many"), None),
    "length too long": (_record(length=b"600"), None),
    "length too short": (_record(length=b"5"), None),
    "other version": (_record().replace(b"WARC/1.0", b"WARC/x"), None),
    "words between": (b"x" * 100 + _record(), None),
    "header of 3 MB": (_record(b"X: " + b"a" * 3_000_000 + b"\r\n"), None),
    "200,000 headers": (_record(b"X: a\r\n" * 200_000), None),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_strange_record_is_read_or_named(tmp_path: Path, name: str, zipped: bool) -> None:
    data, count = STRUCTURES[name]
    path = tmp_path / ("a.warc.gz" if zipped else "a.warc")
    pack = gzip.compress if zipped else bytes
    path.write_bytes(pack(_record()) + pack(data) + pack(_record()))
    if count is None:
        with pytest.raises(DamageError, match=r"a\.warc.*: at byte \d+: "):
            list(records(path))
    else:
        assert len(list(records(path))) == 2 + count
        source = Warc(path=str(path))
        [part] = source.parts(source=0, max_rows=1)
        _rows(source)
        assert len(list(source.images(part))) == 2 + (count if name != "no URL" else 0)


def test_a_page_without_an_address_or_with_too_many_bytes_is_a_drop(tmp_path: Path) -> None:
    data = (
        _record(url=b"")
        + _record(url=b"urn:x")
        + _record(body=_http(body=b"<p>" + b" " * (21 << 20)))
    )
    (tmp_path / "a.warc").write_bytes(data)
    assert _reasons(Warc(path=str(tmp_path / "a.warc"))) == ["bad_url", "bad_url", "page_too_large"]


def _bomb(*headers: str, body: bytes) -> bytes:
    return _record(body=_http(*headers, body=body))


def _zeros(make: Callable[[bytes], bytes], mebibytes: int) -> bytes:
    return make(bytes(mebibytes << 20))


BOMBS: dict[str, tuple[Callable[[], bytes], str, dict[str, int]]] = {
    # The file, its suffix, and what comes out of it.
    "300 MB of zeros by gzip": (
        lambda: _bomb("Content-Encoding: gzip", body=_zeros(gzip.compress, 300)),
        ".warc",
        {"page_too_large": 1, "held": 1},
    ),
    "300 MB of zeros by br": (
        lambda: _bomb("Content-Encoding: br", body=brotli.compress(bytes(300 << 20), quality=4)),
        ".warc",
        {"page_too_large": 1, "held": 1},
    ),
    "300 MB of zeros by zstd": (
        lambda: _bomb("Content-Encoding: zstd", body=_zeros(zstandard.compress, 300)),
        ".warc",
        {"page_too_large": 1, "held": 1},
    ),
    "a record of 300 MB, gzipped": (
        lambda: gzip.compress(_record(body=_http(body=bytes(300 << 20)))),
        ".warc.gz",
        {"page_too_large": 1, "held": 1},
    ),
    "a header of 100 MB": (
        lambda: _record() + _record(b"X: " + b"a" * 100_000_000 + b"\r\n"),
        ".warc",
        {"DamageError": 1},
    ),
    "an HTTP header of 100 MB": (
        lambda: _record() + _record(body=_http("X: " + "a" * 100_000_000)),
        ".warc",
        {"header_limit": 1, "held": 2},
    ),
    "100,000 tiny records": (
        lambda: _record(body=b"HTTP/1.1 204 x\r\n\r\n") * 100_000,
        ".warc",
        {"held": 100_000},
    ),
    "200,000 empty gzip members": (
        lambda: gzip.compress(_record()) + gzip.compress(b"") * 200_000,
        ".warc.gz",
        {"held": 1},
    ),
    "million chunks of a byte": (
        lambda: _bomb("Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n"),
        ".warc",
        {"held": 1},
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_warc_takes_bounded_memory_and_time(tmp_path: Path, name: str) -> None:
    make, suffix, expected = BOMBS[name]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make())
    assert _measured("warc", path) == expected


# Tables

_URLS = [f"http://a.cn/{number}.jpg" for number in range(100)]


def _parquet(path: Path, text: pa.Array, **options: object) -> Path:
    table = pa.table({"url": (_URLS * (len(text) // 100 + 1))[: len(text)], "text": text})
    # Without the schema of Arrow, a dictionary is read as what it holds.
    pq.write_table(table, path, **{"store_schema": False, **options})
    return path


def _repeated(value: str, count: int) -> pa.Array:
    codes = pa.array([0] * count, pa.int32())
    return pa.DictionaryArray.from_arrays(codes, [value])


def _list_of(values: pa.Array) -> pa.Array:
    """One list of all values."""
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _nested(depth: int) -> pa.Array:
    kind = pa.string()
    for _ in range(depth):
        kind = pa.list_(kind)
    return pa.array([None], kind)


PARQUETS: dict[str, tuple[Callable[[], pa.Array], dict[str, object], dict[str, int]]] = {
    # Values, options of the writer, and the rows that come out.
    "300 kB, 8,192 times": (lambda: _repeated("x" * 100_000, 8192), {}, {"ok": 8192}),
    "30 MB, 40 times": (lambda: _repeated("x" * 30_000_000, 40), {}, {"bad_row": 40}),
    "a page of 150 MB": (
        lambda: pa.array(["y" * 150_000_000]),
        {"use_dictionary": False, "compression": "zstd"},
        {"bad_row": 1},
    ),
    "prefixes": (
        lambda: pa.array(["x" * 100_000] * 500),
        {"use_dictionary": False, "column_encoding": {"url": "PLAIN", "text": "DELTA_BYTE_ARRAY"}},
        {"ok": 500},
    ),
    "a list of 2 million": (
        lambda: pa.ListArray.from_arrays(
            pa.array([0, 2_000_000], pa.int32()), _repeated("z" * 1000, 2_000_000)
        ),
        {},
        {"bad_row": 1},
    ),
    "a list of 5 million": (
        lambda: pa.ListArray.from_arrays(
            pa.array([0, 5_000_000], pa.int32()), _repeated("z", 5_000_000)
        ),
        {},
        {"bad_row": 1},
    ),
    "a list of 90 MB": (
        lambda: pa.ListArray.from_arrays(
            pa.array([0, 900, 901], pa.int32()), _repeated("z" * 100_000, 901)
        ),
        {},
        {"bad_row": 1, "ok": 1},
    ),
    "lists of numbers": (lambda: pa.array([[1, 2], None]), {}, {"ok": 2}),
    "dates of the year 500,000": (
        lambda: pa.array([2**62, 0], pa.timestamp("us")),
        {},
        {"bad_row": 1, "ok": 1},
    ),
    "days of the year 5 million": (
        lambda: pa.array([2**31 - 1, 0], pa.date32()),
        {},
        {"bad_row": 1, "ok": 1},
    ),
    "decimals": (lambda: pa.array([1, None]).cast(pa.decimal128(38, 2)), {}, {"ok": 2}),
    "binary": (lambda: pa.array([b"\xff\xfe\xff", b"ok"]), {}, {"bad_encoding": 1, "ok": 1}),
    "2,000 lists of a MB": (
        lambda: pa.ListArray.from_arrays(
            pa.array(range(0, 2_001_000, 1000), pa.int32()), _repeated("x" * 1000, 2_000_000)
        ),
        {},
        {"ok": 2000},
    ),
    "20 MB, 1,000 times in structs of a list": (
        lambda: _list_of(pa.StructArray.from_arrays([_repeated("x" * 20_000_000, 1000)], ["a"])),
        {},
        {"bad_row": 1},
    ),
    "20 MB, 1,000 times in lists of a list": (
        lambda: _list_of(_list_of(_repeated("x" * 20_000_000, 1000))),
        {},
        {"bad_row": 1},
    ),
    "20 MB, 1,000 times in a map": (
        lambda: pa.MapArray.from_arrays(
            pa.array([0, 1000], pa.int32()),
            pa.array(map(str, range(1000))),
            _repeated("x" * 20_000_000, 1000),
        ),
        {},
        {"bad_row": 1},
    ),
    "a map": (
        lambda: pa.array([[("a", "b")], None], pa.map_(pa.string(), pa.string())),
        {},
        {"bad_row": 1, "ok": 1},
    ),
    "lists in lists": (lambda: pa.array([[["a"]], [["b"]]]), {}, {"bad_row": 2}),
}

_READER = """
import sys
from collections import Counter
from pathlib import Path
from wenlan_data import plugins
from wenlan_data.records import Drop
from wenlan_data.errors import WenlanError
source = plugins.build(plugins.SOURCES, sys.argv[1], {"path": sys.argv[2]})
found = Counter()
try:
    for part in source.parts(source=0, max_rows=100_000):
        for row in source.read(part):
            found[row.reason if isinstance(row, Drop) else "ok"] += 1
        found["held"] += sum(1 for _ in source.images(part))
except WenlanError as error:
    found[type(error).__name__] += 1
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
import json
print(json.dumps([dict(found), int(peak.split()[1]) // 1024]))
"""


def _measured(kind: str, path: Path) -> dict[str, int]:
    """Reads a source in a process of its own; returns reasons to rows, and checks its memory."""
    done = subprocess.run(
        [sys.executable, "-c", _READER, kind, str(path)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found, peak_mib = json.loads(done.stdout)
    assert peak_mib < MAX_MEMORY_MIB
    return {reason: count for reason, count in found.items() if count}


@pytest.mark.parametrize("name", PARQUETS)
def test_a_parquet_file_takes_bounded_memory(tmp_path: Path, name: str) -> None:
    make, options, expected = PARQUETS[name]
    path = _parquet(tmp_path / "t.parquet", make(), **options)
    if "MB" in name or "million" in name or name == "prefixes":
        assert _measured("table", path) == expected
    else:
        assert Counter(_reasons(Table(path=str(path)))) == expected


def test_a_parquet_file_with_strange_columns_beside_is_read(tmp_path: Path) -> None:
    table = pa.table(
        {
            "url": _URLS[:1],
            "text": ["猫"],
            "when": pa.array([2**62], pa.timestamp("us")),
            "day": pa.array([2**31 - 1], pa.date32()),
            "blob": pa.array([b"\0" * 50_000_000]),
            "deep": _nested(20),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    assert _reasons(Table(path=str(tmp_path / "t.parquet"))) == ["ok"]


@pytest.mark.parametrize("depth", [100, 500])
def test_a_deeply_nested_column_is_named(tmp_path: Path, depth: int) -> None:
    path = _parquet(tmp_path / "t.parquet", _nested(depth))
    with pytest.raises(UsageError, match=r"t\.parquet: it cannot be read as Parquet \(.*nested"):
        _rows(Table(path=str(path)))


def test_a_footer_that_states_more_rows_than_there_can_be_is_refused(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "t.parquet", pa.array(["a"] * 77))
    data = bytearray(path.read_bytes())
    # Rows of the file and of the row group are zigzag numbers: 77 is one byte longer than 2^31 - 1.
    found = [at for at in range(len(data) - 400, len(data)) if data[at : at + 2] == b"\x9a\x01"]
    assert found
    for at in found:
        for count in (b"\xfe\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"):
            changed = bytes(data[:at]) + count + bytes(data[at + 2 : -8])
            size = int.from_bytes(data[-8:-4], "little") + len(count) - 2
            path.write_bytes(changed + size.to_bytes(4, "little") + b"PAR1")
            try:
                rows = _rows(Table(path=str(path)))
            except WenlanError:
                continue
            assert len(rows) <= 77


def _table(path: Path, data: bytes) -> list[str]:
    path.write_bytes(data)
    return _reasons(Table(path=str(path)))


@pytest.mark.parametrize(
    "line", ['a","\n', '"\n', 'x,"y\n', '"""\n', 'a,"b\nc"",d\n', '"' + "z" * 900 + "\n", ',"\r\n']
)
def test_quotes_take_linear_time(tmp_path: Path, line: str) -> None:
    body = line * (200_000 // len(line))
    reasons = _table(tmp_path / "t.csv", b"url,text\n" + body.encode() + b"http://a.cn/,x\n")
    assert reasons
    # The same rows wherever a part begins, so that planning and reading agree.
    source = Table(path=str(tmp_path / "t.csv"))
    for part in list(source.parts(source=0, max_rows=20_000))[:3]:
        assert part.rows == sum(1 for _ in source.read(part))


@pytest.mark.parametrize("end", ['"', '"\r z'])
def test_an_error_after_a_quote_costs_one_line(tmp_path: Path, end: str) -> None:
    rows = [f"http://a.cn/{number}.jpg,x\n" for number in range(50)]
    lines = ['http://a.cn/a.jpg,"open\n', *rows, f"http://a.cn/b.jpg,{end}\n"]
    reasons = _table(tmp_path / "t.csv", ("url,text\n" + "".join([*lines, *rows])).encode())
    if end == '"':
        assert reasons == ["ok"] * 51
    else:
        assert reasons == ["bad_row", *["ok"] * 50, "bad_row", *["ok"] * 50]


JSON_LINES: dict[str, tuple[bytes, str]] = {
    "nested lists": (b"[" * 100_000, "bad_row"),
    "nested objects": (b'{"a":' * 50_000, "bad_row"),
    "nested in a key": (
        b'{"url": "http://a.cn/1", "text": ' + b"[" * 400 + b"]" * 400 + b"}",
        "bad_row",
    ),
    "integer of 5,000 digits": (
        b'{"url": "http://a.cn/1", "text": ' + b"9" * 5000 + b"}",
        "bad_row",
    ),
    "integer of 4,000 digits": (b'{"url": "http://a.cn/1", "text": ' + b"9" * 4000 + b"}", "ok"),
    "10^400": (b'{"url": "http://a.cn/1", "text": 1e400}', "ok"),
    "NaN": (b'{"url": "http://a.cn/1", "text": NaN}', "ok"),
    "NUL": (b'{"url": "http://a.cn/1", "text": "a\\u0000b"}', "ok"),
    "a raw NUL": (b'{"url": "http://a.cn/1", "text": "a\0b"}', "bad_row"),
    "BOM": (b'\xef\xbb\xbf{"url": "http://a.cn/1", "text": "x"}', "ok"),
    "UTF-16": ('{"url": "http://a.cn/1", "text": "x"}'.encode("utf-16-le"), "ok"),
    "not UTF-8": (b'{"url": "http://a.cn/1", "text": "\xff\xfe"}', "bad_row"),
    "2 MB": (b'{"url": "http://a.cn/1", "text": "' + b"x" * 2_000_000 + b'"}', "bad_row"),
    "a list of lists": (b'{"url": "http://a.cn/1", "text": [["x"]]}', "bad_row"),
    "a URL of a file": (b'{"url": "file:///etc/passwd", "text": "x"}', "ok"),
}


@pytest.mark.parametrize("name", JSON_LINES)
def test_a_strange_line_of_json_is_one_row(tmp_path: Path, name: str) -> None:
    line, expected = JSON_LINES[name]
    good = b'{"url": "http://a.cn/2", "text": "x"}\n'
    found = _table(tmp_path / "t.jsonl", good + line + b"\n" + good)
    assert found == ["ok", expected, "ok"]


# Folders and records


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of one image with a text, and a secret beside the folder."""
    root = tmp_path / "photos"
    root.mkdir()
    (root / "good.jpg").write_bytes(b"1")
    (root / "good.txt").write_text("猫", "utf-8")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    yield root
    # pytest removes folders by recursion, which 1,500 of them exceed.
    subprocess.run(["rm", "-rf", str(root)], check=True)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            opened.bind(path.name)
        finally:
            os.chdir(here)


def _chain(root: Path, depth: int, name: str = "d") -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("deep.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def _text(root: Path) -> Path:
    """Adds an image; returns the path of its text, which is not there yet."""
    (root / "bad.jpg").write_bytes(b"1")
    return root / "bad.txt"


FOLDERS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "pipe": (lambda root: os.mkfifo(root / "a.jpg"), ["not_a_file"]),
    "pipe as text": (lambda root: os.mkfifo(_text(root)), ["unreadable_text"]),
    "socket": (lambda root: _socket(root / "a.jpg"), ["not_a_file"]),
    "link to a device": (lambda root: (root / "a.jpg").symlink_to("/dev/zero"), ["not_a_file"]),
    "text is a device": (lambda root: _text(root).symlink_to("/dev/zero"), ["unreadable_text"]),
    "link to itself": (lambda root: (root / "a.jpg").symlink_to("a.jpg"), ["missing_file"]),
    "broken link": (lambda root: (root / "a.jpg").symlink_to("none.jpg"), ["missing_file"]),
    "link out": (lambda root: (root / "a.jpg").symlink_to("../secret.jpg"), ["not_a_file"]),
    "text out": (lambda root: _text(root).symlink_to("../secret.txt"), ["unreadable_text"]),
    "link to the folder": (lambda root: (root / "loop").symlink_to("."), ["not_a_file"]),
    "link to a folder, named like an image": (
        lambda root: (root / "loop.jpg").symlink_to("."),
        ["not_a_file"],
    ),
    "folder, named like an image": (lambda root: (root / "a.jpg").mkdir(), []),
    "1,500 folders": (lambda root: _chain(root, 1500), ["not_a_file"]),
    "60 folders of 200 characters": (lambda root: _chain(root, 60, "n" * 200), ["not_a_file"]),
    "name of control characters": (lambda root: (root / "\x1b[2J\n.jpg").write_bytes(b"1"), ["ok"]),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_no_file_in_a_folder_is_a_drop(folder: Path, name: str) -> None:
    make, expected = FOLDERS[name]
    make(folder)
    rows = _rows(Folder(path=str(folder)))
    assert sorted(row.reason if isinstance(row, Drop) else "ok" for row in rows) == sorted(
        [*expected, "ok"]
    )
    read = [row for row in rows if isinstance(row, Candidate)]
    assert all("secret" not in text.text for row in read for text in row.texts)
    assert all(row.detail for row in rows if isinstance(row, Drop))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_a_drop(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0)
    assert sorted(_reasons(Folder(path=str(folder)))) == ["not_a_file", "ok"]


def test_files_that_vanish_after_planning_are_no_rows(folder: Path) -> None:
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(b"1")
    source = Folder(path=str(folder))
    parts = list(source.parts(source=0, max_rows=2))
    for number in range(5):
        (folder / f"{number}.jpg").unlink()
    assert [row for part in parts[:1] for row in source.read(part)] != []
    (folder / "good.jpg").unlink()
    (folder / "good.txt").unlink()
    folder.rmdir()
    with pytest.raises(UsageError, match=r"photos: the folder cannot be read \(No such file"):
        list(source.read(parts[0]))


IDS: dict[str, str] = {
    "x" * 300: "missing_file", "x" * 5000: "missing_file", "a\0b.jpg": "missing_file",
    "..": "missing_file", ".": "missing_file", "/": "missing_file", "\ud800.jpg": "missing_file",
    "../secret.jpg": "ok", "/etc/passwd": "ok", "sub/../../secret.jpg": "ok",
    "pipe.jpg": "not_a_file", "device.jpg": "not_a_file", "out.jpg": "not_a_file",
    "self.jpg": "missing_file",
    "away/secret.jpg": "ok", "folder.jpg": "not_a_file", "nothing.jpg": "ok", "good.jpg": "ok",
    "x/" * 3000 + "good.jpg": "ok",
}  # fmt: skip


@pytest.mark.parametrize("image_id", IDS)
def test_an_image_id_names_a_file_in_its_folder_or_is_a_drop(folder: Path, image_id: str) -> None:
    os.mkfifo(folder / "pipe.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "out.jpg").symlink_to("../secret.jpg")
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "away").symlink_to("..")
    (folder / "folder.jpg").mkdir()
    line = json.dumps({"image_id": image_id, "sentences": ["猫"]})
    (folder / "records.jsonl").write_text(line, "utf-8")
    [row] = _rows(Brivl(path=str(folder / "records.jsonl")))
    assert (row.reason if isinstance(row, Drop) else "ok") == IDS[image_id]
    if isinstance(row, Candidate):
        assert row.origin
        assert Path(os.path.realpath(row.origin.path)).parent == folder


@pytest.mark.parametrize("kind", [Table, Warc, Brivl, Folder])
@pytest.mark.parametrize("what", ["pipe", "device", "file", "nul"])
def test_a_source_of_the_wrong_type_is_one_error(
    tmp_path: Path, kind: type[Table | Warc | Brivl | Folder], what: str
) -> None:
    suffix = {"Table": ".csv", "Warc": ".warc", "Brivl": ".jsonl"}.get(kind.__name__, "")
    path = tmp_path / f"a{suffix}"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "file" and kind is not Folder:
        path.mkdir()
    else:
        path.write_bytes(b"x")
    name = f"{path}\0" if what == "nul" else str(path)
    with pytest.raises(UsageError) as caught:
        list(kind(path=name).parts(source=0, max_rows=1))
    assert "\n" not in str(caught.value)


# Mutations


def _samples(kind: str, folder: Path) -> list[bytes]:
    rows = [(f"http://a.cn/{n}.jpg", f'一只"猫",{n}\n图') for n in range(30)]
    if kind == "warc":
        http = [
            _record(body=_http(f"Content-Encoding: {label}", body=ENCODE[label](PAGE)))
            for label in ENCODE
        ]
        http.append(_record(body=_http("Transfer-Encoding: chunked", body=_chunks(PAGE))))
        return [b"".join(http), write_records(folder / "a.warc", RECORDS).read_bytes()]
    if kind == "warc.gz":
        return [write_records(folder / "a.warc.gz", RECORDS).read_bytes()]
    if kind == "parquet":
        files = []
        for number, text in enumerate(([text for _, text in rows], [[text] for _, text in rows])):
            table = pa.table({"url": [url for url, _ in rows], "text": text, "n": [1.5] * 30})
            for name in ("snappy", "zstd"):
                path = folder / f"{number}.parquet"
                pq.write_table(table, path, compression=name, row_group_size=12)
                files.append(path.read_bytes())
        return files
    if kind == "jsonl":
        return ["".join(json.dumps({"url": u, "text": t}) + "\n" for u, t in rows).encode()]
    import csv

    text = io.StringIO()
    csv.writer(text, delimiter="\t" if kind == "tsv" else ",").writerows([("url", "text"), *rows])
    return [text.getvalue().encode(), text.getvalue().encode("gb18030")]


def read_mutated(kind: str, path: Path) -> None:
    """Reads everything of a mutated file; raises what it raises."""
    if kind.startswith("warc"):
        # Not through the sandbox, which has a suite of its own: a page is what the source gives it.
        source: Source = Warc(path=str(path))
        for part in source.parts(source=0, max_rows=10):
            for _ in source.images(part):
                pass
        return
    source = Table(path=str(path))
    for part in source.parts(source=0, max_rows=10):
        for _ in source.read(part):
            pass


def _outcomes(kind: str, folder: Path, count: int) -> Iterator[str]:
    path = folder / f"mutated.{kind}"
    for _, data in mutations(_samples(kind, folder), count):
        path.write_bytes(data)
        try:
            read_mutated(kind, path)
            yield "read"
        except WenlanError as error:
            yield "two lines" if "\n" in str(error) else type(error).__name__


@pytest.mark.parametrize("kind", ["warc", "warc.gz", "parquet", "csv", "tsv", "jsonl"])
def test_mutated_files_raise_nothing_but_our_errors(tmp_path: Path, kind: str) -> None:
    found = Counter(_outcomes(kind, tmp_path, 1000))
    assert found.total() == 1000
    assert found["read"]
    assert len(found) > 1
    assert not found["two lines"]


_CHECKED = """
import os, sys
from pathlib import Path
from wenlan_data.errors import WenlanError
from wenlan_data.sources.table import Table
from wenlan_data.sources.formats.parquet_check import check_parquet
def rows():
    source = Table(path=sys.argv[1])
    return sum(1 for part in source.parts(source=0, max_rows=9) for _ in source.read(part))
try:
    rows()
except WenlanError as error:
    sys.exit(str(error))
[child] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
print(Path(f"/proc/{child}/environ").read_text().count("secret"))
other = sys.argv[1].replace(".parquet", ".pq")
os.link(sys.argv[1], other)
sys.argv[1] = other
fork = os.fork()
if not fork:
    rows()
    [own] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    os._exit(int(own == child))
print(os.waitpid(fork, 0)[1], rows())
"""


def _checked(path: Path, limit: str) -> subprocess.CompletedProcess[str]:
    pq.write_table(pa.table({"url": _URLS[:2], "text": ["a", "b"]}), path)
    return subprocess.run(
        ["bash", "-c", f'{limit} exec "$@"', "bash", sys.executable, "-c", _CHECKED, str(path)],
        env={**os.environ, "CLOUD_KEY": "secret"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_process_that_reads_parquet_first_has_no_credentials_and_serves_one_process(
    tmp_path: Path,
) -> None:
    done = _checked(tmp_path / "t.parquet", "")
    assert done.stdout.split() == ["0", "0", "2"], done.stderr


def test_a_low_limit_of_memory_is_named(tmp_path: Path) -> None:
    done = _checked(tmp_path / "t.parquet", "ulimit -d 1500000;")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"{tmp_path}/t.parquet: reading it as Parquet needs 2048 MiB, and the limit of data segments"
        " (ulimit -d) is 1464 MiB: raise it"
    )
