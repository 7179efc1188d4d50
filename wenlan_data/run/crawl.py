"""Crawls the pages that sources name, in rounds; crawled parts become the input of generations."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from pathlib import Path

from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.frontier import FrontierPart, FrontierRow
from wenlan_data.crawl.receipts import CrawlDetails, FrontierDetails, FrontierList
from wenlan_data.crawl.step import CrawlPart
from wenlan_data.errors import DamageError
from wenlan_data.layout import PAGE_TABLE, PAGE_WARC, REQUESTED_URLS, generation_name, part_name
from wenlan_data.part_files import part_path, redo_part
from wenlan_data.protocols import Receipt, SourcePart
from wenlan_data.run.contact import check_contact
from wenlan_data.run.executors.lazy import LazyExecutor
from wenlan_data.run.executors.local import run_part
from wenlan_data.run.failure_budget import HostMonitor
from wenlan_data.run.generations import (
    CRAWL_STAMP,
    GenerationPlan,
    PlannedPart,
    describe_source,
)
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.progress import Reporter
from wenlan_data.run.scheduler import Job, Scheduler, tasks_at_once
from wenlan_data.source_config import Sources, SourceSpec
from wenlan_data.sources.pages import Pages
from wenlan_data.web.tracking_params import page_key
from wenlan_data.web.urls import host_of

ROWS_A_PAGE = 20
"""Images that a page counts for when generations are cut; our own estimate."""


@dataclass(frozen=True, slots=True)
class Crawler:
    """Crawls one source after the other, on the executor and in the ledger of the build."""

    executor: LazyExecutor
    ledger: Ledger
    reporter: Reporter
    sources: Sources | None
    seconds: dict[str, float]
    """Step to wall time; the crawl adds its own."""
    retry: bool = False
    """Retries transient page failures once after the last round."""

    def planned_parts(self, spec: SourceSpec) -> Iterator[PlannedPart] | None:
        """Yields the crawled parts of a `pages` source, in order, while the crawl runs; None for
        other kinds."""
        source = spec.load()
        if not isinstance(source, Pages) or self.sources is None:
            return None
        return _Crawl(self, spec, source, self.sources).planned_parts()


@dataclass(slots=True)
class _Crawl:
    """One crawl. Everything that must outlive it is in its rounds."""

    crawler: Crawler
    spec: SourceSpec
    source: Pages
    sources: Sources
    number: int = 0
    recorded: int = 0
    failed: int = 0
    """Pages that failed transiently and were not requested again."""
    retried: bool = False
    planned: set[str] | None = None
    """`part_path` of the crawl parts that generations were planned with, once it is needed."""
    rounds: list[tuple[Path, tuple[Path, ...]]] = field(default_factory=list)
    """For each round: the folder of its frontier, and the folders of its crawl parts."""

    @property
    def name(self) -> str:
        """Folder name of the crawl: a digest of its settings, so a later build finds it again."""
        # Without the limits: a crawl with a larger `max_pages` or `max_depth` must find its rounds
        # and resume them.
        words = json.dumps(self.source.identity(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    @property
    def ledger(self) -> Ledger:
        """Ledger of its rounds."""
        return self.crawler.ledger.crawl(self.name)

    def planned_parts(self) -> Iterator[PlannedPart]:
        """Runs round after round until no URL is left."""
        while (frontier := self._frontier()) is not None:
            yield from self._round(frontier)
            self.number += 1
        if self.failed > 0:
            self.crawler.reporter.log(
                f"{self.source.name}: {self.failed} pages failed transiently: "
                "--retry-failed requests them again"
            )

    def _frontier(self) -> Receipt[FrontierDetails] | None:
        """Returns the round's fetch lists; None where the crawl is over.

        An empty round is not committed: with other limits it may not be empty.
        """
        receipt = self.ledger.receipt(self.number, "frontier", 0, FrontierDetails)
        if receipt is None:
            self.ledger.check_order(self.number, "frontier", 0)
            receipt = self._cut(retry=False)
        if not receipt.details.fetch_lists and self.crawler.retry and not self.retried:
            self.retried = True
            receipt = self._cut(retry=True)
        return receipt if receipt.details.fetch_lists else None

    def _cut(self, *, retry: bool) -> Receipt[FrontierDetails]:
        before, crawled = self.rounds[-1] if self.rounds else ("", ())
        part = FrontierPart(
            # Later rounds start from links and waiting rows alone; the seeds were requested.
            seeds=() if self.rounds else _rows(self.source.crawl_seeds()),
            before=str(before),
            crawled=tuple(map(str, crawled)),
            requested=tuple(str(frontier / REQUESTED_URLS) for frontier, _ in self.rounds),
            recorded=self.recorded,
            elsewhere=self._other_crawls(),
            retry=tuple(str(one / PAGE_TABLE) for _, parts in self.rounds for one in parts)
            if retry
            else (),
            # Hosts blocked by the address policy are no transient failures: only a retry may
            # request their pages again.
            opened=self.sources.network.allow if retry else (),
            limits=self._limits(),
            hosts=dict(self.sources.hosts),
            work=str(self.ledger.folder.root),
        )
        # In this process: a build with nothing new must not start Ray to learn that.
        attempt = self.ledger.attempt()
        receipt = run_part(part, attempt)
        if receipt.details.fetch_lists:
            self.ledger.commit(attempt, receipt, self.number, "frontier", 0)
        else:
            shutil.rmtree(attempt)
        return receipt

    def _other_crawls(self) -> tuple[str, ...]:
        """Returns the page tables of the corpus's other crawls: of other seeds, or with other
        limits."""
        found = self.ledger.folder.crawled_pages()
        return tuple(str(path) for name, path in found if name != self.name)

    def _limits(self) -> CrawlLimits:
        limits = self.sources.limits
        return replace(
            self.source.crawl_limits(),
            max_pages_a_domain=limits.max_pages_a_domain,
            max_pages_a_shape=limits.max_pages_a_shape,
            max_listings_a_site=limits.max_listings_a_site,
        )

    def _round(self, cut: Receipt[FrontierDetails]) -> Iterator[PlannedPart]:
        frontier = self.ledger.part(self.number, "frontier", 0)
        lists = cut.details.fetch_lists
        # In each round: links lead to hosts that no seed names.
        check_contact(self.sources, (frontier / one.name for one in lists))
        chains = tuple(one.chain for one in lists)
        jobs = [
            Job(number=number, make=self._make(frontier, one, chains), chain=one.chain)
            for number, one in enumerate(lists)
        ]
        self._check_unplanned(len(jobs))
        receipts = self._run(jobs)
        folders = tuple(self.ledger.part(self.number, "crawl", number) for number in receipts)
        self.rounds.append((frontier, folders))
        self.recorded += sum(receipt.rows_out for receipt in receipts.values())
        failed = sum(receipt.details.retryable_failed for receipt in receipts.values())
        # Pages that this round requested again were counted when they failed first.
        self.failed += failed - cut.details.again
        # In part order and after the whole round, so that generations do not depend on which worker
        # was first.
        for number, receipt in receipts.items():
            yield self._planned_part(number, receipt)

    def _check_unplanned(self, parts: int) -> None:
        """Raises `DamageError` where a part of the round is lost that a generation was planned
        with: pages that were requested again would not be those that it read."""
        if self.planned is None:
            self.planned = _planned_folders(self.crawler.ledger)
        for number in range(parts):
            folder = self.ledger.part(self.number, "crawl", number)
            if part_path(folder) in self.planned and not folder.exists():
                raise DamageError(
                    f"{folder}: this part of a crawl is missing, and a generation was planned with "
                    f"it: {redo_part(folder)}"
                )

    def _planned_part(self, number: int, receipt: Receipt[CrawlDetails]) -> PlannedPart:
        """Returns a crawled part as input of a generation.

        Its stamp is its position in the crawl: a committed part never changes.
        """
        warc = self.ledger.part(self.number, "crawl", number) / PAGE_WARC
        # Kept in the plan: a resumed build counts the pages in the funnel without running the
        # crawl.
        pages = {"read": receipt.rows_out, **receipt.drops}
        return PlannedPart(
            spec=describe_source(self.spec),
            part=SourcePart(
                source=0, path=str(warc), bytes=warc.stat().st_size if warc.exists() else 0
            ),
            stamp=f"{CRAWL_STAMP}{self.name}|{generation_name(self.number)}|{part_name(number)}",
            rows=ROWS_A_PAGE * receipt.rows_out,
            failed_pages=receipt.details.retryable_failed,
            pages={reason: count for reason, count in pages.items() if count},
        )

    def _make(
        self, frontier: Path, one: FrontierList, chains: Sequence[str]
    ) -> Callable[[Receipt[CrawlDetails] | None], CrawlPart]:
        def make(before: Receipt[CrawlDetails] | None) -> CrawlPart:
            # Only now: a round that has all its parts starts no executor.
            workers = tasks_at_once(self.crawler.executor.most_at_once(), chains)
            return CrawlPart(
                fetch_list=str(frontier / one.name),
                earlier_states=str(frontier / one.states),
                recorded=str(frontier / one.recorded),
                scope=self.source.scope(),
                sitemaps=self.source.sitemaps,
                politeness=replace(self.sources.politeness, workers=workers),
                own_hosts=one.own_hosts,
                # The first list of a chain gets the states of earlier rounds from `earlier_states`.
                host_states=before.details.hosts if before else {},
                work=str(self.ledger.folder.root),
            )

        return make

    def _run(self, jobs: list[Job[CrawlDetails]]) -> Mapping[int, Receipt[CrawlDetails]]:
        executor, reporter = self.crawler.executor, self.crawler.reporter
        started = executor.clock()
        reporter.begin(f"round {self.number} of {self.source.name}", "crawl", len(jobs))
        monitor = HostMonitor(reporter.log)

        def committed(number: int, receipt: Receipt[CrawlDetails]) -> None:
            reporter.part(number, receipt)
            monitor.add(receipt.details.hosts)

        scheduler = Scheduler(executor, self.ledger, self.number, "crawl", CrawlDetails)
        receipts = scheduler.run(jobs, committed, reporter.part_restored)
        reporter.end()
        monitor.end()
        seconds = self.crawler.seconds
        seconds["crawl"] = seconds.get("crawl", 0.0) + executor.clock() - started
        return receipts


def _planned_folders(ledger: Ledger) -> set[str]:
    plans = (GenerationPlan.load(ledger.tree, number) for number in count())
    started = takewhile(lambda plan: plan is not None, plans)
    entries = (entry for plan in started if plan for entry in plan.entries)
    return {part_path(Path(one.part.path).parent) for one in entries}


def _rows(seeds: tuple[str, ...]) -> tuple[FrontierRow, ...]:
    return tuple((seed, page_key(seed), host_of(seed), 0, 0) for seed in seeds)
