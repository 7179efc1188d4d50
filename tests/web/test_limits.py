import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests.web.hostile.cases import Case, run_case
from tests.web.hostile.web import Web, html, ok, to
from wenlan_data.errors import RecipeError, UsageError
from wenlan_data.source_config import load_sources
from wenlan_data.testing import make_image
from wenlan_data.web.limits import Limits

IMAGE = make_image(1)
SMALL = ok(IMAGE)

CASES = [
    ("max_line_bytes", 200, ok(IMAGE, "X: " + "x" * 300), "header_limit"),
    ("max_headers", 10, ok(IMAGE, *(f"X-{n}: x" for n in range(20))), "header_limit"),
    (
        "max_header_bytes",
        2000,
        ok(IMAGE, *(f"X-{n}: {'x' * 100}" for n in range(30))),
        "header_limit",
    ),
    ("max_interim_responses", 2, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + SMALL, "header_limit"),
    ("max_redirects", 0, to("/b.jpg"), "redirect_limit"),
    ("max_url_characters", 20, SMALL, "url_too_long"),
    ("max_image_bytes", 5000, SMALL, "too_large"),
]


@pytest.mark.parametrize(
    ("name", "value", "answer", "outcome"), CASES, ids=[case[0] for case in CASES]
)
def test_a_limit_holds_where_it_is_set_and_not_below_it(
    tmp_path: Path, name: str, value: int, answer: bytes, outcome: str
) -> None:
    answers = {"/a.jpg": answer, "/b.jpg": SMALL}
    with Web() as web:
        tight = Case(number=0, does="", outcome="", answers=answers, limits={name: value})
        assert run_case(tight, web, tmp_path / "tight").outcomes == [outcome]
        loose = Case(number=0, does="", outcome="", answers=answers)
        assert run_case(loose, web, tmp_path / "loose").outcomes == ["ok"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("max_page_bytes", 3000, "too_large"), ("max_decoded_page_bytes", 3000, "too_large")],
)
def test_a_page_has_limits_of_its_own(tmp_path: Path, name: str, value: int, reason: str) -> None:
    answers = {"/": html("<html>" + "x" * 4000)}
    with Web() as web:
        case = Case(
            number=0,
            does="",
            outcome="",
            answers=answers,
            paths=("/",),
            pages=True,
            limits={name: value},
        )
        assert run_case(case, web, tmp_path).outcomes == [reason]


@pytest.mark.parametrize(
    ("name", "value", "robots", "outcome"),
    [
        ("max_parsed_robots_bytes", 20, b"#" * 30 + b"\nUser-agent: *\nDisallow: /", "ok"),
        ("max_robots_bytes", 20, b"#" * 30 + b"\nUser-agent: *\nDisallow: /", "ok"),
        ("max_crawl_delay_s", 0.5, b"User-agent: *\nCrawl-delay: 1", "crawl_delay"),
    ],
)
def test_robots_have_limits_of_their_own(
    tmp_path: Path, name: str, value: float, robots: bytes, outcome: str
) -> None:
    with Web() as web:
        case = Case(
            number=0,
            does="",
            outcome="",
            answers={"/robots.txt": ok(robots), "/a.jpg": SMALL},
            limits={name: value},
        )
        assert run_case(case, web, tmp_path).outcomes == [outcome]


def test_more_large_bodies_than_are_allowed_come_one_after_the_other(tmp_path: Path) -> None:
    large = ok(IMAGE + bytes(200_000))
    paths = tuple(f"/{n}.jpg" for n in range(6))
    with Web() as web:
        case = Case(
            number=0,
            does="",
            outcome="",
            answers=dict.fromkeys(paths, large),
            paths=paths,
            limits={"small_body_bytes": 1000, "max_large_bodies": 1},
        )
        assert run_case(case, web, tmp_path).outcomes == ["ok"] * 6


