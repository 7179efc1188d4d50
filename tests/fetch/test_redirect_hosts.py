"""Redirects into other hosts, and robots.txt at other hosts: each host hears from one task at a
time, at its pace, whatever leads to it; and the bytes are the same on any number of workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.builds.corpus_runs import captions, content, drops, table
from tests.web.hostile.web import Host, Web, gaps_s, ok, response, to
from wenlan_data.testing import make_caption, make_image

GAP_S = 0.1
FIRST = 11
# Three hosts in a fetch list in place of 200, so that most redirects lead into another list.
COMMAND = [
    sys.executable,
    "-c",
    "import wenlan_data.fetch.fetch_lists as lists; lists.MAX_HOSTS = 3; "
    "from wenlan_data.cli.main import main; main()",
    "build",
]
MISSING = response("404 Not Found")


@dataclass(slots=True)
class Sites:
    """Hosts that redirect, and the hosts that they redirect to, each on an address of its own."""

    web: Web
    first: list[Host]
    targets: list[Host]
    canary: Host

    @property
    def hosts(self) -> list[Host]:
        """All but the canary."""
        return [*self.first, *self.targets]

    def clear(self) -> None:
        """Forgets all requests."""
        for host in self.hosts:
            host.log.clear()
            host.most_in_flight = 0


@pytest.fixture
def sites() -> Iterator[Sites]:
    with Web() as web:
        targets = [web.host({"/robots.txt": MISSING}, address=f"127.0.2.{n + 1}") for n in range(2)]
        canary = web.host({}, address="127.0.3.1")
        first = [
            web.host({"/robots.txt": MISSING}, address=f"127.0.1.{n + 1}") for n in range(FIRST)
        ]
        _fill(first, targets, canary)
        yield Sites(web, first, targets, canary)


def _fill(first: list[Host], targets: list[Host], canary: Host) -> None:
    """Images of each first host: one redirected to either target, one over both and back to the
    first host, one redirected to an excluded host. Targets have images of their own."""
    one, other = targets
    for n, host in enumerate(first):
        # A third of the hosts have their robots.txt at a target, which forbids /private/.
        if n % 3 == 0:
            host.answers["/robots.txt"] = [to(one.url("/robots-of-all.txt"))]
        if n % 3 == 1:
            host.answers["/robots.txt"] = [to(canary.url("/robots.txt"))] if n == 10 else [MISSING]
        host.answers[f"/a{n}.jpg"] = [to(one.url(f"/a{n}.jpg"), "301 Moved")]
        host.answers[f"/b{n}.jpg"] = [to(other.url(f"/b{n}.jpg"))]
        host.answers[f"/c{n}.jpg"] = [to(one.url(f"/c{n}.jpg"))]
        host.answers[f"/d{n}.jpg"] = [to(canary.url(f"/d{n}.jpg"))]
        host.answers[f"/private/{n}.jpg"] = [ok(make_image(900 + n))]
        host.answers[f"/back{n}.jpg"] = [ok(make_image(300 + n))]
        one.answers[f"/a{n}.jpg"] = [ok(make_image(n))]
        other.answers[f"/b{n}.jpg"] = [ok(make_image(100 + n))]
        one.answers[f"/c{n}.jpg"] = [to(other.url(f"/c{n}.jpg"))]
        other.answers[f"/c{n}.jpg"] = [to(host.url(f"/back{n}.jpg"))]
    one.answers["/robots-of-all.txt"] = [ok(b"User-agent: wenlan-data/0.1\nDisallow: /private/\n")]
    for target in targets:
        for n in range(10):
            target.answers[f"/own{n}.jpg"] = [ok(make_image(600 + n + 10 * targets.index(target)))]


def _sources(folder: Path, sites: Sites) -> Path:
    urls = [
        host.url(f"{path}{n}.jpg")
        for n, host in enumerate(sites.first)
        for path in ("/a", "/b", "/c", "/d", "/private/")
    ]
    urls += [host.url(f"/own{n}.jpg") for n in range(10) for host in sites.targets]
    table(folder / "urls.parquet", [(url, make_caption(n)) for n, url in enumerate(urls)])
    (folder / "excluded.txt").write_text("127.0.3.1\n")
    value = {
        "network": {"allow": [host.name for host in [*sites.hosts, sites.canary]]},
        "hosts": {host.name: {"min_gap_s": GAP_S} for host in sites.hosts},
        "exclude": {"domains": "excluded.txt"},
        "limits": {"backoff_s": 0.01},
        "sources": [{"kind": "table", "path": "urls.parquet"}],
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(value), "utf-8")
    return folder / "sources.yaml"


def build(*words: object) -> None:
    """Runs a build with these fetch lists; it must succeed."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr


