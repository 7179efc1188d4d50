from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.fetch.fetch_lists import FetchListPart
from wenlan_data.fetch.receipts import FetchListDetails
from wenlan_data.protocols import Receipt
from wenlan_data.tables import CANDIDATES, FACTS, IMAGE_INDEX, WANTED
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.urls import url_key

Slice = tuple[str, list[str]]


def _candidates(path: Path, urls: list[str], first: int = 0, supply: str = "web") -> str:
    rows = [
        {
            **dict.fromkeys(CANDIDATES.names, ""),
            "ordinal": first + number,
            "candidate_id": number.to_bytes(16, "big"),
            "url": url,
            "url_key": url_key(url),
            "texts": [],
            "opt_out": [],
            "remarks": [],
            "supply": supply,
            "supply_offset": 0,
        }
        for number, url in enumerate(urls)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=CANDIDATES), path)
    return str(path)


def _cut(folder: Path, part: FetchListPart) -> tuple[list[Slice], Receipt[FetchListDetails]]:
    out = folder / "slices"
    out.mkdir()
    receipt = part(out)
    listed = receipt.details.fetch_lists
    tables = [pq.read_table(out / one.name) for one in listed]
    assert all(table.schema.equals(WANTED) for table in tables)
    assert [one.rows for one in listed] == [table.num_rows for table in tables]
    urls = [[str(url) for url in table["url"].to_pylist()] for table in tables]
    return [(one.chain, found) for one, found in zip(listed, urls, strict=True)], receipt


def test_each_url_is_wanted_once_by_its_first_candidate(tmp_path: Path) -> None:
    later = _candidates(tmp_path / "b.parquet", ["http://a.cn/1#x", "http://a.cn/2"], first=1 << 32)
    sooner = _candidates(tmp_path / "a.parquet", ["http://a.cn/1", "http://A.cn:80/1"])
    [(chain, urls)], receipt = _cut(tmp_path, FetchListPart(candidates=(later, sooner)))
    assert (chain, urls) == ("", ["http://a.cn/1", "http://a.cn/2"])
    assert (receipt.rows_in, receipt.rows_out) == (4, 2)


