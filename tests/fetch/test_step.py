import hashlib
import socket
from pathlib import Path

import pytest

from tests.fetch.fetch_list_rows import Row, fetch, part_for, run
from tests.web.raw_server import Answer, RawServer, ok, response
from wenlan_data.testing import make_image
from wenlan_data.web.limits import HostLimits, needs_contact
from wenlan_data.web.warc import records

IMAGE = make_image(1)
GZIPPED = "Content-Encoding: gzip"


def _reasons(rows: list[dict[str, object]]) -> list[tuple[object, object, object]]:
    return [(row["reason"], row["detail"], row["retryable"]) for row in rows]


def test_a_good_image_has_results_and_its_bytes_lie_at_the_offset(tmp_path: Path) -> None:
    with RawServer({"/a.jpg": [ok(IMAGE, "Content-Type: image/jpeg")]}) as server:
        [row], receipt = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    warc = (tmp_path / "out/images.warc").read_bytes()
    offset = int(str(row["warc_offset"]))
    assert warc[offset : offset + len(IMAGE)] == IMAGE
    assert (row["reason"], row["sha256"]) == ("", hashlib.sha256(IMAGE).hexdigest())
    assert (row["width"], row["height"], row["status"], row["ip"]) == (320, 240, 200, "127.0.0.1")
    assert (receipt.rows_in, receipt.rows_out, receipt.bytes_out) == (1, 1, len(warc))
    [record] = records(tmp_path / "out/images.warc")
    assert (record.url, record.status, record.content_type) == (
        server.url("/a.jpg"),
        200,
        "image/jpeg",
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (response("404 Not Found", b"gone"), ("http_status", "404", False)),
        (response("403 Forbidden"), ("http_status", "403", False)),
        (response("206 Partial Content", IMAGE), ("http_status", "206", False)),
        (response("500 Broken"), ("status_5xx", "500", True)),
        (response("999 Odd"), ("protocol", "status 999", False)),
        (ok(IMAGE, GZIPPED), ("encoding", "gzip", False)),
        (
            ok(IMAGE, "X-Robots-Tag: noindex, NoAI"),
            ("opt_out", "X-Robots-Tag: noai, X-Robots-Tag: noindex", False),
        ),
        (ok(bytes(300_001)), ("too_large", "300001 bytes", False)),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n",
            ("protocol", "", False),
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", ("protocol", "", False)),
        (b"nonsense\r\n\r\n", ("protocol", "", False)),
        (response("302 Found"), ("bad_location", "", False)),
        (response("302 Found", b"", "Location: ftp://a.cn/b.jpg"), ("scheme", "ftp", False)),
        (
            response("302 Found", b"", "Location: http://u@a.cn/b.jpg"),
            ("bad_url", "user information", False),
        ),
        (response("302 Found", b"", "Location: /a.jpg"), ("redirect_limit", "more than 5", False)),
    ],
)
def test_each_answer_has_its_own_reason(
    tmp_path: Path, answer: bytes, expected: tuple[object, object, object]
) -> None:
    with RawServer({"/a.jpg": [answer]}) as server:
        rows, receipt = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    [(reason, detail, retryable)] = _reasons(rows)
    assert (reason, retryable) == (expected[0], expected[2])
    assert not expected[1] or detail == expected[1]
    assert receipt.drops == {expected[0]: 1}
    assert list(records(tmp_path / "out/images.warc")) == []
    assert len(server.paths) <= 7


def test_an_image_cut_short_is_requested_once_more(tmp_path: Path) -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\nConnection: close\r\n\r\n" + IMAGE[:500]
    with RawServer({"/a.jpg": [lambda connection: connection.sendall(cut)]}) as server:
        rows, _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert _reasons(rows) == [("short_body", "", True)]
    assert server.paths.count("/a.jpg") == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("stall", "timeout"), ("drip", "min_rate"), ("endless", "too_large")]
)
def test_a_slow_or_endless_server_ends_at_a_limit(tmp_path: Path, name: str, reason: str) -> None:
    with RawServer({}) as server:
        server.answers["/a.jpg"] = [getattr(server, name)]
        rows, _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert rows[0]["reason"] == reason


