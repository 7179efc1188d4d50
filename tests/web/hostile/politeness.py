"""Cases 59 to 80: hosts that are busy, broken or closed to us, and their signals in robots.txt and
elsewhere."""

import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

from tests.web.hostile.cases import Case, Run
from tests.web.hostile.names import Names, fetch_with
from tests.web.hostile.web import (
    Answer,
    Answers,
    Web,
    gaps_s,
    html,
    ok,
    resets,
    response,
    stall,
    to,
)
from wenlan_data.records import Candidate
from wenlan_data.testing import make_image
from wenlan_data.web.host_state import HostState
from wenlan_data.web.limits import DEFAULTS, HostLimits
from wenlan_data.web.robots import RobotsRules, parse_robots

IMAGE = make_image(1)
ALLOWED = ok(IMAGE)
ROBOTS = "/robots.txt"
NO_ROBOTS = response("404 Not Found")


def busy(retry_after: str, status: str = "429 Too Many Requests") -> bytes:
    """Returns a response that tells the client to wait."""
    return response(status, b"", *([f"Retry-After: {retry_after}"] if retry_after else []))


def rules(*lines: str) -> bytes:
    """Returns a robots.txt."""
    return ok("\n".join(lines).encode(), "Content-Type: text/plain")


def _waited(at_least_s: float) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        requests = [one for one in run.host.log if one.path == "/a.jpg"]
        assert len(requests) == 2
        assert gaps_s(requests)[0] >= at_least_s

    return check


def _requested(times: int) -> Callable[[Run], None]:
    def check(run: Run) -> None:
        assert len(run.host.paths) == times, run.host.paths

    return check


def _in_two_seconds(web: Web) -> Answers:
    # A date has whole seconds, so three seconds from now are more than two.
    return {"/a.jpg": [busy(formatdate(time.time() + 3, usegmt=True)), ALLOWED]}


def _parked(run: Run) -> None:
    assert run.host.paths == ["/a.jpg"]
    state = run.receipt.details.hosts[run.host.name]
    assert state["abandoned"] == "host_waits"
    assert state["next_at_s"] - state["at_s"] > 3600 * 24 * 365


def _gaps_double(run: Run) -> None:
    gaps = gaps_s([one for one in run.host.log if one.path == "/a.jpg"])
    assert len(gaps) == 3
    assert gaps[1] >= 1.9 * 0.2
    assert gaps[2] >= 1.9 * gaps[0]


def _breaker(run: Run) -> None:
    assert run.host.paths == ["/a.jpg"] * 3
    assert run.rows[0]["retryable"]


def _no_pairs(run: Run) -> None:
    assert run.candidates() == []


def _no_cookies(run: Run) -> None:
    assert len(run.host.log) == 3
    assert not any(b"ookie" in one.head for one in run.host.log)


def _no_image(run: Run) -> None:
    assert "/a.jpg" not in run.host.paths


def _nothing_else(run: Run) -> None:
    assert run.host.paths == []


def robots_case(
    number: int, does: str, outcome: str, answer: "Answer | list[Answer]", **more: object
) -> Case:
    """Returns a case of an image behind a robots.txt."""
    check = None if outcome == "ok" else _nothing_else
    answers = {ROBOTS: answer, "/a.jpg": ALLOWED}
    return Case(
        number=number,
        does=does,
        outcome=outcome,
        answers=answers,
        **{"check": check, **more},  # type: ignore[arg-type]
    )


def _no_such_name(folder: Path) -> str:
    with Web() as web:
        run = Run(web.host({}), web)
        fetch_with(run, folder, ["http://a.test/a.jpg"], (), Names([]))
        assert run.rows[0]["detail"] == "dns"
        assert run.rows[0]["retryable"]
        return run.outcomes[0]


def _chain(length: int) -> dict[str, bytes]:
    last = {f"/r{length}": rules("User-agent: *", "Disallow: /")}
    return (
        {ROBOTS: to("/r1")}
        | {f"/r{n}": to(f"/r{n + 1}") for n in range(1, length)}
        | last
        | {"/a.jpg": ALLOWED}
    )


ODD = {
    "HTML": b"<!doctype html><html><body>" + b"Disallow: /" * 50,
    "UTF-16": "User-agent: *\nDisallow: /".encode("utf-16"),
    "GBK": "# 机器人\nUser-agent: otherbot\nDisallow: /\n".encode("gbk"),
    "CR only": b"User-agent: *\rDisallow: /b\r",
    "NUL": b"User-agent: *\0\nDisallow: /b\0\n",
    "BOM": b"\xef\xbb\xbfUser-agent: *\nDisallow: /b\n",
    "one long line": b"Disallow: /" + b"x" * 400_000,
}


