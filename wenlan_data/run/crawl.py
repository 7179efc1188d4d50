"""Crawls the pages that sources name: round after round, each part once; what a round recorded goes into the corpus."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.frontier import FrontierPart, Row
from wenlan_data.crawl.step import TABLE, WARC, CrawlPart
from wenlan_data.protocols import Receipt, SourcePart
from wenlan_data.run.contact import check_contact
from wenlan_data.run.executors.lazy import DeferredExecutor
from wenlan_data.run.executors.local import run_part
from wenlan_data.run.failure_budget import Health
from wenlan_data.run.generations import Entry, describe_source
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.progress import Reporter
from wenlan_data.run.scheduler import Job, Jobs
from wenlan_data.source_config import Sources, SourceSpec
from wenlan_data.sources.pages import Pages
from wenlan_data.web.tracking_params import page_key
from wenlan_data.web.urls import host_of

ROWS_A_PAGE = 20
"""Pictures that a page counts for when a generation is cut; our own guess."""


@dataclass(frozen=True, slots=True)
class Crawler:
    """Crawls one source after the other, on the executor and in the ledger of the build."""

    executor: DeferredExecutor
    ledger: Ledger
    report: Reporter
    sources: Sources | None
    seconds: dict[str, float]
    retry: bool = False
    """Ask once more, at the end, for pages that failed in a way that may pass."""

    def entries(self, spec: SourceSpec) -> Iterator[Entry] | None:
        """The slices of a `pages` source, in order, as they are crawled; None for any other kind."""
        source = spec.load()
        if not isinstance(source, Pages) or self.sources is None:
            return None
        return _Crawl(self, spec, source, self.sources).entries()


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
    """Pages that failed in a way that may pass and were not asked again."""
    retried: bool = False
    rounds: list[tuple[Path, tuple[Path, ...]]] = field(default_factory=list)
    """Of each round the folder of its frontier and those of its crawl parts."""

    @property
    def name(self) -> str:
        """By it a later build knows the crawl again."""
        words = json.dumps(self.source.identity(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    @property
    def ledger(self) -> Ledger:
        """Its rounds."""
        return self.crawler.ledger.crawl(self.name)

    def entries(self) -> Iterator[Entry]:
        """Round after round until nothing is left to ask."""
        while (cut := self._frontier()) is not None:
            yield from self._round(cut)
            self.number += 1
        if self.failed > 0:
            self.crawler.report.say(
                f"{self.source.name}: {self.failed} pages failed in a way that may pass: --retry-failed asks them again"
            )

    def _frontier(self) -> Receipt | None:
        """The round's slices; None where the crawl is over. An empty round leaves no trace: the limits may change."""
        receipt = self.ledger.receipt(self.number, "frontier", 0) or self._cut(retry=False)
        if not receipt.details["slices"] and self.crawler.retry and not self.retried:
            self.retried = True
            receipt = self._cut(retry=True)
        return receipt if receipt.details["slices"] else None

    def _cut(self, *, retry: bool) -> Receipt:
        before, crawled = self.rounds[-1] if self.rounds else ("", ())
        part = FrontierPart(
            seeds=() if self.rounds else _rows(self.source.crawl_seeds()),
            before=str(before),
            crawled=tuple(map(str, crawled)),
            asked=tuple(str(frontier / "asked.npy") for frontier, _ in self.rounds),
            recorded=self.recorded,
            elsewhere=self._elsewhere(),
            retry=tuple(str(one / TABLE) for _, parts in self.rounds for one in parts)
            if retry
            else (),
            opened=self.sources.network.allow if retry else (),
            limits=self._limits(),
            hosts=dict(self.sources.hosts),
        )
        # In this process: a build with nothing new need not start an executor to learn that.
        attempt = self.ledger.attempt()
        receipt = run_part(part, attempt)
        if receipt.details["slices"]:
            self.ledger.commit(attempt, receipt, self.number, "frontier", 0)
        else:
            shutil.rmtree(attempt)
        return receipt

    def _elsewhere(self) -> tuple[str, ...]:
        """The pages of the corpus's other crawls: of other seeds, or with other limits."""
        found = sorted(self.ledger.work.glob(f"crawls/*/*/crawl/*/{TABLE}"))
        return tuple(str(path) for path in found if path.parents[3].name != self.name)

    def _limits(self) -> CrawlLimits:
        limits = self.sources.limits
        return replace(
            self.source.crawl_limits(),
            max_pages_a_domain=limits.max_pages_a_domain,
            max_pages_a_shape=limits.max_pages_a_shape,
        )

    def _round(self, cut: Receipt) -> Iterator[Entry]:
        frontier = self.ledger.part(self.number, "frontier", 0)
        slices = cast("list[dict[str, object]]", cut.details["slices"])
        check_contact(self.sources, frontier, cut)
        jobs = [
            Job(number=number, make=self._make(frontier, one), chain=str(one["chain"]))
            for number, one in enumerate(slices)
        ]
        receipts = self._step("crawl", jobs)
        folders = tuple(self.ledger.part(self.number, "crawl", number) for number in receipts)
        self.rounds.append((frontier, folders))
        self.recorded += sum(receipt.rows_out for receipt in receipts.values())
        failed = sum(
            cast("int", receipt.details["retryable_failed"]) for receipt in receipts.values()
        )
        self.failed += failed - cast("int", cut.details.get("again", 0))
        for folder, receipt in zip(folders, receipts.values(), strict=True):
            yield self._entry(folder / WARC, receipt)

    def _entry(self, warc: Path, receipt: Receipt) -> Entry:
        """A slice as an input of a generation. Known by its place: a committed part never changes."""
        pages = {"read": receipt.rows_out, **receipt.drops}
        return Entry(
            spec=describe_source(self.spec),
            part=SourcePart(
                source=0, path=str(warc), bytes=warc.stat().st_size if warc.exists() else 0
            ),
            stamp=f"crawl|{self.name}|{warc.parent.parent.parent.name}|{warc.parent.name}",
            rows=ROWS_A_PAGE * receipt.rows_out,
            failed_pages=cast("int", receipt.details["retryable_failed"]),
            pages={reason: count for reason, count in pages.items() if count},
        )

    def _make(
        self, frontier: Path, one: Mapping[str, object]
    ) -> Callable[[Receipt | None], CrawlPart]:
        def make(before: Receipt | None) -> CrawlPart:
            states = before.details.get("hosts", {}) if before else {}
            return CrawlPart(
                wanted=str(frontier / str(one["name"])),
                states=str(frontier / str(one["states"])),
                recorded=str(frontier / str(one["recorded"])),
                scope=self.source.scope(),
                sitemaps=self.source.sitemaps,
                contact=self.sources.contact,
                allow=self.sources.network.allow,
                hosts=dict(self.sources.hosts),
                host_states=states if isinstance(states, dict) else {},
                limits=self.sources.limits,
                exclude=self.sources.exclude,
            )

        return make

    def _step(self, step: str, jobs: list[Job]) -> Mapping[int, Receipt]:
        executor, report = self.crawler.executor, self.crawler.report
        started = executor.clock()
        report.begin(f"round {self.number}", step, len(jobs))
        health = Health(report.say)

        def committed(number: int, receipt: Receipt) -> None:
            report.part(number, receipt)
            health.note(receipt)

        receipts = Jobs(executor, self.ledger, self.number, step).run(
            jobs, committed, report.part_before
        )
        report.end()
        health.end()
        seconds = self.crawler.seconds
        seconds["crawl"] = seconds.get("crawl", 0.0) + executor.clock() - started
        return receipts


def _rows(seeds: tuple[str, ...]) -> tuple[Row, ...]:
    return tuple((seed, page_key(seed), host_of(seed), 0, 0) for seed in seeds)