def test_a_busy_host_is_requested_again_after_its_wait(tmp_path: Path) -> None:
    busy = response("503 Busy", b"", "Retry-After: 0")
    with RawServer({"/a.jpg": [busy, response("503 Busy"), ok(IMAGE)]}) as server:
        rows, receipt = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert _reasons(rows) == [("", "", False)]
    assert server.paths == ["/robots.txt", "/a.jpg", "/a.jpg", "/a.jpg"]
    assert receipt.details.requests == 4


def test_a_host_that_wants_hours_is_abandoned_with_the_urls_after_it(tmp_path: Path) -> None:
    with RawServer({"/0.jpg": [response("429 Slow", b"", "Retry-After: 7200")]}) as server:
        urls = [server.url(f"/{number}.jpg") for number in range(3)]
        rows, receipt = fetch(tmp_path, urls, server.host)
        assert _reasons(rows) == [("status_429", "429", True), *[("host_waits", "", True)] * 2]
        assert receipt.details.retryable_failed == receipt.details.requested == 3
        states = receipt.details.hosts
        assert isinstance(states, dict)
        later = tmp_path / "later"
        later.mkdir()
        rows, _ = fetch(later, urls, server.host, host_states=states)
        assert [row["reason"] for row in rows] == ["host_waits"] * 3
        assert server.paths == ["/robots.txt", "/0.jpg"]


def test_a_host_that_is_not_there_keeps_us_out_for_now(tmp_path: Path) -> None:
    with RawServer({}) as server:
        pass
    rows, _ = fetch(tmp_path, [server.url("/0.jpg"), server.url("/1.jpg")], server.host)
    assert _reasons(rows) == [("robots_unavailable", "connect", True)] * 2


def test_a_host_that_hangs_up_ten_times_in_a_row_is_left_alone(tmp_path: Path) -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.close()

    with RawServer({f"/{number}.jpg": [hang_up] for number in range(9)}) as server:
        rows, _ = fetch(
            tmp_path, [server.url(f"/{number}.jpg") for number in range(9)], server.host
        )
    assert [row["reason"] for row in rows] == ["disconnected"] * 4 + ["host_unreachable"] * 5
    assert all(row["retryable"] for row in rows)
    assert "/4.jpg" not in server.paths


def test_redirects_are_followed_and_recorded_under_the_last_url(tmp_path: Path) -> None:
    moved: list[Answer] = [response("301 Moved", b"", "Location: /b.jpg")]
    with RawServer({"/a.jpg": moved, "/b.jpg": [ok(IMAGE)]}) as server:
        rows, _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert (rows[0]["reason"], rows[0]["final_url"]) == ("", server.url("/b.jpg"))
    assert rows[0]["url"] == server.url("/a.jpg")


def test_no_redirect_leads_to_an_address_that_was_not_opened(tmp_path: Path) -> None:
    with RawServer({}) as canary, RawServer({}) as server:
        port = canary.host.rpartition(":")[2]
        targets = [
            canary.url("/x"),
            f"http://localhost:{port}/x",
            f"http://2130706433:{port}/",
            "http://127.1/x",
        ]
        for number, target in enumerate(targets):
            server.answers[f"/{number}.jpg"] = [response("302 Found", b"", f"Location: {target}")]
        rows, _ = fetch(
            tmp_path, [server.url(f"/{number}.jpg") for number in range(4)], server.host
        )
        # Without a port 127.1 is on a port of the web: there its address is refused.
        assert [row["reason"] for row in rows] == ["port", "port", "port", "address"]
        assert canary.connections == 0


