"""What servers see of us, from their own logs: four workers, fifty hosts, ten thousand requests."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.builds.corpus_runs import COMMAND, table
from tests.web.hostile.web import Host, Web, gaps_s, ok, response
from wenlan_data.testing import make_caption, make_image

GAP_S = 0.02
IMAGES = [ok(make_image(n, width=120, height=110)) for n in range(20)]
RULES = ok(b"User-agent: *\nDisallow: /private/")


def _honest(web: Web) -> Host:
    """Has an image for every number."""
    answers = {"/robots.txt": RULES, "/.well-known/tdmrep.json": response("404 Not Found")}
    return web.host(answers, lambda path: IMAGES[int(path[1:].split(".")[0]) % 20])


def _busy(web: Web) -> Host:
    """Wants to be left alone for three seconds, once."""
    busy = response("429 Slow", b"", "Retry-After: 3")
    return web.host({"/robots.txt": RULES, "/1.jpg": [busy, IMAGES[1]]}, lambda _: IMAGES[2])


def _build(folder: Path, hosts: list[Host], rows: list[tuple[str, str]], workers: int) -> None:
    table(folder / "urls.parquet", rows)
    value = {
        "network": {"allow": [host.name for host in hosts]},
        "hosts": {host.name: {"min_gap_s": GAP_S} for host in hosts},
        # All hosts are at one address, whose own limits are tested elsewhere.
        "limits": {"min_gap_an_address_s": 0, "max_connections_an_address": 100},
        "sources": [{"kind": "table", "path": "urls.parquet", "url": "url", "text": "text"}],
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(value), "utf-8")
    words = [
        "build",
        "--sources",
        folder / "s.yaml",
        "--out",
        folder / "c",
        "--executor",
        "ray",
        "--workers",
        workers,
    ]
    words += ["--set", "image.min_bytes=0"]
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _polite(hosts: list[Host]) -> float:
    """The smallest gap that any of them saw."""
    assert max(host.most_in_flight for host in hosts) == 1
    return min(min(gaps_s(host.log)) for host in hosts if len(host.log) > 1)


@pytest.mark.slow
def test_four_workers_are_as_polite_as_one(tmp_path: Path) -> None:
    with Web() as web:
        hosts = [_honest(web) for _ in range(46)]
        broken = [web.host({"/robots.txt": response("503 Busy")}) for _ in range(2)]
        busy = [_busy(web) for _ in range(2)]
        rows = [
            (host.url(f"/{n}.jpg"), make_caption(n))
            for n in range(210)
            for host in [*hosts, *broken, *busy]
        ]
        rows += [
            (host.url(f"/private/{n}.jpg"), make_caption(n))
            for n in range(4)
            for host in [*hosts, *broken, *busy]
        ]
        _build(tmp_path, [*hosts, *broken, *busy], rows, workers=4)
    requests = [one for host in web.hosts for one in host.log]
    smallest_s = _polite([*hosts, *busy])
    print(f"{len(requests)} requests, smallest gap {smallest_s:.4f} s of {GAP_S}")
    assert len(requests) >= 10_000
    assert smallest_s >= 0.95 * GAP_S
    assert not any(one.path.startswith("/private/") for one in requests)
    assert {one.path for host in broken for one in host.log} == {"/robots.txt"}
    for host in busy:
        at = next(n for n, one in enumerate(host.log) if one.path == "/1.jpg")
        assert gaps_s(host.log[at : at + 2])[0] >= 2.95


@pytest.mark.slow
def test_a_host_with_most_of_all_addresses_holds_nobody_up(tmp_path: Path) -> None:
    with Web() as web:
        large, *others = [_honest(web) for _ in range(21)]
        rows = [(large.url(f"/{n}.jpg"), make_caption(n)) for n in range(4500)]
        rows += [(host.url(f"/{n}.jpg"), make_caption(n)) for n in range(150) for host in others]
        _build(tmp_path, web.hosts, rows, workers=2)
    began = min(one.began for host in web.hosts for one in host.log)
    last = max(one.began for one in large.log) - began
    others_last = max(one.began for host in others for one in host.log) - began
    print(f"others done after {others_last:.1f} s of {last:.1f} s")
    assert others_last < last / 2
    assert _polite(web.hosts) >= 0.95 * GAP_S
