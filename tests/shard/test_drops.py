"""The published drops of a generation."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.extract.pairs import page_pairs
from wenlan_data.records import Drop
from wenlan_data.shard.drops import DropsPart
from wenlan_data.tables import WORK_DROPS

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
