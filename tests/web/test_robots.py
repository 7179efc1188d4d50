from pathlib import Path

import pytest

from tests.bounds import bounded
from tests.fetch.fetch_list_rows import fetch
from tests.web.raw_server import RawServer, ok, response
from wenlan_data.records import Drop
from wenlan_data.testing import make_image
from wenlan_data.web.limits import Limits
from wenlan_data.web.opt_out import NO_TRAINING
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


@pytest.mark.parametrize(
    "agent",
    ["user-agent: {}", "user  agent {}", "User \t Agent: {}", "useragent {}", "user - agent: {}"],
)
def test_many_agents_with_many_rules_cost_little(agent: str) -> None:
    agents = "\n".join(agent.format(f"a{n}") for n in range(4000))
    rules = "\n".join(f"disallow: /{n}" for n in range(4000))
    with bounded(seconds=10, mib=300):
        rules_of_host = parse_robots(f"{agents}\n{rules}\n")
        assert isinstance(rules_of_host, RobotsRules)
        assert rules_of_host.refuses("http://a.cn/1") is None


@pytest.mark.parametrize(
    "agent", ["user  agent wenlan-data/0.1", "USER \t AGENT: Wenlan-Data", "user agent wenlan-data"]
)
def test_our_name_is_found_however_it_is_spaced(agent: str) -> None:
    rules = parse_robots(f"{agent}\nDisallow: /\n")
    assert isinstance(rules, RobotsRules)
    assert rules.refuses("http://a.cn/1.jpg") == Drop("robots")


@pytest.mark.parametrize(
    "path",
    [
        "/x/../private/0.jpg",
        "/./private/1",
        "/%2e/private/2",
        "/x/%2e%2e/private/4",
        "/a/../x/../private/",
    ],
)
def test_no_way_leads_past_a_rule(path: str) -> None:
    rules = parse_robots("User-agent: *\nDisallow: /private/\n")
    assert isinstance(rules, RobotsRules)
    assert rules.refuses(f"http://a.cn{path}") == Drop("robots")


def test_many_usage_rules_cost_little() -> None:
    agents = "\n".join(f"User-agent: a{n}" for n in range(6000))
    rules = "\n".join(f"Content-Usage: /{n} train-ai=n" for n in range(6000))
    ours = "User-agent: wenlan-data\nContent-Usage: /%61 train-ai=n"
    with bounded(seconds=10, mib=200):
        found = parse_robots(f"{agents}\n{rules}\n{ours}\n", Limits(content_usage=True))
    assert isinstance(found, RobotsRules)
    assert (found.signals("http://a.cn/a1"), found.signals("http://a.cn/1")) == ((NO_TRAINING,), ())
