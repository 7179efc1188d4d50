from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


def _index(path: Path, *entries: dict[str, object]) -> str:
    """Writes an image index of entries with `url_key`, `offset` and what differs from an image."""
    neutral = {"path": "c.warc", "sha256": "", "is_image": True, "transient": False}
    rows = [{**neutral, "redirect_key": "", **one} for one in entries]
    pq.write_table(pa.Table.from_pylist(rows, schema=IMAGE_INDEX), path)
    return str(path)


def _origins(folder: Path, part: FetchListPart) -> dict[str, tuple[str, int]]:
    """Returns URL to origin and offset."""
    slices, _ = _cut(folder, part)
    return {
        row["url"]: (row["supply"], row["supply_offset"])
        for number in range(len(slices))
        for row in pq.read_table(folder / f"slices/slice-{number:05d}.parquet").to_pylist()
    }


@pytest.mark.parametrize("retry", [False, True])
def test_what_sources_hold_is_not_requested_from_the_web(tmp_path: Path, retry: bool) -> None:
    web = _candidates(tmp_path / "a.parquet", [f"http://a.cn/{n}" for n in range(1, 9)])
    files = _candidates(tmp_path / "b.parquet", ["x.jpg"], first=9, supply="file")
    redirect: dict[str, object] = {"is_image": False}
    one = _index(
        tmp_path / "1.parquet",
        {"url_key": "http://a.cn/2", "offset": 7},
        {"url_key": "http://a.cn/2", "offset": 9},
        {"url_key": "http://a.cn/3", "offset": 11, "is_image": False},
        {"url_key": "http://a.cn/4", "offset": 13, "is_image": False, "transient": True},
        {**redirect, "url_key": "http://a.cn/5", "offset": 15, "redirect_key": "http://b.cn/"},
        {**redirect, "url_key": "http://a.cn/6", "offset": 17, "redirect_key": "http://gone.cn/"},
        {**redirect, "url_key": "http://a.cn/7", "offset": 19, "redirect_key": "http://a.cn/7"},
        {"url_key": "http://a.cn/8", "offset": 21, "is_image": False, "transient": True},
    )  # fmt: skip
    two = _index(
        tmp_path / "2.parquet",
        {"url_key": "http://b.cn/", "offset": 5, "path": "d.warc"},
        {"url_key": "http://a.cn/8", "offset": 6, "path": "d.warc"},
    )
    part = FetchListPart(candidates=(web, files), images=(one, two), retry=retry)
    assert _origins(tmp_path, part) == {
        "http://a.cn/1": ("web", 0),
        "http://a.cn/2": ("warc", 7),
        "http://a.cn/3": ("warc", 11),
        "http://a.cn/4": ("web", 0) if retry else ("warc", 13),
        "http://a.cn/5": ("warc", 5),
        "http://a.cn/6": ("web", 0),
        "http://a.cn/7": ("web", 0),
        "http://a.cn/8": ("warc", 6),
        "x.jpg": ("file", 0),
    }


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, ("warc", 2, ["http://a.cn/copy"])),
        ({"is_image": True}, ("warc", 1, [])),
        ({"is_image": False}, ("warc", 2, ["http://a.cn/copy"])),
    ],
)
def test_a_copy_that_a_source_holds_stands_for_an_image(
    tmp_path: Path, own: dict[str, object] | None, expected: tuple[str, int, list[str]]
) -> None:
    web = _candidates(tmp_path / "a.parquet", ["http://a.cn/1"])
    table = pq.read_table(web)
    copies = pa.array([["http://a.cn/none", "http://a.cn/copy"]], pa.list_(pa.string()))
    place = table.schema.get_field_index("fallback_urls")
    pq.write_table(table.set_column(place, "fallback_urls", copies), web)
    entries = [{"url_key": "http://a.cn/1", "offset": 1, **own}] if own else []
    index = _index(tmp_path / "i.parquet", *entries, {"url_key": "http://a.cn/copy", "offset": 2})
    _cut(tmp_path, FetchListPart(candidates=(web,), images=(index,)))
    [row] = pq.read_table(tmp_path / "slices/slice-00000.parquet").to_pylist()
    assert (row["supply"], row["supply_offset"], row["fallback_urls"]) == expected


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
