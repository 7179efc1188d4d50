"""The published drops of a generation."""

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.bounded_tables import read_batches
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.records import Drop, Text
from wenlan_data.shard.drops import DropsPart
from wenlan_data.tables import DROPS, WORK_DROPS

ROW = {
    "step": "clean",
    "key": "",
    "page_url": "",
    "source": "folder:photos",
    "reason": "no_text",
    "detail": "",
    "retryable": False,
    "duplicate_of": "",
    "phash_distance": -1,
    "pdq_distance": -1,
    "texts": [],
}


def _published(tmp_path: Path, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    numbered = [
        {**ROW, "url": "", **row, "ordinal": number, "candidate_id": bytes(16)}
        for number, row in enumerate(rows)
    ]
    work = tmp_path / "work.parquet"
    pq.write_table(pa.Table.from_pylist(numbered, schema=WORK_DROPS), work)
    out = tmp_path / "out"
    out.mkdir()
    DropsPart(drops=(str(work),), raws=())(out)
    published: list[dict[str, object]] = pq.read_table(out / "drops.parquet").to_pylist()
    return published


def test_contact_data_in_the_path_of_a_file_are_masked_and_urls_stay(tmp_path: Path) -> None:
    urls = [
        "photos/13812345678.jpg",
        "https://example.org/13812345678.jpg",
        "photos/猫.jpg",
        "https://张三13812345678",
        "http://127.0.0.1:8085/13812345678.jpg",
    ]
    published = _published(tmp_path, [{"url": url} for url in urls])
    assert [row["url"] for row in published] == [
        "photos/[手机].jpg",
        *urls[1:3],
        "https://张三[手机]",
        urls[4],
    ]


def test_contact_data_in_a_detail_are_masked_and_other_details_stay(tmp_path: Path) -> None:
    html = (
        "<p><img src=1.jpg>扫码加微信13812345678找张三</p>"
        "<p>正文</p><img src=2.jpg alt='张13812345678的头像'><img src=logo.png class=site-logo>"
        "<img src='http://[张三13812345678/3.jpg'>"
    )
    found = [
        one if isinstance(one, Drop) else one.no_content
        for one in page_pairs(html, "http://a.cn/1.html")
    ]
    details = [drop.detail for drop in found if drop is not None]
    assert details[:2] == ["扫码加微信13812345678找张三", "张13812345678的头像"]
    details += ["64x64", "http_status 404", "https://example.org/13812345678.jpg", "1556789012345"]
    published = _published(tmp_path, [{"detail": detail} for detail in details])
    assert [row["detail"] for row in published] == [
        "扫码加微信[手机]找张三",
        "张[手机]的头像",
        "site-logo",
        ascii("http://[张三[手机]/3.jpg"),
        *details[4:],
    ]


def test_long_details_and_texts_are_cut_and_other_rows_stay(tmp_path: Path) -> None:
    def texts(*words: str) -> list[dict[str, object]]:
        return [asdict(Text("alt", word, "below", 0.4)) for word in words]

    rows: list[dict[str, object]] = [
        {"texts": texts("猫")},
        {"texts": texts("x" * 10_000, "y" * 10_000, "z"), "detail": "d" * 50_000},
        {"texts": texts()},
        {"texts": texts("猫", "狗")},
    ]
    published = _published(tmp_path, rows)
    assert [row["texts"] for row in published] == [
        texts("猫"),
        texts("x" * 10_000, "y" * 6000),
        texts(),
        texts("猫", "狗"),
    ]
    assert [len(str(row["detail"])) for row in published] == [0, 16_000, 0, 0]


def test_readers_accept_many_rows_of_many_long_texts(tmp_path: Path) -> None:
    texts = [asdict(Text("alt", f"{number:0>15}")) for number in range(1000)]
    rows = 17_000
    columns = {name: [value] * rows for name, value in ROW.items() if name != "texts"}
    one = pa.Table.from_pylist([{**ROW, "texts": texts}], pa.schema([WORK_DROPS.field("texts")]))
    many = {
        **columns,
        "ordinal": range(rows),
        "candidate_id": [bytes(16)] * rows,
        "url": [""] * rows,
    }
    named = {name: pa.array(many[name], WORK_DROPS.field(name).type) for name in many}
    named["texts"] = one["texts"].combine_chunks().take(pa.array([0] * rows))
    work, out = tmp_path / "work.parquet", tmp_path / "out"
    pq.write_table(pa.table({name: named[name] for name in WORK_DROPS.names}), work)
    out.mkdir()
    DropsPart(drops=(str(work),), raws=())(out)
    read = read_batches(out / "drops.parquet", DROPS, nullable=["texts"])
    assert sum(batch.num_rows for batch in read) == rows
