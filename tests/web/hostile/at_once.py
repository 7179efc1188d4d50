"""Runs every case that is a host and paths in one fetch and one crawl at the same time, under the
default limits."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from tests.web.hostile.cases import Case, crawl_part, fetch_part, start
from tests.web.hostile.table import CASES
from tests.web.hostile.web import Host, Web
from wenlan_data.web.limits import HostLimits, Limits

# Cases with these settings run alone: they cannot differ within one worker.
OWN_LIMITS = ("tdmrep", "content_usage", "robots_forbidden")


@dataclass(frozen=True, slots=True)
class Begun:
    """A case whose host is running."""

    case: Case
    host: Host
    urls: tuple[str, ...]


def main(folder: Path) -> int:
    """Runs all; returns 0 if every outcome is that of the table and nobody connected to the
    canary."""
    with Web(own_addresses=True) as web:
        canary = web.host({})
        cases = (
            case
            for case in CASES
            if not case.own and not any(name in case.limits for name in OWN_LIMITS)
        )
        begun = [_begin(web, case) for case in cases]
        limits = replace(Limits(), tdmrep=False)
        wrong: list[str] = []
        images = [one for one in begun if not one.case.pages]
        pages = [one for one in begun if one.case.pages]
        threads = [
            threading.Thread(target=_run, args=(folder / "images", images, limits, wrong, False)),
            threading.Thread(target=_run, args=(folder / "pages", pages, limits, wrong, True)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if canary.connections:
            wrong.append(f"the canary saw {canary.connections} connections")
    print(*wrong, sep="\n")
    print(len(begun), "cases,", _peak_bytes())
    return 1 if wrong else 0


def _peak_bytes() -> int:
    """Peak resident memory of this process since it was started.

    Not `ru_maxrss`: exec carries the parent's peak over into it, so that a test process that has
    once held 2 GB would report 2 GB for every child.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _begin(web: Web, case: Case) -> Begun:
    host = start(web, case)
    return Begun(
        case, host, tuple(path if "://" in path else host.url(path) for path in case.paths)
    )


def _run(
    folder: Path, begun: Sequence[Begun], limits: Limits, wrong: list[str], pages: bool
) -> None:
    out = folder / "out"
    out.mkdir(parents=True)
    urls = [url for one in begun for url in one.urls]
    hosts = {one.host.name: HostLimits(min_gap_s=one.case.gap_s) for one in begun}
    part = (crawl_part if pages else fetch_part)(folder, urls, hosts, limits)
    part(out)
    table = out / ("pages.parquet" if pages else "facts.parquet")
    rows = pq.read_table(table, columns=["reason", "detail"]).to_pylist()
    at = 0
    for one in begun:
        own = rows[at : at + len(one.urls)]
        at += len(one.urls)
        if [row["reason"] or "ok" for row in own] != [one.case.outcome] * len(own):
            wrong.append(f"{one.case.number} ({one.case.does}): {own} and not {one.case.outcome}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    sys.exit(main(Path(sys.argv[1])))