def _check_politeness(sites: Sites) -> None:
    assert sites.canary.connections == 0
    for host in sites.hosts:
        assert host.most_in_flight == 1, host.name
        assert min(gaps_s(host.log), default=GAP_S) >= 0.9 * GAP_S, host.name
        # Twice where it leads to another host: that is known only after the first request.
        assert [one.path for one in host.log].count("/robots.txt") <= 2, host.name


def _fetch_parts(out: Path, pass_number: int) -> int:
    lists = out / f".work/generations/000000/slice/{pass_number:05d}"
    return len(list(lists.glob("slice-*")))


def test_hosts_hear_from_one_task_at_a_time_whatever_leads_to_them(
    tmp_path: Path, sites: Sites
) -> None:
    words = ["--sources", _sources(tmp_path, sites), "--executor", "local"]
    build(*words, "--workers", 4, "--out", tmp_path / "four")
    assert _fetch_parts(tmp_path / "four", 0) >= 4
    assert all(_fetch_parts(tmp_path / "four", number) for number in (1, 2, 3))
    _check_politeness(sites)
    found = captions(tmp_path / "four")
    dropped = {str(row["url"]): (row["reason"], row["detail"]) for row in drops(tmp_path / "four")}
    for n, host in enumerate(sites.first):
        urls = {name: host.url(f"/{name}{n}.jpg") for name in ("a", "b", "c", "d", "private/")}
        if n == 10:
            # Its robots.txt is at an excluded host: nothing is known of its rules.
            assert {dropped[url][0] for url in urls.values()} == {"excluded"}
            continue
        assert dropped[urls["d"]] == ("excluded", "domain")
        assert set(found.values()) >= {urls["a"], urls["b"], urls["c"]}
        assert (urls["private/"] in dropped) == (n % 3 == 0)
        if n % 3 == 0:
            assert dropped[urls["private/"]] == ("robots", "")
    sites.clear()
    build(*words, "--workers", 1, "--out", tmp_path / "one")
    _check_politeness(sites)
    assert content(tmp_path / "one") == content(tmp_path / "four")
    sites.clear()
    # The chain of redirects is in the recordings: a build from them makes no request.
    build("--from", tmp_path / "four", "--out", tmp_path / "again")
    assert captions(tmp_path / "again") == found
    assert not any(host.log for host in sites.hosts)


@pytest.mark.slow
def test_a_build_killed_between_two_passes_gives_the_same_bytes(
    tmp_path: Path, sites: Sites
) -> None:
    words = ["--sources", str(_sources(tmp_path, sites)), "--executor", "local", "--workers", "2"]
    build(*words, "--out", tmp_path / "golden")
    golden = content(tmp_path / "golden")
    fetch = tmp_path / "killed/.work/generations/000000/fetch"
    passes = [1, 2, 3]
    for number in passes:
        sites.clear()
        with subprocess.Popen(
            [*COMMAND, *words, "--out", str(tmp_path / "killed")],
            start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            deadline = time.monotonic() + 120
            later = fetch.parent / f"slice/{number:05d}"
            while process.poll() is None and not later.exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(process.stderr.read().decode())
            os.killpg(process.pid, signal.SIGKILL)
        assert later.exists()
    sites.clear()
    build(*words, "--out", tmp_path / "killed")
    assert content(tmp_path / "killed") == golden
