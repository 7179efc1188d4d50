"""Crawls one slice of pages: asks in each host's turn, records pages as WARC, finds where the crawl may go next."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.crawl.frontier import Row, read_frontier, write_frontier
from wenlan_data.crawl.receipts import CrawlDetails
from wenlan_data.crawl.scope import Scope
from wenlan_data.errors import os_errors
from wenlan_data.extract.links import is_sitemap_or_feed, sitemap_or_feed_links
from wenlan_data.extract.pages import is_html
from wenlan_data.fetch.recorder import to_milliseconds
from wenlan_data.fetch.results import EPOCH, Wanted
from wenlan_data.fetch.step import Fetcher, FetchPart
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import Receipt
from wenlan_data.records import Drop
from wenlan_data.sandbox.pages import read_links
from wenlan_data.tables import PAGES
from wenlan_data.web.blocklists import NO_LISTS, Exclusions, Lists
from wenlan_data.web.limits import DEFAULTS, HostLimits, Limits
from wenlan_data.web.response import REDIRECTS, Response, failure_of, redirect_target
from wenlan_data.web.tracking_params import page_key, page_url
from wenlan_data.web.urls import host_of
from wenlan_data.web.warc import PayloadWriter, record_at

MAX_KNOWN_LINKS = 100_000
"""Remembered with their verdicts: the pages of a site link the same places."""
WARC, TABLE, LINKS, STATES = "pages.warc", "pages.parquet", "links.parquet", "hosts.json"

LISTING = Drop("listing")
"""A sitemap or feed: read for its links, no page."""
NOT_HTML = Drop("not_html")


@dataclass(slots=True)
class _Answer:
    """What became of one URL."""

    drop: Drop | None
    status: int = 0
    bytes: int = 0
    offset: int = -1
    ip: str = ""
    at: datetime = EPOCH
    target: str = ""
    """Where a redirect leads."""
    links: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlPart:
    """The work of one slice of a round.

    Writes `pages.warc`, `pages.parquet` (`tables.PAGES`), `links.parquet` (`tables.FRONTIER`: links in scope) and
    `hosts.json` (each host's state). Its receipt counts recorded pages as `rows_out`; details: `hosts` (for the next
    slice of the chain), `asked`, `retryable_failed`, `requests`, `left_links` (reason to count).
    """

    wanted: str
    """Path of a slice of the frontier."""
    states: str
    """Path of what is known of its hosts."""
    scope: Scope
    recorded: str = ""
    """Path of where pages lie that another crawl has recorded; they are copied, not asked for."""
    sitemaps: bool = True
    contact: str = ""
    allow: tuple[str, ...] = ()
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    host_states: dict[str, dict[str, object]] = field(default_factory=dict)
    """`hosts` of the receipt of the chain's slice before."""
    limits: Limits = DEFAULTS
    exclude: Lists = NO_LISTS

    def __call__(self, out: Path) -> Receipt[CrawlDetails]:
        """Ask, record, follow. Raises `DiskError` when the disk is full."""
        rows = read_frontier(self.wanted)
        answers: list[_Answer | None] = [None] * len(rows)
        with PayloadWriter(out / WARC) as warc:
            self._copy(rows, answers, warc)
            fetcher = self._fetcher(rows, answers, warc)
            details = fetcher.run()
            bytes_out = warc.size_bytes
        done = [answer or _Answer(Drop("not_asked", retryable=True)) for answer in answers]
        follow = _Follow(replace(self.scope, limits=self.limits), self.exclude.load())
        for row, answer in zip(rows, done, strict=True):
            answer.links = follow.add(row, answer, out / WARC)
        if self.sitemaps:
            follow.add_sitemaps(
                text for rules in fetcher.rules().values() for text in _sitemaps(rules.text)
            )
        with os_errors(out):
            write_frontier(out / LINKS, follow.rows)
            _write_pages(out / TABLE, rows, done)
            (out / STATES).write_text(json.dumps(details["hosts"]), "utf-8")
        return self._receipt(
            done, bytes_out, {**details, "left_links": dict(sorted(follow.left.items()))}
        )

    def _fetcher(
        self, rows: Sequence[Row], answers: list[_Answer | None], warc: PayloadWriter
    ) -> Fetcher:
        with os_errors(self.states):
            states = json.loads(Path(self.states).read_text("utf-8"))
        asking = FetchPart(
            wanted=self.wanted,
            contact=self.contact,
            allow=self.allow,
            hosts=self.hosts,
            image=ImageRules(),
            host_states={**states, **self.host_states},
            limits=self.limits,
            exclude=self.exclude,
        )
        wanted = [
            Wanted(n, row[0], row[1], row[2], "web", "", 0)
            for n, row in enumerate(rows)
            if not answers[n]
        ]

        exclusions = self.exclude.load()

        def take(index: int, answer: Response | Drop) -> None:
            answers[wanted[index].ordinal] = _recorded(answer, warc, datetime.now(UTC), exclusions)

        return Fetcher(asking, wanted, [None] * len(wanted), take)

    def _copy(
        self, rows: Sequence[Row], answers: list[_Answer | None], warc: PayloadWriter
    ) -> None:
        at_hand = json.loads(Path(self.recorded).read_text("utf-8")) if self.recorded else {}
        for index, row in enumerate(rows):
            if row[1] in at_hand:
                path, offset = at_hand[row[1]]
                record = record_at(Path(path), offset)
                reply = Response(
                    status=record.status,
                    reason="OK",
                    headers=record.headers,
                    body=record.payload,
                    final_url=record.url,
                    ip=record.ip,
                )
                answers[index] = _recorded(reply, warc, record.date, self.exclude.load())

    def _receipt(
        self, answers: Sequence[_Answer], bytes_out: int, details: dict[str, object]
    ) -> Receipt[CrawlDetails]:
        drops = [answer.drop for answer in answers if answer.drop]
        details["retryable_failed"] = sum(1 for drop in drops if drop.retryable)
        return Receipt(
            rows_in=len(answers),
            rows_out=len(answers) - len(drops),
            bytes_out=bytes_out,
            drops=dict(sorted(Counter(drop.reason for drop in drops).items())),
            details=CrawlDetails(**details),  # type: ignore[arg-type]
        )


