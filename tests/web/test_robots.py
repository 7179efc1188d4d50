from pathlib import Path

import pytest

from tests.fetch.fetch_list_rows import fetch
from tests.web.raw_server import RawServer, ok, response
from wenlan_data.records import Drop
from wenlan_data.testing import make_image
from wenlan_data.web.robots import RobotsRules, parse_robots

IMAGE = make_image(1)
REDIRECT = response("302 Found", b"", "Location: /robots.txt")


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (response("404 Not Found"), ""),
        (response("403 Forbidden"), ""),
        (ok(b""), ""),
        (ok(b"\xef\xbb\xbfUser-agent: *\nDisallow: /private/"), ""),
        (ok(b"User-agent: *\nDisallow: /"), "robots"),
        (ok(b"User-agent: wenlan-data\nDisallow: /*.jpg$\n\nUser-agent: *\nAllow: /"), "robots"),
        (ok(b"User-agent: otherbot\nDisallow: /"), ""),
        (ok(b"User-agent: *\nDisallow: /", "Transfer-Encoding: chunked"), "robots_unavailable"),
        (ok(b"#" * 600_000 + b"\nUser-agent: *\nDisallow: /"), ""),
        (ok(b"User-agent: *\nDisallow: /\n" + b"#" * 600_000), "robots"),
        (ok(b"User-agent: *\nCrawl-delay: 3600\n"), "crawl_delay"),
        (ok(b"User-agent: *\nCrawl-delay: nan\n"), ""),
        (response("500 Broken"), "robots_unavailable"),
        (response("429 Slow"), "robots_unavailable"),
        (b"nonsense\r\n\r\n", "robots_unavailable"),
        (REDIRECT, ""),
    ],
)
def test_doubt_about_robots_means_no(tmp_path: Path, robots: bytes, reason: str) -> None:
    with RawServer({"/robots.txt": [robots], "/a.jpg": [ok(IMAGE)]}) as server:
        [row], _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert (row["reason"], row["retryable"]) == (reason, reason == "robots_unavailable")
    assert ("/a.jpg" in server.paths) == (reason == "")


def test_a_silent_robots_file_keeps_us_out(tmp_path: Path) -> None:
    with RawServer({"/a.jpg": [ok(IMAGE)]}) as server:
        server.answers["/robots.txt"] = [server.stall]
        [row], _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert (row["reason"], row["detail"]) == ("robots_unavailable", "timeout")
    assert server.paths == ["/robots.txt"]


def test_a_robots_file_is_requested_once_and_travels_to_the_next_fetch_list(tmp_path: Path) -> None:
    rules = ok(b"User-agent: *\nDisallow: /b")
    with RawServer({"/robots.txt": [rules], "/a.jpg": [ok(IMAGE)]}) as server:
        _, receipt = fetch(tmp_path, [server.url("/a.jpg")], server.host)
        later = tmp_path / "later"
        later.mkdir()
        states = receipt.details.hosts
        [row], _ = fetch(later, [server.url("/b.jpg")], server.host, host_states=states)
    assert row["reason"] == "robots"
    assert server.paths == ["/robots.txt", "/a.jpg"]


def test_a_redirect_to_a_disallowed_path_is_not_followed(tmp_path: Path) -> None:
    answers = {
        "/robots.txt": [ok(b"User-agent: *\nDisallow: /b")],
        "/a.jpg": [response("302 Found", b"", "Location: /b.jpg")],
    }
    with RawServer({path: list(listed) for path, listed in answers.items()}) as server:
        [row], _ = fetch(tmp_path, [server.url("/a.jpg")], server.host)
    assert row["reason"] == "robots"
    assert "/b.jpg" not in server.paths


def test_a_crawl_delay_becomes_the_gap() -> None:
    rules = parse_robots("User-agent: *\nCrawl-delay: 2.5\n")
    assert isinstance(rules, RobotsRules)
    assert rules.delay_s == 2.5
    assert parse_robots("User-agent: *\nCrawl-delay: 61\n") == Drop("crawl_delay", "61 s")