def _odd_robots(folder: Path) -> str:
    for name, body in ODD.items():
        with Web() as web:
            host = web.host({ROBOTS: ok(body), "/a.jpg": ALLOWED, "/b.jpg": ALLOWED})
            run = Run(host, web)
            fetch_with(
                run,
                folder / name,
                [host.url("/a.jpg"), host.url("/b.jpg")],
                (host.name,),
                Names(["127.0.0.1"]),
            )
            assert run.outcomes[0] == "ok", name
            assert run.outcomes[1] == ("robots" if name in {"CR only", "NUL", "BOM"} else "ok"), (
                name
            )
    return "ok"


# From google/robotstxt: rules, path, whether it is allowed.
MATCHES = [
    ("Disallow: /fish", "/fish.html", False),
    ("Disallow: /fish", "/Fish.asp", True),
    ("Disallow: /fish*", "/fishheads/x", False),
    ("Disallow: /*.php", "/folder/any.php.file.html", False),
    ("Disallow: /*.php$", "/index.php?x", True),
    ("Disallow: /*.php$", "/folder/index.php", False),
    ("Disallow: /fish*.php", "/fishheads/catfish.php?x", False),
    ("Allow: /p\nDisallow: /", "/page", True),
    ("Allow: /folder\nDisallow: /folder", "/folder/page", True),
    ("Allow: /page\nDisallow: /*.htm", "/page.htm", False),
    ("Allow: /$\nDisallow: /", "/", True),
    ("Allow: /$\nDisallow: /", "/page.htm", False),
    ("Disallow: /图片/", "/%E5%9B%BE%E7%89%87/a.jpg", False),
    ("Disallow: /%E5%9B%BE%E7%89%87/", "/图片/a.jpg", False),
    ("Disallow: /%D6%D0", "/%D6%D0", False),
    ("Disallow: /%D6%D0", "/%E4%B8%AD", True),
    ("Disallow: /a%3cd.html", "/a%3Cd.html", False),
    ("Disallow:", "/x", True),
    ("Disallow: /x\n\nUser-agent: wenlan-data\nDisallow: /y", "/x", True),
    ("Disallow: /x\n\nUser-agent: Wenlan-Data\nDisallow: /y", "/y", False),
]


def _matches(folder: Path) -> str:
    for lines, path, allowed in MATCHES:
        found = parse_robots(f"User-agent: *\n{lines}\n")
        assert isinstance(found, RobotsRules)
        assert (found.refuses(f"http://a.cn{path}") is None) == allowed, (lines, path)
    return "ok"


def _delay_is_the_gap(run: Run) -> None:
    assert min(gaps_s(run.host.log)) >= 2.85


def _new_rules(folder: Path) -> str:
    """Checks that a robots.txt is requested again after a day, although the state of the host was
    handed on in between."""
    host = HostState("a.cn:80", HostLimits(), DEFAULTS, {})
    host.apply_robots(parse_robots("User-agent: *\nDisallow: /old"))
    state = host.to_json(with_robots=True)
    fresh = HostState("a.cn:80", HostLimits(), DEFAULTS, state)
    assert isinstance(fresh.robots, RobotsRules)
    a_day_ago = {**state, "robots_at_s": time.time() - 24 * 3600 - 1}
    return (
        "ok"
        if HostState("a.cn:80", HostLimits(), DEFAULTS, a_day_ago).robots is None
        else "old rules"
    )


HEADERS = [
    *(
        f"X-Robots-Tag: {word}"
        for word in ("noai", "noimageai", "noindex", "noimageindex", "none", "nofollow, NoAI")
    ),
    "X-Robots-Tag: wenlan-data: noai",
    "x-robots-tag: *: noindex",
    "TDM-Reservation: 1",
]
METAS = [
    *(
        f"<meta name=robots content={word}>"
        for word in ("noai", "noimageai", "noindex", "noimageindex", "none")
    ),
    "<meta name=ROBOTS content='index, NoAI'>",
    "<meta name=wenlan-data content=noimageai>",
    "<meta name=tdm-reservation content=1>",
    "<meta name=TDM-Reservation content=' 1 '>",
]
BODY = "<img src=/1.jpg alt=桥>"


def _all_carry_a_signal(run: Run) -> None:
    found = [one for one in run.candidates() if isinstance(one, Candidate)]
    assert len(found) == len(run.rows)
    assert all(one.opt_out for one in found), [one.opt_out for one in found]