def _recorded(
    answer: Response | Drop, warc: PayloadWriter, at: datetime, exclusions: Exclusions
) -> _Answer:
    if isinstance(answer, Drop):
        return _Answer(answer)
    seen = _Answer(None, answer.status, len(answer.body), -1, answer.ip, to_milliseconds(at))
    if answer.status in REDIRECTS:
        target = redirect_target(answer)
        seen.drop = target if isinstance(target, Drop) else Drop("redirect", target[:200])
        seen.target = target if isinstance(target, str) else ""
        return seen
    if drop := failure_of(answer.status):
        seen.drop = drop
        return seen
    listing = is_sitemap_or_feed(answer.body)
    if not listing and not is_html(answer.body, answer.header("content-type")):
        seen.drop = NOT_HTML
        return seen
    sha256 = hashlib.sha256(answer.body).hexdigest()
    if drop := exclusions.refuses_bytes(sha256, None):
        seen.drop = drop
        return seen
    seen.drop = LISTING if listing else None
    seen.offset = warc.size_bytes
    warc.response(
        answer.final_url,
        answer.body,
        status=f"{answer.status} {answer.reason}",
        headers=answer.headers,
        sha256=sha256,
        ip=answer.ip,
        date=at,
    )
    return seen


class _Follow:
    """The links of a slice that are in scope, each page once."""

    def __init__(self, scope: Scope, exclusions: Exclusions) -> None:
        self._exclusions = exclusions
        self._limits = scope.limits
        self.rows: list[Row] = []
        self.left: Counter[str] = Counter()
        self._scope = scope
        self._known: dict[str, tuple[str, str, str, str]] = {}
        self._seen: set[str] = set()

    def add(self, row: Row, answer: _Answer, warc: Path) -> int:
        """The links of one answer; how many the crawl may follow."""
        depth, redirects = row[3], row[4]
        if answer.target:
            if redirects >= self._limits.max_redirects:
                answer.drop = Drop("redirect_limit", f"more than {self._limits.max_redirects}")
                return 0
            return self._add(answer.target, depth, redirects + 1)
        if answer.offset < 0:
            return 0
        record = record_at(warc, answer.offset)
        if answer.drop == LISTING:
            links = sitemap_or_feed_links(record.payload, record.url)
            return sum(
                self._add(url, depth if _is_sitemap(url) else depth + 1, 0) for url in links.urls
            )
        found = read_links(
            record.payload,
            content_type=record.content_type,
            url=record.url,
            max_links=self._limits.max_links_a_page,
        )
        if isinstance(found, Drop) or found.soft:
            answer.drop = found if isinstance(found, Drop) else Drop(found.soft)
            return 0
        links = found.links
        self.left["page_limit_or_nofollow"] += links.omitted
        return sum(self._add(url, depth + 1, 0) for url in links.urls)

    def add_sitemaps(self, urls: Iterator[str]) -> None:
        """Sitemaps that robots.txt names: as deep as the seeds."""
        for url in urls:
            self._add(url, 0, 0)

    def _add(self, found: str, depth: int, redirects: int) -> int:
        known = self._known.get(found)
        if known is None:
            if len(self._known) > MAX_KNOWN_LINKS:
                self._known.clear()
            url = page_url(found)
            host = host_of(url)
            known = self._known[found] = (url, page_key(url), host, self._refuses(url, host))
        url, key, host, refusal = known
        if refusal:
            self.left[refusal] += 1
            return 0
        # Pages of one slice may differ in depth: the frontier takes the nearest.
        if (mark := f"{depth} {redirects} {key}") not in self._seen:
            self._seen.add(mark)
            self.rows.append((url, key, host, depth, redirects))
        return 1

    def _refuses(self, url: str, host: str) -> str:
        drop = self._exclusions.refuses_url(url)
        return drop.reason if drop else self._scope.refuses(url, host)


def _is_sitemap(url: str) -> bool:
    path = url.partition("?")[0].lower()
    return path.endswith((".xml", ".xml.gz"))


def _sitemaps(robots: str) -> list[str]:
    lines = (line.partition(":") for line in robots.splitlines() if line[:8].lower() == "sitemap:")
    return [url.strip() for _, _, url in lines]


def _write_pages(path: Path, rows: Sequence[Row], answers: Sequence[_Answer]) -> None:
    written = []
    for (url, key, host, depth, _), one in zip(rows, answers, strict=True):
        drop = one.drop or Drop("")
        judged = (drop.reason, drop.detail, drop.retryable)
        written.append(
            (
                url,
                key,
                host,
                depth,
                *judged,
                one.status,
                one.bytes,
                one.offset,
                one.ip,
                one.at,
                one.links,
            )
        )
    columns = list(zip(*written, strict=True)) if written else [()] * len(PAGES)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, PAGES, strict=True)]
    pq.write_table(pa.table(arrays, schema=PAGES), path, compression="zstd")
