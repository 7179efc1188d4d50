"""kill -9 during a crawl of three hosts that link each other, then the same command again."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.builds.corpus_runs import COMMAND, build, content
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

PAGES = 24
HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture
def hosts() -> Iterator[tuple[Site, Site, Site]]:
    with ExitStack() as stack:
        sites = tuple(stack.enter_context(Site()) for _ in range(3))
        for number, site in enumerate(sites):
            _fill(site, sites, number)
        yield sites  # type: ignore[misc]


def _fill(site: Site, sites: tuple[Site, ...], place: int) -> None:
    """Fills a site: pages with an image each, in a binary tree.

    Every fourth links the next host.
    """
    beside = sites[(place + 1) % len(sites)]
    for page in range(PAGES):
        links = [f"/{child}.html" for child in (2 * page + 1, 2 * page + 2) if child < PAGES]
        links += [beside.url(f"/{page}.html?utm_source=x")] if page % 4 == 0 else []
        links += ["/missing.html", "/private/1.html", "/moved.html"] if page == 3 else []
        name = place * PAGES + page
        body = "".join(f'<a href="{link}">下一页</a>' for link in links)
        body += f'<p><img src="/{name}.jpg" alt="{make_caption(name)}"></p>'
        site.responses[f"/{page}.html"] = CannedResponse(
            f"<title>第{page}页</title>{body}".encode(), headers=HTML
        )
        site.responses[f"/{name}.jpg"] = CannedResponse(make_image(name))
    site.responses["/moved.html"] = CannedResponse(b"", 301, {"Location": "/5.html"})
    site.responses["/robots.txt"] = CannedResponse(
        b"User-agent: *\nDisallow: /private/\n", headers={"Content-Type": "text/plain"}
    )


def _sources(folder: Path, sites: tuple[Site, ...]) -> Path:
    value = {
        "network": {"allow": [site.host for site in sites]},
        "hosts": {site.host: {"min_gap_s": 0.01} for site in sites},
        "sources": [
            {
                "kind": "pages",
                "seeds": [sites[0].url("/0.html")],
                "follow": [site.host for site in sites],
            }
        ],
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(value), "utf-8")
    return folder / "sources.yaml"


def _outcomes(out: Path) -> dict[str, list[str]]:
    """Returns URL to its outcomes in all committed fetch lists."""
    found: dict[str, list[str]] = {}
    for path in sorted(out.glob(".work/crawls/*/*/crawl/*/pages.parquet")):
        for row in pq.read_table(path).to_pylist():
            found.setdefault(row["url_key"], []).append(row["reason"])
    return found


def _committed(out: Path) -> int:
    return len(list(out.glob(".work/crawls/*/*/*/*/receipt.json")))


def _in_flight(out: Path) -> set[str]:
    """Returns the URLs of fetch lists without a committed part: only these may be requested
    again."""
    urls: set[str] = set()
    for frontier in out.glob(".work/crawls/*/*/frontier/00000"):
        for path in sorted(frontier.glob("slice-*.parquet")):
            if not (frontier.parent.parent / "crawl" / path.stem.removeprefix("slice-")).exists():
                urls |= set(pq.read_table(path)["url"].to_pylist())
    return urls


def _kill(words: list[str], out: Path, after_parts: int, wait_s: float) -> None:
    with subprocess.Popen(
        [*COMMAND, "build", *words],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and _committed(out) < after_parts:
            time.sleep(0.0005)
        time.sleep(wait_s)
        os.killpg(process.pid, signal.SIGKILL)


SLOW = (pytest.mark.slow, pytest.mark.timeout(3600))
# Each costs two starts of Ray: KILLS_ON_RAY=20 tests as many moments as the local executor.
KILLS_ON_RAY = int(os.environ.get("KILLS_ON_RAY", "5"))


@pytest.mark.parametrize(
    ("executor", "moments"),
    [
        ("local", 3),
        pytest.param("local", 20, marks=SLOW),
        pytest.param("ray", KILLS_ON_RAY, marks=SLOW),
    ],
)
def test_a_killed_crawl_requests_again_only_what_was_in_flight_and_gives_the_same_corpus(
    tmp_path: Path, hosts: tuple[Site, Site, Site], executor: str, moments: int
) -> None:
    words = ["--sources", str(_sources(tmp_path, hosts)), "--executor", executor, "--workers", "2"]
    # Equal on every executor; the local one needs no start.
    build(*words, "--executor", "local", "--out", tmp_path / "golden")
    golden, outcomes, parts = (
        content(tmp_path / "golden"),
        _outcomes(tmp_path / "golden"),
        _committed(tmp_path / "golden"),
    )
    assert len(outcomes) == 3 * (PAGES + 3)
    assert Counter(reason for [reason] in outcomes.values()) == {
        "": 3 * PAGES,
        "http_status": 3,
        "robots": 3,
        "redirect": 3,
    }
    dice, hits = random.Random(20210311), []
    for moment in range(moments):
        out = tmp_path / f"corpus{moment}"
        for site in hosts:
            site.log.clear()
        _kill([*words, "--out", str(out)], out, dice.randrange(parts), dice.uniform(0, 0.15))
        hits.append(_committed(out))
        again = _in_flight(out)
        # Either executor resumes the other; every second time it is the local one.
        build(*words, "--out", out, "--executor", executor if moment % 2 else "local")
        assert content(out) == golden, f"killed with {hits[-1]} parts committed"
        assert _outcomes(out) == outcomes
        requests = Counter(
            site.url(path) for site in hosts for path in site.log if path.endswith("html")
        )
        assert max(requests.values()) <= 2
        assert {url for url, times in requests.items() if times > 1} <= again
    print(f"parts committed when killed, of {parts}: {hits}")
