"""The published drops of a generation."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

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


def test_contact_data_in_the_path_of_a_file_are_masked_and_urls_stay(tmp_path: Path) -> None:
    urls = ["photos/13812345678.jpg", "https://example.org/13812345678.jpg", "photos/猫.jpg"]
    rows = [
        {**ROW, "ordinal": number, "candidate_id": bytes(16), "url": url}
        for number, url in enumerate(urls)
    ]
    work = tmp_path / "work.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=WORK_DROPS), work)
    out = tmp_path / "out"
    out.mkdir()
    DropsPart(drops=(str(work),), raws=())(out)
    published = pq.read_table(out / "drops.parquet")["url"].to_pylist()
    assert published == ["photos/[手机].jpg", *urls[1:]]