def test_the_defaults_are_those_that_the_documentation_states() -> None:
    limits = Limits()
    assert (limits.connect_s, limits.tls_s, limits.first_byte_s, limits.total_s) == (10, 10, 15, 60)
    assert (limits.min_rate_bytes_per_s, limits.rate_window_s) == (1024, 10)
    assert (limits.max_line_bytes, limits.max_headers, limits.max_header_bytes) == (
        8192,
        100,
        32768,
    )
    assert (limits.max_redirects, limits.max_robots_redirects, limits.max_url_characters) == (
        5,
        5,
        2048,
    )
    assert (limits.page.max_wire_bytes, limits.page.max_bytes, limits.image.max_bytes) == (
        5 << 20,
        10 << 20,
        20 << 20,
    )
    assert (limits.max_robots_bytes, limits.max_parsed_robots_bytes) == (512 << 10, 500 << 10)
    assert (limits.max_crawl_delay_s, limits.max_wait_s, limits.max_held_s) == (60, 60, 3600)
    assert not limits.image.decodes


@pytest.mark.parametrize(
    "words",
    [{"total_s": 0}, {"connect_s": -1}, {"total_s": float("nan")}, {"robots_forbidden": "x"}],
)
def test_a_limit_that_makes_no_sense_is_an_error(words: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="limits:"):
        Limits(**words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("limits: {total_s: 0}", "total_s"),
        ("limits: {total: 5}", "total"),
        ("limits: {total_s: soon}", "total_s"),
        ("exclude: {sha256: gone.txt}", "gone.txt"),
        ("exclude: {sha256: bad.txt}", "line 2"),
        ("exclude: {hashes: bad.txt}", "hashes"),
    ],
)
def test_the_sources_file_is_checked(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "bad.txt").write_text("# mine\nabc\n")
    (tmp_path / "s.yaml").write_text(f"{line}\nsources: [{{kind: pages, path: 'http://a.cn/'}}]\n")
    with pytest.raises((RecipeError, UsageError), match=message):
        load_sources([str(tmp_path / "s.yaml")])


def test_limits_and_lists_of_the_sources_file_are_taken(tmp_path: Path) -> None:
    (tmp_path / "domains.txt").write_text("example.org # theirs\n\n*.例子.cn\n")
    lines = "limits: {total_s: 5, content_usage: true}\nexclude: {domains: domains.txt}\n"
    (tmp_path / "s.yaml").write_text(lines + "sources: [{kind: pages, path: 'http://a.cn/'}]\n")
    sources = load_sources([str(tmp_path / "s.yaml")])
    assert (sources.limits.total_s, sources.limits.content_usage, sources.limits.connect_s) == (
        5,
        True,
        10,
    )
    lists = sources.exclude.load()
    assert lists.refuses_url("http://www.example.org/a.jpg")
    assert lists.refuses_url("http://a.xn--fsqu00a.cn/")
    assert not lists.refuses_url("http://example.org.cn/")


def test_urls_of_a_list_are_compared_by_their_canonical_form(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("http://a.cn/x?b=2&a=1\nhttps://a.cn/private/*\n")
    lines = "exclude: {urls: urls.txt}\nsources: [{kind: pages, path: 'http://a.cn/'}]\n"
    (tmp_path / "s.yaml").write_text(lines)
    lists = load_sources([str(tmp_path / "s.yaml")]).exclude.load()
    assert lists.refuses_url("http://A.cn:80/x?a=1&b=2#part")
    assert lists.refuses_url("https://a.cn/private/1.jpg")
    assert not lists.refuses_url("http://a.cn/x?b=2")


def test_every_limit_is_set_by_a_test() -> None:
    tests = "".join(
        path.read_text("utf-8") for path in Path(__file__).parent.parent.rglob("test_*.py")
    )
    tests += (Path(__file__).parent / "hostile" / "politeness.py").read_text("utf-8")
    # As a keyword, or as a key: reading a default sets nothing.
    assert [
        field.name for field in fields(Limits) if not re.search(rf'\b{field.name}(=|"|: \d)', tests)
    ] == []
