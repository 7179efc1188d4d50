"""Defines a case of the hostile web, and runs one through the fetch of images or the crawl of
pages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.fetch.fetch_list_rows import Row, write_fetch_list
from tests.web.hostile.web import Answers, Host, Web
from wenlan_data.crawl.frontier import read_frontier, write_frontier
from wenlan_data.crawl.scope import Scope
from wenlan_data.crawl.step import CrawlPart
from wenlan_data.fetch.step import FetchPart
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import NoDetails, Receipt
from wenlan_data.records import Candidate, Drop
from wenlan_data.sandbox.pages import read_page
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.tracking_params import page_key
from wenlan_data.web.urls import host_of
from wenlan_data.web.warc import record_at

QUICK = Limits(
    connect_s=4,
    tls_s=4,
    first_byte_s=4,
    total_s=40,
    rate_window_s=3,
    backoff_s=0.01,
    tdmrep=False,
)
"""The defaults with short times, so that a case takes some seconds. Shorter ones would fail on busy
machines."""
ANY_IMAGE = ImageRules()


@dataclass(slots=True)
class Run:
    """The result of one case."""

    host: Host
    web: Web
    rows: list[Row] = field(default_factory=list)
    """Fetch results, or rows of `pages.parquet`, in the order of the case's paths."""
    receipt: Receipt[Any] = field(default_factory=lambda: Receipt(details=NoDetails()))
    links: list[str] = field(default_factory=list)
    out: Path = field(default_factory=Path)

    @property
    def outcomes(self) -> list[str]:
        """`ok` or the drop reason of each path."""
        return [str(row["reason"]) or "ok" for row in self.rows]

    def candidates(self) -> list[Candidate | Drop]:
        """Returns what the extract step finds on the recorded pages."""
        warc = self.out / "pages.warc"
        good = [row for row in self.rows if not row["reason"]]
        found = (
            read_page(record_at(warc, int(str(row["warc_offset"]))), str(warc), "pages:")
            for row in good
        )
        return [one for listed in found for one in listed]


Check = Callable[[Run], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table."""

    number: int
    does: str
    """What the server does."""
    outcome: str
    """The outcome that all of its paths must have."""
    answers: Answers | Callable[[Web], Answers] = field(default_factory=dict)
    paths: tuple[str, ...] = ("/a.jpg",)
    """Requested from the case's host; a whole URL if it begins with http."""
    pages: bool = False
    """Whether they are requested as pages instead of images."""
    limits: Mapping[str, object] = field(default_factory=dict)
    """Changes of the limits."""
    gap_s: float = 0.0
    check: Check | None = None
    own: Callable[[Path], str] | None = None
    """Runs a case that needs more than a host and paths; returns the outcome."""


def start(web: Web, case: Case) -> Host:
    """Starts and returns the case's host."""
    return web.host(case.answers(web) if callable(case.answers) else case.answers)


def run_case(case: Case, web: Web, folder: Path, limits: Limits = QUICK) -> Run:
    """Requests the paths of a case in a part of its own."""
    run = Run(start(web, case), web)
    urls = [path if "://" in path else run.host.url(path) for path in case.paths]
    return request_urls(
        run,
        urls,
        folder,
        replace(limits, **case.limits),  # type: ignore[arg-type]
        pages=case.pages,
        gap_s=case.gap_s,
    )


def request_urls(
    run: Run, urls: list[str], folder: Path, limits: Limits, *, pages: bool, gap_s: float = 0.0
) -> Run:
    """Requests URLs. Only the case's own host is permitted."""
    hosts = {run.host.name: HostLimits(min_gap_s=gap_s)}
    run.out = folder / "out"
    run.out.mkdir(parents=True)
    if pages:
        run.receipt = crawl_part(folder, urls, hosts, limits)(run.out)
        run.rows = pq.read_table(run.out / "pages.parquet").to_pylist()
        run.links = [
            row[0].removeprefix(run.host.url(""))
            for row in read_frontier(run.out / "links.parquet")
        ]
    else:
        run.receipt = fetch_part(folder, urls, hosts, limits)(run.out)
        run.rows = pq.read_table(run.out / "facts.parquet").to_pylist()
    return run


def fetch_part(
    folder: Path, urls: list[str], hosts: Mapping[str, HostLimits], limits: Limits
) -> FetchPart:
    """Returns a fetch of images."""
    fetch_list = write_fetch_list(folder / "fetch-list.parquet", [{"url": url} for url in urls])
    return FetchPart(
        fetch_list=str(fetch_list), politeness=politeness(hosts, limits), image=ANY_IMAGE
    )


def crawl_part(
    folder: Path, urls: list[str], hosts: Mapping[str, HostLimits], limits: Limits
) -> CrawlPart:
    """Returns a crawl of one fetch list, whose links stay on these hosts."""
    write_frontier(
        folder / "fetch-list.parquet", [(url, page_key(url), host_of(url), 0, 0) for url in urls]
    )
    (folder / "states.json").write_text("{}")
    return CrawlPart(
        fetch_list=str(folder / "fetch-list.parquet"),
        earlier_states=str(folder / "states.json"),
        scope=Scope(hosts=tuple(hosts)),
        politeness=politeness(hosts, limits),
    )


def politeness(hosts: Mapping[str, HostLimits], limits: Limits) -> Politeness:
    """Returns a politeness that permits only these hosts."""
    return Politeness(contact="a@b.cn", allow=tuple(hosts), hosts=dict(hosts), limits=limits)
