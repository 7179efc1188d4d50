"""Drives a build: generation after generation, step after step, each part once; only this process
commits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq
from pydantic import ValidationError

from wenlan_data.crawl.receipts import CrawlDetails
from wenlan_data.dedupe.step import DedupeDetails
from wenlan_data.errors import (
    DamageError,
    FailureBudgetError,
    WenlanError,
    in_short,
    os_errors,
    retry_once,
)
from wenlan_data.extract.step import ExtractDetails
from wenlan_data.fetch.receipts import FetchDetails, FetchListDetails
from wenlan_data.layout import IMAGE_INDEX, MANIFEST
from wenlan_data.part_files import checked
from wenlan_data.protocols import NoDetails, Receipt
from wenlan_data.report.write_all import descriptions_written
from wenlan_data.run import steps
from wenlan_data.run.blocklist_changes import discard_other_blocklists
from wenlan_data.run.contact import check_contact
from wenlan_data.run.crawl import Crawler
from wenlan_data.run.executors.lazy import lazy_executor
from wenlan_data.run.failure_budget import FailureBudget, HostMonitor
from wenlan_data.run.gc import remove_stored_jpegs
from wenlan_data.run.generations import (
    GenerationPlan,
    listed_sources,
    new_plans,
    politeness_of,
    read_stamps,
    record_nothing_new,
    resumed_rebuild,
)
from wenlan_data.run.image_indexes import keep_image_index, kept_image_indexes
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.output_id import locked_output
from wenlan_data.run.preflight import Prepared, record_build
from wenlan_data.run.progress import Reporter, reporter
from wenlan_data.run.publish import FinishedGeneration, empty_manifest, publish
from wenlan_data.run.recordings import extract_files
from wenlan_data.run.retry import retry_plan
from wenlan_data.run.row_limit import RowLimit
from wenlan_data.run.scheduler import Job, Scheduler
from wenlan_data.run.signals import interruptible
from wenlan_data.sandbox import client as sandbox
from wenlan_data.shard.drops import DropsDetails
from wenlan_data.shard.manifest import Manifest, load_manifest
from wenlan_data.shard.step import ShardDetails
from wenlan_data.source_config import Sources
from wenlan_data.sources.formats.file_digest import FileDigests

DetailsT = TypeVar("DetailsT")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """Result of a build. Counts are of this run, except `samples` and `shards`, which are the
    corpus's."""

    out: str
    recipe_digest: str
    generations: tuple[int, ...]
    candidates: int
    known: int
    """Candidates of earlier builds, which were skipped."""
    dropped: Mapping[str, Mapping[str, int]]
    new_samples: int
    samples: int
    shards: int
    pages: Mapping[str, int] = field(default_factory=dict)
    """Outcome (`read` or a drop reason) to number of crawled pages."""
    retried: int = 0
    """Candidates that had failed in an earlier run; they are among `candidates`."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of the start of the executor and of each step."""


def build(prepared: Prepared) -> BuildResult:
    """Runs the build to its end and publishes everything that is finished.

    The same call resumes a stopped build. Raises the errors of `wenlan_data.errors`.
    """
    options = prepared.options
    with (
        os_errors(options.out),
        interruptible(),
        locked_output(options.out, options.work_folder),
        Ledger(options.work_folder) as ledger,
    ):
        # Before the first part: a build that is killed before it publishes has no manifest, and
        # must still not be resumed with another recipe.
        record_build(options, prepared.recipe)
        run = _Build(prepared, ledger)
        try:
            with descriptions_written(options.out, options.work_folder):
                run.all_generations()
                # Inside the `with`: Ray's processes end while the descriptions are written.
                run.finish()
        finally:
            run.close()
        return run.result()


