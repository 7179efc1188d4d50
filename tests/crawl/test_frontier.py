import json
from pathlib import Path

import pytest

from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.frontier import FrontierPart, FrontierRow, read_frontier, write_frontier
from wenlan_data.crawl.receipts import FrontierDetails
from wenlan_data.protocols import Receipt
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.tracking_params import page_key
from wenlan_data.web.urls import host_of


def _row(url: str, depth: int = 0) -> FrontierRow:
    return url, page_key(url), host_of(url), depth, 0


def _cut(part: FrontierPart, out: Path) -> tuple[Receipt[FrontierDetails], list[list[str]]]:
    """The receipt, and the URLs of each slice."""
    out.mkdir(parents=True)
    receipt = part(out)
    slices = receipt.details.fetch_lists
    return receipt, [[row[0] for row in read_frontier(out / one.name)] for one in slices]


def _crawled(
    folder: Path, links: list[FrontierRow], states: dict[str, object] | None = None
) -> str:
    folder.mkdir(parents=True)
    write_frontier(folder / "links.parquet", links)
    (folder / "hosts.json").write_text(json.dumps(states or {}), "utf-8")
    return str(folder)


def _second(
    folder: Path, first: FrontierPart, links: list[FrontierRow], **changes: object
) -> FrontierPart:
    _cut(first, folder / "0")
    crawled = (_crawled(folder / "c", links),)
    requested = (str(folder / "0" / "requested.npy"),)
    return FrontierPart(
        before=str(folder / "0"),
        crawled=crawled,
        requested=requested,
        hosts=first.hosts,
        **changes,  # type: ignore[arg-type]
    )


A, B = "http://a.cn/1", "http://b.cn/1"


def test_each_page_comes_once_whatever_round_and_spelling_found_it(tmp_path: Path) -> None:
    first = FrontierPart(seeds=(_row(A), _row(f"{A}?utm_source=x"), _row(B)))
    _, slices = _cut(first, tmp_path / "0")
    assert slices == [[A, B]]
    links = [_row(f"{A}#part", 1), _row("http://a.cn/2", 1), _row("http://a.cn:80/2", 1)]
    _, slices = _cut(_second(tmp_path / "x", first, links), tmp_path / "1")
    assert slices == [["http://a.cn/2"]]


def test_the_nearest_way_to_a_page_counts(tmp_path: Path) -> None:
    part = FrontierPart(seeds=(_row("http://a.cn/far", 3), _row(A, 2), _row(A, 1)))
    _cut(part, tmp_path / "0")
    assert [(row[0], row[3]) for row in read_frontier(tmp_path / "0/slice-00000.parquet")] == [
        (A, 1),
        ("http://a.cn/far", 3),
    ]


def test_a_round_takes_a_piece_of_a_large_host_and_keeps_the_rest(tmp_path: Path) -> None:
    rows = tuple(_row(f"http://a.cn/{number}") for number in range(1000))
    receipt, slices = _cut(FrontierPart(seeds=rows), tmp_path / "0")
    assert [len(one) for one in slices] == [60] * 10
    assert {one.chain for one in receipt.details.fetch_lists} == {"a.cn:80"}
    assert receipt.details.waiting == 400
    part = FrontierPart(before=str(tmp_path / "0"), requested=(str(tmp_path / "0/requested.npy"),))
    _, slices = _cut(part, tmp_path / "1")
    assert [url for one in slices for url in one] == [
        f"http://a.cn/{number}" for number in range(600, 1000)
    ]


@pytest.mark.parametrize(
    ("limits", "recorded", "count"),
    [
        (CrawlLimits(own_hosts=("a.cn:80",)), 0, 9),
        (CrawlLimits(max_pages=5, own_hosts=("a.cn:80",)), 0, 5),
        (CrawlLimits(max_pages=5, own_hosts=("a.cn:80",)), 3, 2),
        (CrawlLimits(max_pages=5, own_hosts=("a.cn:80",)), 5, 0),
        (CrawlLimits(max_depth=0, own_hosts=("a.cn:80",)), 0, 4),
        (CrawlLimits(max_pages_a_host=3), 0, 3),
    ],
)
def test_what_is_beyond_the_limits_waits(
    tmp_path: Path, limits: CrawlLimits, recorded: int, count: int
) -> None:
    rows = tuple(_row(f"http://a.cn/{number}", int(number > 3)) for number in range(9))
    receipt, _ = _cut(FrontierPart(seeds=rows, limits=limits, recorded=recorded), tmp_path / "0")
    assert (receipt.rows_out, receipt.details.waiting) == (count, 9 - count)


def test_what_a_host_was_like_goes_to_its_next_fetch_list_and_to_no_other(tmp_path: Path) -> None:
    first = FrontierPart(seeds=(_row(A),), hosts={"a.cn:80": HostLimits(min_gap_s=0)})
    _cut(first, tmp_path / "0")
    states = {
        "a.cn:80": {"gap_s": 2, "abandoned": "host_waits", "robots": "x"},
        "b.cn:80": {"gap_s": 3},
    }
    crawled = (_crawled(tmp_path / "c", [_row("http://a.cn/2", 1)], states),)
    part = FrontierPart(before=str(tmp_path / "0"), crawled=crawled)
    _cut(part, tmp_path / "1")
    assert json.loads((tmp_path / "1/states-00000.json").read_text()) == {
        "a.cn:80": states["a.cn:80"]
    }
    assert json.loads((tmp_path / "1/states.json").read_text()) == states


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    part = FrontierPart(
        seeds=tuple(_row(f"http://{host}.cn/{n}") for n in range(50) for host in "abc")
    )
    _cut(part, tmp_path / "0")
    _cut(part, tmp_path / "1")
    names = sorted(path.name for path in (tmp_path / "0").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "1").iterdir())
    assert all(
        (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
        for name in names
    )