def _not_recorded(run: Run) -> None:
    assert all(
        row["warc_offset"] == -1 and row["opt_out"] for row in run.rows if row["status"] == 200
    )
    assert (run.out / "images.warc").stat().st_size == 0


TDMREP = b"""[{"location": "/", "tdm-reservation": 0}, {"location": "/photos/*", "tdm-reservation": 1},
             {"location": "/photos/free", "tdm-reservation": 0}, {"location": "*.png$", "tdm-reservation": 1}, 7]"""


def _tdmrep_requested_once(run: Run) -> None:
    assert [one.path for one in run.host.log].count("/.well-known/tdmrep.json") == 1
    assert "/photos/1.jpg" not in run.host.paths


def _everything_fails(folder: Path) -> str:
    with Web() as web:
        host = web.host({ROBOTS: NO_ROBOTS}, lambda _: response("500 Broken"))
        run = Run(host, web)
        urls = [host.url(f"/{n}.jpg") for n in range(12)]
        fetch_with(run, folder, urls, (host.name,), Names(["127.0.0.1"]))
        assert run.outcomes[10:] == ["host_unreachable"] * 2
        assert run.outcomes[:10] == ["status_5xx"] * 10
        return run.outcomes[0]


CASES = [
    Case(
        number=59,
        does="responds with 429 and Retry-After: 2",
        outcome="ok",
        answers={"/a.jpg": [busy("2"), ALLOWED]},
        check=_waited(1.95),
    ),
    Case(
        number=60,
        does="states Retry-After as a date",
        outcome="ok",
        answers=_in_two_seconds,
        check=_waited(1.95),
    ),
    Case(
        number=61,
        does="sets Retry-After to ten years",
        outcome="status_429",
        answers={"/a.jpg": busy(str(10 * 365 * 24 * 3600))},
        check=_parked,
    ),
    Case(
        number=62,
        does="responds with 503 three times, then with the image",
        outcome="ok",
        answers={"/a.jpg": [*[busy("", "503 Busy")] * 3, ALLOWED]},
        limits={"backoff_s": 0.2},
        gap_s=0.2,
        check=_gaps_double,
    ),
    Case(
        number=63,
        does="responds with 403 and 451",
        outcome="http_status",
        answers={"/a.jpg": response("403 Forbidden"), "/b.jpg": response("451 Unavailable")},
        paths=("/a.jpg", "/b.jpg"),
        check=_requested(2),
    ),
    Case(
        number=64,
        does="responds with 500 for ever",
        outcome="status_5xx",
        answers={"/a.jpg": response("500")},
        check=_breaker,
    ),
    Case(
        number=65,
        does="sends an error page with status 200",
        outcome="soft_404",
        answers={
            "/1": html(
                "<html><title>404 Not Found</title><img src=/1.jpg alt=桥><a href=/x>首页</a>"
            ),
            "/2": html(
                "<html><title>页面不存在 - 某某网</title><p>您访问的页面不存在<img src=/1.jpg>"
            ),
            "/3": html("<html><title>出错啦 | 某某</title><p>对不起<img src=/1.jpg>"),
        },
        paths=("/1", "/2", "/3"),
        pages=True,
        check=_no_pairs,
    ),
    Case(
        number=65,
        does="requires a CAPTCHA",
        outcome="captcha",
        answers={
            "/1": html("<html><title>安全验证</title><img src=/captcha.jpg alt=请输入图中的文字>"),
            "/2": html("<html><title>Just a moment...</title><img src=/1.jpg>"),
            "/3": html("<html><title>访问验证-某某网</title><img src=/1.jpg>"),
        },
        paths=("/1", "/2", "/3"),
        pages=True,
        check=_no_pairs,
    ),
    Case(
        number=66,
        does="sets cookies that unlock or trap",
        outcome="ok",
        answers={
            path: ok(IMAGE, "Set-Cookie: a=b; Path=/", "Set-Cookie: " + "c" * 5000)
            for path in ("/a.jpg", "/b.jpg")
        },
        paths=("/a.jpg", "/b.jpg"),
        check=_no_cookies,
    ),
    robots_case(67, "has no robots.txt", "ok", NO_ROBOTS),
    robots_case(68, "forbids its robots.txt (401)", "ok", response("401 Unauthorized")),
    robots_case(
        68,
        "forbids its robots.txt (403), and the operator treats that as a refusal",
        "robots",
        response("403 Forbidden"),
        limits={"robots_forbidden": "deny"},
    ),
    robots_case(
        69, "responds with 500 for robots.txt", "robots_unavailable", response("500 Broken")
    ),
    robots_case(69, "responds with 503 for robots.txt", "robots_unavailable", response("503 Busy")),
    robots_case(70, "never responds to the request for robots.txt", "robots_unavailable", stall),
    robots_case(
        71,
        "resets the connection on the request for robots.txt",
        "robots_unavailable",
        resets(b"HTTP/1.1 200"),
    ),
    Case(
        number=72,
        does="has a name that does not resolve",
        outcome="robots_unavailable",
        own=_no_such_name,
    ),
    robots_case(73, "responds with 429 for robots.txt", "robots_unavailable", busy("")),
    Case(
        number=74,
        does="redirects robots.txt five times",
        outcome="robots",
        answers=_chain(5),
        check=_no_image,
    ),
    Case(number=74, does="redirects robots.txt six times", outcome="ok", answers=_chain(6)),
    robots_case(
        75,
        "has 10 MB of robots.txt, with a rule at its end",
        "ok",
        ok(b"User-agent: *\n" + b"#" * (10 << 20) + b"\nDisallow: /\n"),
    ),
    Case(number=76, does="has an invalid robots.txt", outcome="ok", own=_odd_robots),
    Case(number=77, does="has rules with wildcards, ends and escapes", outcome="ok", own=_matches),
    Case(
        number=78,
        does="sets a Crawl-delay of three seconds",
        outcome="ok",
        answers={ROBOTS: rules("User-agent: *", "Crawl-delay: 3"), "/a.jpg": ALLOWED},
        check=_delay_is_the_gap,
    ),
    robots_case(
        78,
        "sets a Crawl-delay of 30 years",
        "crawl_delay",
        rules("User-agent: *", "Crawl-delay: 1e9"),
    ),
    robots_case(
        78,
        "sets a Crawl-delay that is not a number",
        "ok",
        rules("User-agent: *", "Crawl-delay: NaN"),
    ),
    Case(number=79, does="changes its robots.txt", outcome="ok", own=_new_rules),
    Case(
        number=80,
        does="opts images out, by every header",
        outcome="opt_out",
        answers={f"/{n}.jpg": ok(IMAGE, header) for n, header in enumerate(HEADERS)},
        paths=tuple(f"/{n}.jpg" for n in range(len(HEADERS))),
        check=_not_recorded,
    ),
    Case(
        number=80,
        does="opts pages out, by every header and meta element",
        outcome="ok",
        answers={
            **{
                f"/h{n}": html(f"<html>{BODY}", header, "Content-Type: text/html")
                for n, header in enumerate(HEADERS)
            },
            **{f"/m{n}": html(f"<html>{meta}{BODY}") for n, meta in enumerate(METAS)},
        },
        paths=(*(f"/h{n}" for n in range(len(HEADERS))), *(f"/m{n}" for n in range(len(METAS)))),
        pages=True,
        check=_all_carry_a_signal,
    ),
    Case(
        number=80,
        does="reserves images in tdmrep.json",
        outcome="opt_out",
        answers={"/.well-known/tdmrep.json": ok(TDMREP)},
        paths=("/photos/1.jpg", "/photos/2.jpg", "/x/3.png"),
        limits={"tdmrep": True},
        check=_tdmrep_requested_once,
    ),
    Case(
        number=80,
        does="reserves others in tdmrep.json",
        outcome="ok",
        answers={
            "/.well-known/tdmrep.json": ok(TDMREP),
            "/a.jpg": ALLOWED,
            "/photos/free.jpg": ok(make_image(2)),
        },
        paths=("/a.jpg", "/photos/free.jpg"),
        limits={"tdmrep": True},
    ),
    Case(
        number=80,
        does="reserves pages in tdmrep.json",
        outcome="ok",
        answers={"/.well-known/tdmrep.json": ok(TDMREP), "/photos/": html(f"<html>{BODY}")},
        paths=("/photos/",),
        pages=True,
        limits={"tdmrep": True},
        check=_all_carry_a_signal,
    ),
    robots_case(
        80,
        "reserves training in robots.txt",
        "opt_out",
        rules("User-agent: *", "Content-Usage: train-ai=n"),
        limits={"content_usage": True},
    ),
    robots_case(
        80,
        "reserves it, and the operator does not enable the draft",
        "ok",
        rules("User-agent: *", "Content-Usage: train-ai=n"),
    ),
    Case(
        number=64,
        does="responds with 500 to everything",
        outcome="status_5xx",
        own=_everything_fails,
    ),
]