class _Build:
    """State of one run of the driver. Everything that must outlive it is in the ledger or the
    manifest."""

    def __init__(self, prepared: Prepared, ledger: Ledger) -> None:
        self.prepared = prepared
        self.options: BuildOptions = prepared.options
        self.ledger = ledger
        self.reporter: Reporter = reporter()
        self.seconds: dict[str, float] = {}
        self.executor = lazy_executor(self.options, self.reporter.log)
        exists = (self.options.out / MANIFEST).is_file()
        self.manifest: Manifest = (
            load_manifest(self.options.out, to_extend=True)
            if exists
            else empty_manifest(prepared.recipe)
        )
        # The funnel of the manifest counts the whole corpus; `result` reports the difference.
        self.before = self.manifest
        listed = listed_sources(prepared.sources) if prepared.sources else ()
        self.limit = RowLimit(ledger.folder.limit, self.options.limit, listed)
        self.failures = FailureBudget()
        self.published_indexes: list[Path] = []
        """Image indexes of the generations below `indexed_generations`."""
        self.indexed_generations = 0
        self.retried = 0
        """Candidates of the retry generations of this run."""
        self.source_names = ""
        """Of the generation that runs, for the progress."""

    def finish(self) -> None:
        """Lets the executor begin its shutdown while the report is written."""
        self.executor.finish()

    def close(self) -> None:
        """Stops the executor and the progress display."""
        self.reporter.end()
        self.reporter.close()
        self.executor.close()

    def all_generations(self) -> None:
        """Finishes what was started, then retries what failed, then reads what is new."""
        # Of all generations: a build killed right after it wrote the manifest left some.
        remove_stored_jpegs(self.ledger, range(self.number))
        started = self._started_plan()
        if started:
            self._run_generation(started)
            # Its plan holds the last rows that `--limit` allows.
            if started.cut_short:
                self.limit.end()
                return
        # Before new rows are read: failures of this run are left for the next `--retry-failed`. A
        # resumed retry is not followed by another one for the same reason.
        if self.options.retry_failed and not (started and started.kind == "retry"):
            sources = self.prepared.sources
            retry = retry_plan(self.ledger, self.number, sources.network.allow if sources else ())
            if retry:
                self._run_generation(self._with_politeness(retry))
        # Lazy: once the pages of a crawl round fill a generation, they are published before the
        # next round begins.
        for plan in self._new_plans():
            self._run_generation(plan)
        self.limit.end()

    def _new_plans(self) -> Iterator[GenerationPlan]:
        crawler = Crawler(
            self.executor,
            self.ledger,
            self.reporter,
            self.prepared.sources,
            self.seconds,
            retry=self.options.retry_failed,
        )
        left = self.limit.left_before(self.number)
        read = read_stamps(self.ledger, self.number)
        return new_plans(self.prepared, read, crawler.planned_parts, left)

    @property
    def number(self) -> int:
        """Number of the next generation."""
        return len(self.manifest.generations)

    def _started_plan(self) -> GenerationPlan | None:
        """Returns the plan of the generation that a stopped build left unfinished.

        It is discarded where the sources have changed and nothing was requested yet.
        """
        folder = self.ledger.generation(self.number)
        plan = GenerationPlan.load(self.ledger.tree, self.number)
        if plan is None:
            # `retry_plan` writes the ids first: without a plan nothing else can be in the folder.
            if folder.exists():
                self.ledger.discard(folder)
            return None
        if plan.kind == "from":
            plan = resumed_rebuild(plan, self.prepared)
        # Fetch lists precede the first request. Before them a plan costs nothing to give up, so
        # that a corrupt source can be left out; after them its responses must not be lost.
        lists = self.ledger.receipt(self.number, "slice", 0, FetchListDetails)
        if plan.kind == "sources" and self.prepared.sources is not None and lists is None:
            first = next(self._new_plans(), None)
            if not plan.same_input(first):
                self.ledger.discard(folder)
                return None
        if self.prepared.sources is not None:
            resumed = plan.resumed_with(self.prepared.sources)
            if resumed != plan:
                # Saved: a retry without sources continues with what held last.
                resumed.save(self.ledger.tree, self.number)
            return resumed
        return plan

    def _with_politeness(self, plan: GenerationPlan) -> GenerationPlan:
        """Gives a retry the politeness of its sources or, without sources, of the generation
        before."""
        if self.prepared.sources is not None:
            return plan.planned_with(politeness_of(self.prepared.sources), ())
        before = GenerationPlan.load(self.ledger.tree, self.number - 1)
        return plan.planned_with(before.politeness if before else {}, ())

    def _run_generation(self, plan: GenerationPlan) -> None:
        number = self.number
        if GenerationPlan.load(self.ledger.tree, number) is None:
            # Before the plan: a resumed build does not count the rows of a saved plan again, so a
            # kill in between would let it read more than `--limit`.
            self.limit.record(number, plan.estimated_rows())
            # Before the first part: parts are known by number alone, so a resumed build needs the
            # same list even if the sources have changed since.
            plan.save(self.ledger.tree, number)
        generation = steps.GenerationInput(
            number=number,
            plan=plan,
            recipe=self.prepared.recipe,
            sources=self._sources(plan),
            ledger=self.ledger,
            first_shard=len(self.manifest.shards),
            most_at_once=self.executor.most_at_once,
        )
        self.failures.add_pages(plan)
        self.source_names = _source_names(plan)
        extracted = self._run_step(
            "extract", ExtractDetails, number, steps.extract_jobs(generation)
        )
        # Every row was known: the next plan takes the number, so that a build with nothing new adds
        # no empty generation to the corpus.
        if not any(receipt.rows_in for receipt in extracted.values()):
            self._keep_image_indexes(plan, extracted)
            self.limit.record_nothing_new(number)
            # Before the folder goes: with the plan lost and its stamps unrecorded, the next build
            # would read the same parts again.
            record_nothing_new(self.ledger, plan)
            self.ledger.discard(self.ledger.generation(number))
        else:
            self._run_steps_and_publish(generation, extracted)
        try:
            # After the publication: exit 9 loses nothing that is finished.
            self.failures.check(self.options.max_failed_share)
        except FailureBudgetError:
            # The build has ended, it was not stopped: the next one counts its rows from 0.
            self.limit.end()
            raise

    def _run_steps_and_publish(
        self,
        generation: steps.GenerationInput,
        extracted: Mapping[int, Receipt[ExtractDetails]],
    ) -> None:
        number, parts = generation.number, list(extracted)
        jobs = steps.fetch_list_jobs(generation, parts, self._image_indexes())
        first = {"slice": 1, "fetch": 0}
        lists = self._run_step("slice", FetchListDetails, number, jobs, first)[0]
        fetched = self._fetch(generation, lists)
        self._run_step("against", NoDetails, number, steps.benchmark_jobs(generation))
        self._run_step("near", NoDetails, number, steps.near_jobs(generation, fetched))
        discard_other_blocklists(self.options.out, self.ledger, number, generation.sources.exclude)
        deduped = self._run_step(
            "dedupe", DedupeDetails, number, steps.dedupe_jobs(generation, parts, fetched)
        )[0]
        # For the thumbnails of the report: the sandbox is ready when the shards are.
        sandbox.start_worker()
        sharded = self._run_step(
            "shard", ShardDetails, number, steps.shard_jobs(generation, deduped, list(fetched))
        )
        drops = self._run_step(
            "drops", DropsDetails, number, steps.drops_jobs(generation, parts, list(sharded))
        )[0]
        done = FinishedGeneration(
            number=number,
            extract=extracted,
            shard=sharded,
            drops=drops,
            pages=generation.plan.pages(),
            sandbox=sorted({one.details.sandbox for one in fetched.values()} - {""}),
            retried=generation.plan.retried,
        )
        self.manifest = retry_once(
            lambda: publish(
                self.options.out, self.ledger, self.manifest, done, generation.plan.listed
            )
        )
        if generation.plan.kind == "retry":
            self.retried += done.candidates
        # After the manifest: until then a resumed build may still have to write the shards.
        remove_stored_jpegs(self.ledger, [number])
        self.failures.add_fetched(fetched.values())

    def _fetch(
        self, generation: steps.GenerationInput, lists: Receipt[FetchListDetails]
    ) -> Mapping[int, Receipt[FetchDetails]]:
        """Fetches all images, pass after pass: a redirect into another host is followed in that
        host's own fetch list, once no task of the pass before can be talking to it."""
        number = generation.number
        self._check_contact(generation, 0, lists)
        first_jobs = steps.fetch_jobs(generation, lists)
        passes = {"slice": 1, "fetch": len(first_jobs)}
        last = self._run_step("fetch", FetchDetails, number, first_jobs, passes)
        fetched = dict(last)
        for pass_number in count(1):
            jobs = steps.later_list_jobs(generation, pass_number, last, fetched)
            if not jobs:
                break
            passes = {"slice": pass_number + 1, "fetch": len(fetched)}
            lists = self._run_step("slice", FetchListDetails, number, jobs, passes)[pass_number]
            self._check_contact(generation, pass_number, lists)
            later = steps.later_fetch_jobs(generation, pass_number, lists, fetched)
            passes = {"slice": pass_number + 1, "fetch": len(fetched) + len(later)}
            last = self._run_step("fetch", FetchDetails, number, later, passes)
            fetched |= last
        return fetched

    def _check_contact(
        self,
        generation: steps.GenerationInput,
        pass_number: int,
        lists: Receipt[FetchListDetails],
    ) -> None:
        # Not in preflight: the hosts of images are known only now. `--from` requests none.
        if generation.plan.kind != "from":
            folder = self.ledger.part(generation.number, "slice", pass_number)
            check_contact(
                generation.sources, (folder / one.name for one in lists.details.fetch_lists)
            )

    def _run_step(
        self,
        step: str,
        details: type[DetailsT],
        generation: int,
        jobs: Sequence[Job[DetailsT]],
        passes: Mapping[str, int] | None = None,
    ) -> Mapping[int, Receipt[DetailsT]]:
        # This clock leaves out the start of the executor, which falls into the first step that has
        # a part and is reported by itself.
        started = self.executor.clock()
        where = f"generation {generation}{self.source_names if step == 'extract' else ''}"
        self.reporter.begin(where, step, len(jobs))
        monitor = HostMonitor(self.reporter.log)

        def committed(number: int, receipt: Receipt[DetailsT]) -> None:
            self.reporter.part(number, receipt)
            if isinstance(receipt.details, FetchDetails | CrawlDetails):
                monitor.add(receipt.details.hosts)

        scheduler = Scheduler(self.executor, self.ledger, generation, step, details, passes)
        receipts = scheduler.run(jobs, committed, self.reporter.part_restored)
        self.reporter.end()
        monitor.end()
        self.seconds[step] = self.seconds.get(step, 0.0) + self.executor.clock() - started
        return receipts

    def _sources(self, plan: GenerationPlan) -> Sources:
        """Returns the sources section that the plan was made or last resumed with, without the
        sources."""
        # From the plan: a retry may come without sources, and treats hosts as the build that it
        # continues.
        contact = self.prepared.contact or str(plan.politeness.get("contact", ""))
        try:
            sources = Sources.model_validate({**plan.politeness, "contact": contact})
            # Whether requests are made is up to the present command, also for a plan that a stopped
            # build left.
            update = {"offline": self.prepared.offline}
            network = sources.network.model_copy(update=update)
            return sources.model_copy(update={"network": network})
        except ValidationError as error:
            path = self.ledger.tree.plan(self.number)
            raise DamageError(
                f"{path}: its politeness is not valid ({in_short(error)}): restore the file, "
                f"or remove {path.parent}: what it recorded is then requested again"
            ) from error

    def _image_indexes(self) -> tuple[str, ...]:
        """Returns the indexes of the WARC files that have not changed since they were read."""
        digests = FileDigests(self.ledger.folder.file_digests)
        # Published generations do not change: their plans are read once.
        for number in range(self.indexed_generations, self.number):
            self.published_indexes += self._indexes_of(number)
        self.indexed_generations = self.number
        paths = [
            *self.published_indexes,
            *self._indexes_of(self.number),
            *kept_image_indexes(self.ledger.folder),
        ]
        return tuple(str(path) for path in paths if _is_current(checked(path), digests))

    def _indexes_of(self, number: int) -> list[Path]:
        plan = GenerationPlan.load(self.ledger.tree, number)
        parts = plan.extract_parts if plan else 0
        return extract_files(self.ledger.tree, number, parts, IMAGE_INDEX)

    def _keep_image_indexes(self, plan: GenerationPlan, extracted: Mapping[int, object]) -> None:
        """Keeps image indexes of a generation that is discarded.

        A WARC without a new page still holds images that later generations want.
        """
        # The folder of the generation is about to be removed, and its number to be used again.
        for number in extracted if plan.kind == "sources" else ():
            path = checked(self.ledger.part(self.number, "extract", number) / IMAGE_INDEX)
            if pq.read_metadata(path).num_rows:
                keep_image_index(self.ledger.folder, path)

    def result(self) -> BuildResult:
        """Returns what this run added."""
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
            retried=self.retried,
            seconds={step: round(value, 3) for step, value in seconds.items()},
        )


def _source_names(plan: GenerationPlan) -> str:
    """Returns the sources of a generation as part of a progress line; empty for a rebuild or
    retry."""
    specs = {(str(entry.spec), entry.part.source): entry for entry in plan.entries}
    names = [entry.source().load().name for entry in specs.values()]
    if not names:
        return ""
    return f" of {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _is_current(index: Path, digests: FileDigests) -> bool:
    """Returns whether every file that an image index lists is still the one that was read."""
    # The index holds offsets of records; in a WARC that was written again they point elsewhere.
    table = pq.read_table(index, columns=["path", "file_sha256"])
    files = table.group_by(["path", "file_sha256"]).aggregate([]).to_pylist()
    return bool(files) and all(
        _is_the_same(Path(one["path"]), one["file_sha256"], digests) for one in files
    )


def _is_the_same(path: Path, sha256: str, digests: FileDigests) -> bool:
    try:
        return path.is_file() and sha256 in {"", digests.sha256(path)}
    except (OSError, WenlanError):
        # Not among the sources any more, or the build would have reported it.
        return False
