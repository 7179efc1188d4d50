"""Other copies of an image, requested where its own URL gives none."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fetch.fetch_list_rows import FAST, Row, part_for, run
from tests.web.raw_server import Answer, RawServer, ok, response
from wenlan_data.fetch.replay import ReplayPart
from wenlan_data.image.rules import ImageRules
from wenlan_data.testing import make_image
from wenlan_data.web.blocklists import Blocklists
from wenlan_data.web.limits import HostLimits

LARGE, MIDDLE, SMALL = (make_image(1, width=width, height=width) for width in (400, 300, 200))
NOT_FOUND = response("404 Not Found")


def _row(server: RawServer, *paths: str) -> Row:
    first, *others = (server.url(path) for path in paths)
    return {"url": first, "fallback_urls": others}


def _fetch(folder: Path, server: RawServer, *rows: Row) -> list[Row]:
    results, _ = run(part_for(folder, list(rows), {server.host: FAST}), folder)
    return results


@pytest.mark.parametrize(
    "answer",
    [
        NOT_FOUND,
        response("410 Gone"),
        response("403 Forbidden", b"hotlink"),
        ok(b"<html>moved</html>" * 200),
        ok(b""),
        ok(b"BM\x00\x10\x00\x00\x00\x00\x00\x00" + bytes(3000)),
        ok(LARGE[:1500] + bytes(1000)),
        ok(bytes(300_001)),
        response("302 Found", b"", "Location: /l.jpg"),
        response("302 Found", b"", "Location: ftp://a.cn/l.jpg"),
        response("302 Found", b"", "Location: /not-there.jpg"),
        ok(LARGE, "Content-Encoding: gzip"),
        b"nonsense\r\n\r\n",
    ],
)
def test_a_smaller_copy_is_fetched_where_the_large_one_is_no_image(
    tmp_path: Path, answer: Answer
) -> None:
    with RawServer({"/l.jpg": [answer], "/s.jpg": [ok(SMALL)]}) as server:
        [row] = _fetch(tmp_path, server, _row(server, "/l.jpg", "/s.jpg"))
        assert (row["reason"], row["width"]) == ("", 200)
        assert (row["url"], row["url_key"]) == (server.url("/l.jpg"),) * 2
        assert (row["fetched_url"], row["final_url"]) == (server.url("/s.jpg"),) * 2
        assert server.paths[-1] == "/s.jpg"
        assert server.paths.count("/s.jpg") == 1


def test_the_large_copy_is_the_only_one_requested_where_it_is_there(tmp_path: Path) -> None:
    with RawServer({"/l.jpg": [ok(LARGE)], "/s.jpg": [ok(SMALL)]}) as server:
        [row] = _fetch(tmp_path, server, _row(server, "/l.jpg", "/s.jpg"))
        assert (row["width"], row["fetched_url"]) == (400, "")
        assert server.paths == ["/robots.txt", "/l.jpg"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response("500 Broken"), "status_5xx"),
        (ok(LARGE, "X-Robots-Tag: noai"), "opt_out"),
        (response("451 Unavailable"), "http_status"),
        (ok(make_image(1, width=90, height=90, quality=95)), "too_small"),
        (ok(make_image(1, width=900, height=120)), "aspect"),
        (ok(bytes(50)), "too_few_bytes"),
    ],
)
def test_no_copy_is_requested_after_other_reasons(
    tmp_path: Path, answer: Answer, reason: str
) -> None:
    with RawServer({"/l.jpg": [answer], "/s.jpg": [ok(SMALL)]}) as server:
        [row] = _fetch(tmp_path, server, _row(server, "/l.jpg", "/s.jpg"))
        assert (row["reason"], row["fetched_url"]) == (reason, "")
        assert "/s.jpg" not in server.paths


def test_the_reason_of_the_first_is_recorded_where_all_fail(tmp_path: Path) -> None:
    with RawServer({"/m.jpg": [ok(b"<html></html>" * 400)]}) as server:
        [row] = _fetch(tmp_path, server, _row(server, "/l.jpg", "/m.jpg", "/s.jpg", "/xs.jpg"))
        found = (row["reason"], row["detail"], row["retryable"], row["warc_offset"])
        assert found == ("http_status", "404", False, -1)
        assert server.paths == ["/robots.txt", "/l.jpg", "/m.jpg", "/s.jpg", "/xs.jpg"]


def test_a_copy_that_fails_transiently_may_be_retried(tmp_path: Path) -> None:
    answers: dict[str, list[Answer]] = {"/m.jpg": [response("500 Broken")], "/s.jpg": [ok(SMALL)]}
    with RawServer(answers) as server:
        part = part_for(tmp_path, [_row(server, "/l.jpg", "/m.jpg", "/s.jpg")], {server.host: FAST})
        [row], receipt = run(part, tmp_path)
        assert (row["reason"], row["detail"], row["retryable"]) == ("http_status", "404", True)
        assert "/s.jpg" not in server.paths
        assert (receipt.details.retryable_failed, receipt.details.requested) == (1, 1)
        assert receipt.details.requests == 1 + 1 + 3


def test_robots_txt_and_blocklists_hold_for_every_copy(tmp_path: Path) -> None:
    robots = ok(b"User-agent: *\nDisallow: /l\nDisallow: /m")
    with RawServer({"/robots.txt": [robots], "/s.jpg": [ok(SMALL)]}) as server:
        paths = ("/l.jpg", "/m.jpg", "/s.jpg")
        [row] = _fetch(tmp_path, server, _row(server, *paths))
        assert (row["reason"], row["fetched_url"]) == ("", server.url("/s.jpg"))
        assert server.paths == ["/robots.txt", "/s.jpg"]

        (tmp_path / "urls.txt").write_text(server.url("/s.jpg"), "utf-8")
        (tmp_path / "later").mkdir()
        part = part_for(tmp_path / "later", [_row(server, *paths)], {server.host: FAST})
        lists = Blocklists(urls=str(tmp_path / "urls.txt"))
        [row], _ = run(
            replace(part, politeness=replace(part.politeness, blocklists=lists)), tmp_path / "later"
        )
        assert row["reason"] == "robots"
        assert server.paths.count("/s.jpg") == 1


def test_no_address_is_requested_twice(tmp_path: Path) -> None:
    answers: dict[str, list[Answer]] = {"/s.jpg": [ok(SMALL)], "/other.jpg": [ok(LARGE)]}
    with RawServer(answers) as server:
        rows = _fetch(
            tmp_path,
            server,
            _row(server, "/1.jpg", "/s.jpg"),
            _row(server, "/2.jpg", "/s.jpg#x"),
            _row(server, "/3.jpg", "/1.jpg", "/other.jpg"),
            _row(server, "/other.jpg", "/s.jpg"),
            _row(server, "/4.jpg", "/2.jpg", "/3.jpg"),
        )
        assert [row["width"] for row in rows] == [200, 200, 400, 400, 0]
        assert [str(row["fetched_url"]).rpartition("/")[2] for row in rows] == [
            "s.jpg",
            "s.jpg#x",
            "other.jpg",
            "",
            "",
        ]
        assert rows[0]["warc_offset"] == rows[1]["warc_offset"]
        assert len(server.paths) == len(set(server.paths))


def test_the_gap_of_the_host_holds_between_copies(tmp_path: Path) -> None:
    with RawServer({"/s.jpg": [ok(SMALL)], "/3.jpg": [ok(LARGE)]}) as server:
        rows = [_row(server, f"/{number}.jpg", "/m.jpg", "/s.jpg") for number in range(4)]
        part = part_for(tmp_path, rows, {server.host: HostLimits(min_gap_s=0.1)})
        results, receipt = run(part, tmp_path)
    assert [row["reason"] for row in results] == [""] * 4
    gaps = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
    assert min(gaps) >= 0.095
    assert server.most_in_flight == 1
    assert list(receipt.details.hosts) == [server.host]


def test_all_hosts_are_carried_on_though_one_alone_has_copies(tmp_path: Path) -> None:
    with RawServer({"/s.jpg": [ok(SMALL)]}) as one, RawServer({"/a.jpg": [ok(LARGE)]}) as other:
        rows = [_row(one, "/l.jpg", "/s.jpg"), _row(other, "/a.jpg")]
        _, receipt = run(part_for(tmp_path, rows, {one.host: FAST, other.host: FAST}), tmp_path)
        assert set(receipt.details.hosts) == {one.host, other.host}


def test_a_replay_finds_the_bytes_of_the_copy(tmp_path: Path) -> None:
    with RawServer({"/s.jpg": [ok(SMALL)]}) as server:
        old = _fetch(tmp_path, server, _row(server, "/l.jpg", "/s.jpg"), _row(server, "/x.jpg"))
    new = tmp_path / "new"
    new.mkdir()
    ReplayPart(
        fetch_list=str(tmp_path / "fetch-list.parquet"),
        results=(str(tmp_path / "out/facts.parquet"),),
        warc=str(tmp_path / "out/images.warc"),
        image=ImageRules(),
    )(new)
    assert pq.read_table(new / "facts.parquet").to_pylist() == old
    assert old[0]["fetched_url"]
