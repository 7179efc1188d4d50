"""Drives a build: generation after generation, step after step, each part once; only this process commits."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from wenlan_data.errors import FailureBudgetError, UsageError, os_errors
from wenlan_data.protocols import Receipt
from wenlan_data.report.write_all import descriptions_written
from wenlan_data.run import steps
from wenlan_data.run.contact import check_contact
from wenlan_data.run.crawl import Crawler
from wenlan_data.run.executors.lazy import executor_of
from wenlan_data.run.failure_budget import Failures, Health
from wenlan_data.run.gc import forget_encoded
from wenlan_data.run.generations import (
    GenerationPlan,
    listed_of,
    manners_of,
    new_plans,
    note_nothing_new,
    read_before,
)
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import Prepared, note_build
from wenlan_data.run.progress import Reporter, reporter
from wenlan_data.run.publish import Finished, empty_manifest, publish
from wenlan_data.run.retry import retry_plan
from wenlan_data.run.row_limit import RowLimit
from wenlan_data.run.scheduler import Job, Jobs
from wenlan_data.run.signals import interruptible
from wenlan_data.sandbox import client as sandbox
from wenlan_data.shard.manifest import MANIFEST, Manifest, load_manifest
from wenlan_data.source_config import Network, Sources
from wenlan_data.web.blocklists import Lists
from wenlan_data.web.limits import HostLimits, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What a build did; counts are those of this run, but for `samples` and `shards`, which are the corpus's."""

    out: str
    recipe_digest: str
    generations: tuple[int, ...]
    candidates: int
    known: int
    dropped: Mapping[str, Mapping[str, int]]
    new_samples: int
    samples: int
    shards: int
    pages: Mapping[str, int] = field(default_factory=dict)
    """Of crawled pages: `read`, or why a page was not, to count."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of the start of the executor and of each step."""


def build(prepared: Prepared) -> BuildResult:
    """Run the build to its end and publish everything that is finished.

    Raises the errors of `wenlan_data.errors`; the same call goes on where a stopped one was.
    """
    options = prepared.options
    with os_errors(options.out), interruptible(), Ledger(options.work_folder) as ledger:
        options.out.mkdir(parents=True, exist_ok=True)
        note_build(options, prepared.recipe)
        run = _Build(prepared, ledger)
        try:
            with descriptions_written(options.out, options.work_folder):
                run.all_generations()
                run.finish()
        finally:
            run.close()
        return run.result()


