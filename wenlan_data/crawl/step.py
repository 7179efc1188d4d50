"""Crawls one fetch list of pages: requests them politely, records them as WARC, collects the links
to follow."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from wenlan_data.arrow import table_of_rows
from wenlan_data.crawl.frontier import (
    FrontierRow,
    load_host_states,
    read_frontier,
    write_frontier,
)
from wenlan_data.crawl.receipts import CrawlDetails
from wenlan_data.crawl.scope import Scope, is_sitemap
from wenlan_data.errors import os_errors
from wenlan_data.extract.links import is_sitemap_or_feed
from wenlan_data.extract.pages import is_html
from wenlan_data.fetch.recorder import to_milliseconds
from wenlan_data.fetch.results import EPOCH
from wenlan_data.layout import HOST_STATES, PAGE_LINKS, PAGE_TABLE, PAGE_WARC, WorkFolder
from wenlan_data.part_files import checked, load_part_state
from wenlan_data.protocols import Receipt
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.sandbox.client import cpu_time_s
from wenlan_data.sandbox.decoding_budget import DecodingBudget
from wenlan_data.sandbox.pages import read_links, read_listing
from wenlan_data.tables import PAGES
from wenlan_data.web.blocklists import LoadedBlocklists
from wenlan_data.web.limits import Limits
from wenlan_data.web.opt_out import OPT_OUT_HEADER, header_signals, opt_out
from wenlan_data.web.polite_client import PoliteClient
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import (
    REDIRECTS,
    Response,
    failure_of,
    recorded_response,
    redirect_target,
)
from wenlan_data.web.tracking_params import page_key, page_url
from wenlan_data.web.urls import host_of
from wenlan_data.web.warc import PayloadWriter, record_at

MAX_KNOWN_LINKS = 100_000
"""Links that are remembered with the decision about them: the pages of a site link the same
places."""

LISTING = Drop(Reason.LISTING)
"""A sitemap or feed: read for its links, no page."""
NOT_HTML = Drop(Reason.NOT_HTML)
_NAMED_SITEMAPS = "named_sitemaps"
"""Of a host's state: whether the sitemaps of its robots.txt were taken."""