def test_a_host_on_one_connection_sees_the_gap_that_was_set(tmp_path: Path) -> None:
    urls = [f"/{number}.jpg" for number in range(6)]
    with RawServer({path: [ok(IMAGE)] for path in urls}) as server:
        rows: list[Row] = [{"url": server.url(path)} for path in urls]
        run(part_for(tmp_path, rows, {server.host: HostLimits(min_gap_s=0.1)}), tmp_path)
    gaps = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
    assert min(gaps) >= 0.095
    assert server.most_in_flight == 1
    assert server.paths == ["/robots.txt", *urls]


def test_an_opened_host_is_requested_on_several_connections(tmp_path: Path) -> None:
    with RawServer({f"/{number}.jpg": [ok(make_image(number))] for number in range(20)}) as server:
        rows: list[Row] = [{"url": server.url(f"/{number}.jpg")} for number in range(20)]
        limits = HostLimits(min_gap_s=0, max_connections=8)
        facts, receipt = run(part_for(tmp_path, rows, {server.host: limits}), tmp_path)
    assert [row["url"] for row in facts] == [row["url"] for row in rows]
    assert receipt.rows_out == 20
    assert 1 < server.connections <= 8


def test_we_say_who_we_are_and_send_no_cookie_back(tmp_path: Path) -> None:
    with RawServer({f"/{n}.jpg": [ok(IMAGE, "Set-Cookie: a=b")] for n in range(2)}) as server:
        fetch(
            tmp_path,
            [server.url(f"/{n}.jpg") for n in range(2)],
            server.host,
            contact="bot@example.org",
        )
    heads = [head.decode() for head in server.requests]
    assert all("User-Agent: wenlan-data/0.1.0 (+bot@example.org)" in head for head in heads)
    assert not any("Cookie" in head for head in heads)


def test_the_query_goes_out_with_the_bytes_that_it_had(tmp_path: Path) -> None:
    with RawServer({}) as server:
        fetch(tmp_path, [server.url("/a?q=%D6%D0"), server.url("/中?q=中")], server.host)
    assert server.paths[1:] == ["/a?q=%D6%D0", "/%E4%B8%AD?q=%E4%B8%AD"]


def test_files_and_warc_records_are_checked_like_the_web(tmp_path: Path) -> None:
    with RawServer({"/a.jpg": [ok(IMAGE)]}) as server:
        [web], _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    (tmp_path / "b.jpg").write_bytes(IMAGE)
    later = tmp_path / "later"
    later.mkdir()
    stored = {"supply": "warc", "supply_path": str(tmp_path / "out/images.warc"), "host": ""}
    file = {"supply": "file", "supply_path": str(tmp_path / "b.jpg"), "host": ""}
    missing = {"supply": "file", "supply_path": str(tmp_path / "c.jpg"), "host": ""}
    rows: list[Row] = [
        {"url": "http://a.cn/a.jpg", **stored},
        {"url": "b.jpg", **file},
        {"url": "c.jpg", **missing},
    ]
    facts, receipt = run(part_for(later, rows, {}), later)
    names = ("sha256", "bytes", "format", "width", "height", "phash", "pdq", "colours")
    for row in facts[:2]:
        assert {name: row[name] for name in names} == {name: web[name] for name in names}
    assert facts[0]["fetched_at"] == web["fetched_at"]
    assert (facts[2]["reason"], facts[2]["retryable"], facts[2]["warc_offset"]) == (
        "missing_file",
        True,
        -1,
    )
    assert receipt.details.requested == 0
    assert [record.kind for record in records(later / "out/images.warc")] == [
        "response",
        "resource",
    ]


def test_only_a_host_that_was_not_opened_needs_a_contact() -> None:
    assert needs_contact("a.cn:80", ("127.0.0.1:8085",))
    assert not needs_contact("127.0.0.1:8085", ("127.0.0.1:8085",))
    assert not needs_contact("", ())