class _Build:
    """The state of one run of the driver. Everything that must outlive it is in the ledger or the manifest."""

    def __init__(self, prepared: Prepared, ledger: Ledger) -> None:
        self.prepared = prepared
        self.options: BuildOptions = prepared.options
        self.ledger = ledger
        self.report: Reporter = reporter()
        self.seconds: dict[str, float] = {}
        self.executor = executor_of(self.options)
        exists = (self.options.out / MANIFEST).is_file()
        self.manifest: Manifest = (
            load_manifest(self.options.out) if exists else empty_manifest(prepared.recipe)
        )
        self.before = self.manifest
        listed = listed_of(prepared.sources) if prepared.sources else ()
        self.limit = RowLimit(self.options.work_folder, self.options.limit, listed)
        self.failures = Failures()

    def finish(self) -> None:
        """Let the executor begin to stop, while the report is written."""
        self.executor.finish()

    def close(self) -> None:
        """Stop the executor and the bars."""
        self.report.end()
        self.report.close()
        self.executor.close()

    def all_generations(self) -> None:
        """Finish what was begun, then what failed before, then what is new."""
        # Of all: a build that was killed between the manifest and its end may have left some.
        forget_encoded(self.ledger, range(self.number))
        begun = self._begun()
        if begun:
            self._one(begun)
            if begun.cut_short:
                self.limit.end()
                return
        if self.options.retry_failed and not (begun and begun.kind == "retry"):
            sources = self.prepared.sources
            again = retry_plan(self.ledger, self.number, sources.network.allow if sources else ())
            if again:
                self._one(self._with_manners(again))
        for plan in self._new_plans():
            self._one(plan)
        self.limit.end()

    def _new_plans(self) -> Iterator[GenerationPlan]:
        retry = self.options.retry_failed
        crawler = Crawler(
            self.executor,
            self.ledger,
            self.report,
            self.prepared.sources,
            self.seconds,
            retry=retry,
        )
        left = self.limit.left_before(self.number)
        return new_plans(
            self.prepared, read_before(self.ledger, self.number), crawler.entries, left
        )

    @property
    def number(self) -> int:
        """The generation that comes next."""
        return len(self.manifest.generations)

    def _begun(self) -> GenerationPlan | None:
        """The plan of a generation that a stopped build left; given up where other sources come before any request."""
        folder = self.ledger.generation(self.number)
        begun = GenerationPlan.load(folder)
        if begun is None:
            if folder.exists():
                self.ledger.discard(folder)
            return None
        if begun.kind == "from" and self.prepared.old is None:
            raise UsageError(
                f"{self.options.out}: a rebuild is under way here: give the same --from again to end it"
            )
        asked = self.ledger.receipt(self.number, "slice", 0) is not None
        if begun.kind == "sources" and self.prepared.sources is not None and not asked:
            first = next(self._new_plans(), None)
            if not begun.same_input(first):
                self.ledger.discard(folder)
                return None
        return begun

    def _with_manners(self, plan: GenerationPlan) -> GenerationPlan:
        """A retry asks as its sources say or, where none are given, as the generation before did."""
        if self.prepared.sources is not None:
            return plan.planned_with(manners_of(self.prepared.sources), ())
        before = GenerationPlan.load(self.ledger.generation(self.number - 1))
        return plan.planned_with(before.manners if before else {}, ())

    def _one(self, plan: GenerationPlan) -> None:
        number = self.number
        folder = self.ledger.generation(number)
        if GenerationPlan.load(folder) is None:
            self.limit.note(number, plan.reckoned_rows())
            plan.save(folder)
        generation = steps.Generation(
            number=number,
            plan=plan,
            recipe=self.prepared.recipe,
            sources=self._sources(plan),
            ledger=self.ledger,
            first_shard=len(self.manifest.shards),
            old_parts=plan.old_parts,
        )
        self.failures.add_pages(plan)
        extracted = self._step("extract", generation, steps.extract_jobs(generation))
        if not any(receipt.rows_in for receipt in extracted.values()):
            self._keep_indexes(plan, extracted)
            self.limit.set_aside(number)
            note_nothing_new(self.ledger, plan)
            self.ledger.discard(folder)
        else:
            self._rest(generation, extracted)
        try:
            self.failures.check(self.options.max_failed_share)
        except FailureBudgetError:
            # Not stopped, but ended: the next build counts from the beginning.
            self.limit.end()
            raise

    def _rest(self, generation: steps.Generation, extracted: Mapping[int, Receipt]) -> None:
        parts = list(extracted)
        sliced = self._step(
            "slice", generation, steps.slice_jobs(generation, parts, self._image_indexes())
        )[0]
        if generation.plan.kind != "from":
            check_contact(generation.sources, self.ledger.part(self.number, "slice", 0), sliced)
        fetched = self._step("fetch", generation, steps.fetch_jobs(generation, sliced))
        self._step("against", generation, steps.against_jobs(generation))
        self._step("near", generation, steps.near_jobs(generation, fetched))
        deduped = self._step("dedupe", generation, steps.dedupe_jobs(generation, parts, fetched))[0]
        sandbox.start_worker()  # for the thumbnails of the report: it is ready when the shards are
        sharded = self._step(
            "shard", generation, steps.shard_jobs(generation, deduped, list(fetched))
        )
        dropped = self._step(
            "drops", generation, steps.drops_jobs(generation, parts, list(sharded))
        )[0]
        done = Finished(
            number=generation.number,
            extract=extracted,
            dedupe=deduped,
            shard=sharded,
            drops=dropped,
            pages=generation.plan.pages(),
        )
        self.manifest = publish(
            self.options.out, self.ledger, self.manifest, done, generation.plan.listed
        )
        forget_encoded(self.ledger, range(generation.number, self.number))
        self.failures.add_fetched(fetched.values())

    def _step(
        self, step: str, generation: steps.Generation, jobs: Sequence[Job]
    ) -> Mapping[int, Receipt]:
        started = self.executor.clock()
        self.report.begin(f"generation {generation.number}", step, len(jobs))
        health = Health(self.report.say)

        def committed(number: int, receipt: Receipt) -> None:
            self.report.part(number, receipt)
            health.note(receipt)

        running = Jobs(self.executor, self.ledger, generation.number, step)
        receipts = running.run(jobs, committed, self.report.part_before)
        self.report.end()
        health.end()
        self.seconds[step] = self.seconds.get(step, 0.0) + self.executor.clock() - started
        return receipts

    def _sources(self, plan: GenerationPlan) -> Sources:
        contact = self.prepared.contact or str(plan.manners.get("contact", ""))
        network = Network.model_validate(plan.manners.get("network", {}))
        hosts = cast("Mapping[str, object]", plan.manners.get("hosts", {}))
        limits = {host: HostLimits.model_validate(value) for host, value in hosts.items()}
        asking = Limits(**cast("dict[str, Any]", plan.manners.get("limits", {})))
        lists = Lists(**cast("dict[str, Any]", plan.manners.get("exclude", {})))
        return Sources.model_construct(
            contact=contact, network=network, hosts=limits, limits=asking, exclude=lists, sources=()
        )

    def _image_indexes(self) -> tuple[str, ...]:
        """Indexes of the WARC files that are still as they were when they were read."""
        found = [
            *self.ledger.work.glob("generations/*/extract/*/images.parquet"),
            *self.ledger.work.glob("indexes/*"),
        ]
        return tuple(str(path) for path in sorted(found) if _still_there(path))

    def _keep_indexes(self, plan: GenerationPlan, extracted: Mapping[int, Receipt]) -> None:
        """A WARC without a new page still brings pictures for later generations."""
        folder = self.ledger.work / "indexes"
        for number in extracted if plan.kind == "sources" else ():
            path = self.ledger.part(self.number, "extract", number) / "images.parquet"
            if pq.read_metadata(path).num_rows:
                folder.mkdir(exist_ok=True)
                path.rename(
                    folder / f"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}.parquet"
                )

    def result(self) -> BuildResult:
        """What this run added."""
        before, after = self.before.funnel, self.manifest.funnel
        dropped = {
            step: new
            for step, reasons in after.dropped.items()
            if (new := {r: n - before.dropped.get(step, {}).get(r, 0) for r, n in reasons.items()})
        }
        seconds = {
            **({} if self.executor.start_s is None else {"executor": self.executor.start_s}),
            **self.seconds,
        }
        return BuildResult(
            out=str(self.options.out),
            recipe_digest=self.manifest.recipe_digest,
            generations=tuple(range(len(self.before.generations), len(self.manifest.generations))),
            candidates=after.candidates - before.candidates,
            known=after.known - before.known,
            dropped={
                step: {r: n for r, n in reasons.items() if n} for step, reasons in dropped.items()
            },
            new_samples=after.samples - before.samples,
            samples=after.samples,
            shards=len(self.manifest.shards),
            pages=dict(sorted(self.failures.pages.items())),
            seconds={step: round(value, 3) for step, value in seconds.items()},
        )


def _still_there(index: Path) -> bool:
    rows = pq.read_table(index, columns=["path"])["path"].unique().to_pylist()
    return bool(rows) and all(
        Path(path).is_file() and Path(path).stat().st_mtime <= index.stat().st_mtime
        for path in rows
    )