def test_fallback_urls_are_those_of_all_candidates_on_the_host_of_the_url(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    url = "http://a.cn/l.jpg"
    _candidates(path, [url, "http://b.cn/1", url, "http://a.cn:80/l.jpg#x", "http://c.cn/1"])
    listed = [
        [],
        None,
        ["http://a.cn/l.jpg#1", "http://b.cn/s.jpg", "https://a.cn/s.jpg", "http://A.cn/1.jpg"],
        ["http://a.cn/1.jpg", "http://a.cn/2.jpg", "ftp://a.cn/", "", "http://a.cn/3.jpg", "/4"],
        ["http://c.cn/1"],
    ]
    table = pq.read_table(path)
    column = pa.array(listed, CANDIDATES.field("fallback_urls").type)
    index = table.schema.get_field_index("fallback_urls")
    pq.write_table(table.set_column(index, "fallback_urls", column), path)
    _cut(tmp_path, FetchListPart(candidates=(str(path),)))
    rows = pq.read_table(tmp_path / "slices" / "slice-00000.parquet").to_pylist()
    assert [(row["url"], row["fallback_urls"]) for row in rows] == [
        (url, ["http://A.cn/1.jpg", "http://a.cn/2.jpg", "http://a.cn/3.jpg"]),
        ("http://b.cn/1", []),
        ("http://c.cn/1", []),
    ]


def test_a_large_host_gets_a_chain_and_small_ones_share_a_fetch_list(tmp_path: Path) -> None:
    urls = [f"http://h{number % 5}.cn/{number}" for number in range(20)]
    urls[3:3] = [f"http://big.cn/{number}" for number in range(130)]
    slices, _ = _cut(
        tmp_path, FetchListPart(candidates=(_candidates(tmp_path / "a.parquet", urls),))
    )
    chains = [(chain, len(found)) for chain, found in slices]
    assert sorted(chains) == [("", 20), ("big.cn:80", 10), ("big.cn:80", 60), ("big.cn:80", 60)]
    assert [url for chain, found in slices if chain for url in found] == urls[3:133]


def test_large_hosts_share_a_chain_in_which_each_is_requested_for_a_minute_per_fetch_list(
    tmp_path: Path,
) -> None:
    urls = [f"http://h{number % 50}.cn/{number}" for number in range(50 * 70)]
    slices, _ = _cut(
        tmp_path, FetchListPart(candidates=(_candidates(tmp_path / "a.parquet", urls),))
    )
    chains = [(chain, len(found)) for chain, found in slices]
    assert chains == [
        ("h0.cn:80", 1980),
        ("h0.cn:80", 330),
        ("h33.cn:80", 1020),
        ("h33.cn:80", 170),
    ]
    hosts = [{url.split("/")[2] for url in found} for _, found in slices]
    assert hosts[0] == hosts[1]
    assert not hosts[0] & hosts[2]


def test_an_opened_host_is_cut_in_fetch_lists_that_run_side_by_side(tmp_path: Path) -> None:
    urls = [f"http://127.0.0.1:8085/{number}.jpg" for number in range(4500)]
    hosts = {"127.0.0.1:8085": HostLimits(max_connections=64, min_gap_s=0)}
    part = FetchListPart(candidates=(_candidates(tmp_path / "a.parquet", urls),), hosts=hosts)
    slices, _ = _cut(tmp_path, part)
    assert [(chain, len(found)) for chain, found in slices] == [("", 2000), ("", 2000), ("", 500)]


def test_no_fetch_list_requests_more_than_two_hundred_small_hosts(tmp_path: Path) -> None:
    urls = [f"http://h{number}.cn/" for number in range(450)]
    slices, _ = _cut(
        tmp_path, FetchListPart(candidates=(_candidates(tmp_path / "a.parquet", urls),))
    )
    assert [len(found) for _, found in slices] == [200, 200, 50]


def test_images_at_hand_are_not_requested_from_the_web(tmp_path: Path) -> None:
    web = _candidates(tmp_path / "a.parquet", ["http://a.cn/1", "http://a.cn/2"])
    files = _candidates(tmp_path / "b.parquet", ["x.jpg"], first=9, supply="file")
    index = [
        ("http://a.cn/2", "c.warc", 7),
        ("http://a.cn/2", "d.warc", 9),
        ("http://b.cn/", "c.warc", 5),
    ]
    rows = [dict(zip(IMAGE_INDEX.names, row, strict=True)) for row in index]
    pq.write_table(pa.Table.from_pylist(rows, schema=IMAGE_INDEX), tmp_path / "index.parquet")
    part = FetchListPart(candidates=(web, files), images=(str(tmp_path / "index.parquet"),))
    slices, _ = _cut(tmp_path, part)
    names = ("url", "host", "supply", "supply_path", "supply_offset")
    found = [
        tuple(row[name] for name in names)
        for number in range(len(slices))
        for row in pq.read_table(tmp_path / f"slices/slice-{number:05d}.parquet").to_pylist()
    ]
    assert sorted(found) == [
        ("http://a.cn/1", "a.cn:80", "web", "", 0),
        ("http://a.cn/2", "", "warc", "c.warc", 7),
        ("x.jpg", "", "file", "", 0),
    ]


def test_what_was_recorded_is_cut_as_it_was_recorded(tmp_path: Path) -> None:
    urls = [f"http://a.cn/{number}" for number in range(5)]
    for number, keys in enumerate([urls[3:5], ["http://z.cn/"], urls[1:4]]):
        row: dict[str, object] = dict.fromkeys(FACTS.names)
        table = pa.Table.from_pylist([{**row, "url_key": key} for key in keys], schema=FACTS)
        pq.write_table(table, tmp_path / f"facts-{number}.parquet")
    recorded = tuple(str(tmp_path / f"facts-{number}.parquet") for number in range(3))
    part = FetchListPart(
        candidates=(_candidates(tmp_path / "a.parquet", urls),), recorded=recorded, offline=True
    )
    slices, receipt = _cut(tmp_path, part)
    assert slices == [("", urls[3:5]), ("", urls[1:3]), ("", urls[:1])]
    listed = receipt.details.fetch_lists
    assert [one.recorded for one in listed] == [0, 2, -1]


def test_nothing_wanted_gives_no_fetch_list(tmp_path: Path) -> None:
    slices, receipt = _cut(
        tmp_path, FetchListPart(candidates=(_candidates(tmp_path / "a.parquet", []),))
    )
    assert (slices, receipt.rows_out) == ([], 0)