@dataclass(slots=True)
class _PageResult:
    """Outcome of one URL: a row of `pages.parquet` without the columns of the frontier."""

    drop: Drop | None
    status: int = 0
    bytes: int = 0
    offset: int = -1
    """Of its record in `pages.warc`; -1 where nothing was recorded."""
    ip: str = ""
    fetched_at: datetime = EPOCH
    target: str = ""
    """Where a redirect leads."""
    links: int = 0
    """Links in scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlPart:
    """Crawls one fetch list of a round.

    Writes `pages.warc`, `pages.parquet` (`tables.PAGES`), `links.parquet` (`tables.FRONTIER`: links
    in scope) and `hosts.json` (each host's state). Its receipt counts recorded pages as `rows_out`;
    details: `hosts` (for the next fetch list of the chain), `requested`, `retryable_failed`,
    `requests`, `left_links` (reason to count).
    """

    fetch_list: str
    """Path of rows of the frontier, see `tables.FRONTIER`."""
    earlier_states: str
    """Path of the states (JSON) that earlier rounds left of its hosts."""
    scope: Scope
    recorded: str = ""
    """Path of the places (JSON) of pages that another crawl has recorded; they are copied, not
    requested."""
    sitemaps: bool = True
    politeness: Politeness = field(default_factory=Politeness)
    host_states: dict[str, dict[str, object]] = field(default_factory=dict)
    """`hosts` of the receipt of the chain's earlier fetch list."""
    own_hosts: tuple[str, ...] = ()
    """Hosts without a page that it may talk to as well."""
    work: str = ""
    """Path of the work folder, in which the other crawls lie."""

    def __call__(self, out: Path) -> Receipt[CrawlDetails]:
        """Fetches, records and collects links. Raises `DiskError` when the disk is full."""
        rows = read_frontier(self.fetch_list)
        blocklists = self.politeness.blocklists.load()
        earlier_states = load_host_states(Path(self.earlier_states))
        client = PoliteClient(
            self.politeness,
            {**earlier_states, **self.host_states},
            body=self.politeness.limits.page,
            # A redirect is a row of its own: its target may be a page that another link has found
            # already.
            follow_redirects=False,
            # The pages that a reserved page links may be free: it is read, and its images are left
            # out.
            drop_opted_out=False,
            own_hosts=self.own_hosts,
        )
        with PayloadWriter(out / PAGE_WARC) as warc:
            recorder = _PageRecorder(warc, blocklists)
            results = self._copy(rows, recorder)
            missing = [index for index in range(len(rows)) if index not in results]
            fetched = _fetch_pages(client, [rows[index][0] for index in missing], recorder)
            results |= dict(zip(missing, fetched, strict=True))
            bytes_out = warc.size_bytes
        host_states = client.host_states()
        pages = [results[index] for index in range(len(rows))]
        known_states = {**earlier_states, **self.host_states}
        collector = _LinkCollector(
            self.scope,
            self.politeness.limits,
            blocklists,
            {host: state.get("listings", 0) for host, state in known_states.items()},
            DecodingBudget(self.politeness.limits.max_slow_decoding_s, known_states),
        )
        for row, page in zip(rows, pages, strict=True):
            page.links = collector.add(row, page, out / PAGE_WARC)

        def state_of(host: str) -> dict[str, object]:
            return host_states.setdefault(host, dict(known_states.get(host, {})))

        for host, count in collector.listings.items():
            if count:
                state_of(host)["listings"] = count
        for host, robots in client.robots().items() if self.sitemaps else ():
            # Once: a host may name others each time that it is asked.
            if not known_states.get(host, {}).get(_NAMED_SITEMAPS):
                collector.add_sitemaps(_sitemaps(robots.text))
            state_of(host)[_NAMED_SITEMAPS] = True
        collector.budget.add_to(host_states)
        with os_errors(out):
            write_frontier(out / PAGE_LINKS, collector.rows)
            _write_pages(out / PAGE_TABLE, rows, pages)
            (out / HOST_STATES).write_text(json.dumps(host_states), "utf-8")
        details = CrawlDetails(
            hosts=host_states,
            requested=len(missing),
            # A page that was not requested has not failed, nor one that was recorded.
            retryable_failed=sum(
                1
                for page in pages
                if page.drop
                and page.drop.retryable
                and page.drop.reason != Reason.OFFLINE
                and page.offset < 0
            ),
            requests=client.requests,
            left_links=dict(sorted(collector.left.items())),
        )
        return _receipt(pages, bytes_out, details)

    def _copy(
        self, rows: Sequence[FrontierRow], recorder: "_PageRecorder"
    ) -> dict[int, _PageResult]:
        """Records pages that lie in another crawl's WARC; by the index of their rows."""
        places = (
            load_part_state(Path(self.recorded), dict[str, tuple[str, int]])
            if self.recorded
            else {}
        )
        results = {}
        for index, row in enumerate(rows):
            # A page that was listed since then is left to the client, which drops it.
            if row[1] in places and not recorder.blocklists.refuses_url(row[0]):
                path, offset = places[row[1]]
                record = record_at(checked(WorkFolder(Path(self.work)).located(path)), offset)
                results[index] = recorder.record(recorded_response(record))
        return results


def _fetch_pages(
    client: PoliteClient, urls: Sequence[str], recorder: "_PageRecorder"
) -> list[_PageResult]:
    """Requests all URLs and records the responses in the order in which they arrive."""
    results: dict[int, _PageResult] = {}

    async def fetch() -> None:
        async with aclosing(client.fetch(urls)) as arrivals:
            async for index, response in arrivals:
                results[index] = (
                    _PageResult(response)
                    if isinstance(response, Drop)
                    else recorder.record(response)
                )

    if urls:
        asyncio.run(fetch())
    return [results[index] for index in range(len(urls))]


@dataclass(frozen=True, slots=True)
class _PageRecorder:
    """Writes responses that are pages, sitemaps or feeds to the part's WARC."""

    warc: PayloadWriter
    blocklists: LoadedBlocklists

    def record(self, response: Response) -> _PageResult:
        """Records a response, or states why it is no page."""
        body = response.body
        result = _PageResult(
            None,
            response.status,
            len(body),
            ip=response.ip,
            fetched_at=to_milliseconds(response.received_at),
        )
        if response.status in REDIRECTS:
            # A page that opts out has no content, so its redirect is not followed; what the host
            # states about it elsewhere is left to the target's own host.
            own = [one for one in response.headers if one[0] != OPT_OUT_HEADER]
            if drop := opt_out(header_signals(own)):
                result.drop = drop
                return result
            target = redirect_target(response)
            result.drop = (
                target if isinstance(target, Drop) else Drop(Reason.REDIRECT, target[:200])
            )
            result.target = target if isinstance(target, str) else ""
            return result
        if drop := failure_of(response.status):
            result.drop = drop
            return result
        listing = is_sitemap_or_feed(body)
        if not listing and not is_html(body, response.header("content-type")):
            result.drop = NOT_HTML
            return result
        sha256 = hashlib.sha256(body).hexdigest()
        if drop := self.blocklists.refuses_bytes(sha256, None):
            result.drop = drop
            return result
        result.drop = LISTING if listing else None
        result.offset = self.warc.size_bytes
        self.warc.response(
            response.final_url,
            body,
            status=f"{response.status} {response.reason}",
            headers=response.headers,
            sha256=sha256,
            ip=response.ip,
            date=response.received_at,
        )
        return result


def _receipt(
    pages: Sequence[_PageResult], bytes_out: int, details: CrawlDetails
) -> Receipt[CrawlDetails]:
    drops = Counter(page.drop.reason for page in pages if page.drop)
    return Receipt(
        rows_in=len(pages),
        rows_out=len(pages) - drops.total(),
        bytes_out=bytes_out,
        drops=dict(sorted(drops.items())),
        details=details,
    )


class _LinkCollector:
    """Collects the links of a fetch list that are in scope, each page once per depth and
    number of redirects."""

    def __init__(
        self,
        scope: Scope,
        limits: Limits,
        blocklists: LoadedBlocklists,
        listings: Mapping[str, int],
        budget: DecodingBudget,
    ) -> None:
        self.budget = budget
        self.listings = Counter(listings)
        """Host to the number of its sitemaps and feeds that were requested in the whole crawl."""
        self.rows: list[FrontierRow] = []
        self.left: Counter[str] = Counter()
        """Links that are not followed, by reason."""
        self._scope = scope
        self._limits = limits
        self._blocklists = blocklists
        self._known: dict[str, tuple[str, str, str, str]] = {}
        self._seen: set[str] = set()

    def add(self, row: FrontierRow, page: _PageResult, warc: Path) -> int:
        """Adds the links of one page.

        Returns how many of them are in scope; sets the drop of a page that is none.
        """
        depth, redirects = row[3], row[4]
        if page.drop != LISTING and is_sitemap(row[0]):
            # One that is missing counts too, or a host could name others for ever.
            self.listings[row[2]] += 1
        if page.target:
            if redirects >= self._limits.max_redirects:
                page.drop = Drop(Reason.REDIRECT_LIMIT, f"more than {self._limits.max_redirects}")
                return 0
            return self._add(page.target, depth, redirects + 1)
        if page.offset < 0:
            return 0
        if page.drop == LISTING:
            return self._add_listing(row, page, warc)
        return self._add_links(row, page, warc)

    def _add_listing(self, row: FrontierRow, page: _PageResult, warc: Path) -> int:
        """Adds the links of a sitemap or feed."""
        depth, redirects = row[3], row[4]
        self.listings[row[2]] += 1
        if self.listings[row[2]] > self._limits.max_listings_a_site:
            self.left["max_listings"] += 1
            return 0
        record = record_at(warc, page.offset)
        listing = read_listing(record.payload, url=record.url)
        if isinstance(listing, Drop):
            page.drop = listing
            return 0
        if listing.omitted:
            self.left["page_limit_or_nofollow"] += listing.omitted
        return sum(self._add_listed(url, depth, redirects) for url in listing.urls)

    def _add_links(self, row: FrontierRow, page: _PageResult, warc: Path) -> int:
        """Adds the links of a page."""
        if drop := self.budget.refuses(row[2]):
            page.drop = drop
            return 0
        record = record_at(warc, page.offset)
        before_s = cpu_time_s()
        found = read_links(
            record.payload,
            content_type=record.content_type,
            url=record.url,
            max_links=self._limits.max_links_a_page,
        )
        self.budget.add(row[2], cpu_time_s() - before_s)
        if isinstance(found, Drop) or found.soft:
            page.drop = found if isinstance(found, Drop) else Drop(found.soft)
            return 0
        links = found.links
        self.left["page_limit_or_nofollow"] += links.omitted
        return sum(self._add(url, row[3] + 1, 0) for url in links.urls)

    def _add_listed(self, url: str, depth: int, redirects: int) -> int:
        """Adds a link of a sitemap or feed. A sitemap that lists sitemaps counts like a redirect:
        it is no deeper, but a chain of them ends."""
        if not is_sitemap(url):
            return self._add(url, depth + 1, 0)
        if redirects >= self._limits.max_redirects:
            self.left["listing_chain"] += 1
            return 0
        return self._add(url, depth, redirects + 1)

    def add_sitemaps(self, urls: Sequence[str]) -> None:
        """Adds sitemaps that robots.txt names, at the depth of the seeds."""
        most = self._limits.max_listings_a_site
        if len(urls) > most:
            self.left["max_listings"] += len(urls) - most
        for url in urls[:most]:
            self._add(url, 0, 0)

    def _add(self, found: str, depth: int, redirects: int) -> int:
        known = self._known.get(found)
        if known is None:
            if len(self._known) > MAX_KNOWN_LINKS:
                self._known.clear()
            url = page_url(found)
            host = host_of(url)
            known = self._known[found] = (url, page_key(url), host, self._reason_to_skip(url, host))
        url, key, host, refusal = known
        if refusal:
            self.left[refusal] += 1
            return 0
        # Pages of one fetch list may differ in depth: the frontier keeps the smallest.
        if (mark := f"{depth} {redirects} {key}") not in self._seen:
            self._seen.add(mark)
            self.rows.append((url, key, host, depth, redirects))
        return 1

    def _reason_to_skip(self, url: str, host: str) -> str:
        drop = self._blocklists.refuses_url(url)
        return drop.reason if drop else self._scope.reason_to_skip(url, host, self._limits)


def _sitemaps(robots: str) -> list[str]:
    lines = (line.partition(":") for line in robots.splitlines() if line[:8].lower() == "sitemap:")
    return [url.strip() for _, _, url in lines]


def _write_pages(path: Path, rows: Sequence[FrontierRow], pages: Sequence[_PageResult]) -> None:
    written = []
    for (url, key, host, depth, _), page in zip(rows, pages, strict=True):
        drop = page.drop
        decision = (drop.reason, drop.detail, drop.retryable) if drop else ("", "", False)
        written.append(
            (
                url,
                key,
                host,
                depth,
                *decision,
                page.status,
                page.bytes,
                page.offset,
                page.ip,
                page.fetched_at,
                page.links,
            )
        )
    pq.write_table(table_of_rows(written, PAGES), path, compression="zstd")
