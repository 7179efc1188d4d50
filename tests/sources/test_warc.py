from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tests.conformance_source import check_source
from wenlan_data.errors import UsageError
from wenlan_data.extract.pairs import MAX_PAGE_IMAGES
from wenlan_data.extract.step import ExtractPart
from wenlan_data.recipe import TextRules
from wenlan_data.records import Candidate, Text
from wenlan_data.source_config import SourceSpec
from wenlan_data.sources.warc import Warc
from wenlan_data.web.warc import record_at

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
PAGE = '<meta charset=gbk><img src="/a.png" alt="石桥"><img src="b.jpg" alt=""><img src="c.jpg" alt="湖">'.encode(
    "gbk"
)

_Record = tuple[str, str, str, bytes]


def write_records(path: Path, records: Sequence[_Record]) -> Path:
    """Records of (URL, status line or `resource`, content type, payload)."""
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "test"}))
        for url, status, content_type, payload in records:
            http = StatusAndHeaders(status, [("Content-Type", content_type)], protocol="HTTP/1.1")
            resource = status == "resource"
            writer.write_record(
                writer.create_warc_record(
                    url,
                    "resource" if resource else "response",
                    payload=BytesIO(payload),
                    length=len(payload),
                    http_headers=None if resource else http,
                    warc_content_type=content_type if resource else "",
                )
            )
    return path


RECORDS: list[_Record] = [
    ("http://a.cn/p/index.html", "200 OK", "text/html", PAGE),
    ("http://a.cn/gone.html", "404 Not Found", "text/html", PAGE),
    ("http://a.cn/a.png", "200 OK", "text/plain", PNG),
    ("http://a.cn/no.png", "200 OK", "image/png", b"<html>not here"),
    ("http://a.cn/late.png", "503 Busy", "image/png", PNG),
    ("http://a.cn/r.webp", "resource", "image/webp", b"RIFF\x10\0\0\0WEBPVP8 "),
]


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_pages_give_candidates_and_images_give_their_offsets(tmp_path: Path, name: str) -> None:
    path = write_records(tmp_path / name, RECORDS)
    source = Warc(path=name, base=str(tmp_path))
    assert check_source(source) == [
        Candidate(url=url, texts=texts, page_url="http://a.cn/p/index.html", source=f"warc:{name}")
        for url, texts in [
            ("http://a.cn/a.png", (Text("alt", "石桥"),)),
            ("http://a.cn/p/b.jpg", ()),
            ("http://a.cn/p/c.jpg", (Text("alt", "湖"),)),
        ]
    ]
    [part] = source.parts(source=0, max_rows=1)
    held = list(source.images(part))
    assert [one.url for one in held] == [url for url, *_ in RECORDS]
    assert [one.url for one in held if one.is_image] == ["http://a.cn/a.png", "http://a.cn/r.webp"]
    assert [one.url for one in held if one.transient] == ["http://a.cn/late.png"]
    assert [record_at(path, one.offset).url for one in held] == [one.url for one in held]


def test_the_drop_for_a_part_of_a_page_names_the_page(tmp_path: Path) -> None:
    images = "".join(f"<img src=/{n}.jpg>" for n in range(MAX_PAGE_IMAGES + 9)).encode()
    pages = ["http://a.cn/1.html", "http://a.cn/2.html"]
    write_records(tmp_path / "a.warc", [(url, "200 OK", "text/html", images) for url in pages])
    spec = SourceSpec.model_validate({"kind": "warc", "path": "a.warc", "base": str(tmp_path)})
    [part] = spec.load().parts(source=0, max_rows=1)
    (tmp_path / "out").mkdir()
    ExtractPart(part_number=0, source=spec, part=part, text=TextRules(), known=())(tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "drops.parquet").to_pylist()
    drops = [row for row in rows if row["reason"] == "page_too_large"]
    assert [row["page_url"] for row in drops] == pages
    assert len({row["candidate_id"] for row in drops}) == len(pages)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.warc", None, r"none\.warc: there is no such file: check the path of the WARC"),
        ("a.warc", b"", r"a\.warc: the file is empty: give a \.warc or \.warc\.gz"),
        ("a.warc", b"<html>", r"a\.warc: it is no WARC file: give"),
        ("a.warc.gz", b"\x1f\x8b\x08 broken", r"a\.warc\.gz: it is no WARC file: give"),
        ("", None, r"a folder: name its files, such as warc:.*\*\.warc\.gz"),
    ],
)
def test_what_is_missing_empty_or_no_warc_is_named_with_the_remedy(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        Warc(path=name, base=str(tmp_path)).parts(source=0, max_rows=10)


def test_a_warc_that_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    path = write_records(tmp_path / "a.warc", RECORDS)
    source = Warc(path=str(path))
    [part] = source.parts(source=0, max_rows=10)
    path.write_bytes(path.read_bytes() + b"WARC/1.0")
    with pytest.raises(UsageError, match=r"a\.warc: it has \d+ bytes now and had \d+"):
        list(source.read(part))
