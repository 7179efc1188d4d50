"""Drives a build: generation after generation, step after step, each part once; only this process commits."""

import json
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import cast

import pyarrow.parquet as pq

from wenlan_data.errors import FailureBudgetError, UsageError, os_errors
from wenlan_data.protocols import Executor, Receipt
from wenlan_data.run import steps
from wenlan_data.run.jobs import Job, Jobs
from wenlan_data.run.ledger import Ledger, write_synced
from wenlan_data.run.local import LocalExecutor
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.planned import GenerationPlan, cut, source_entries
from wenlan_data.run.progress import Reporter, reporter
from wenlan_data.run.publish import Finished, empty_manifest, publish
from wenlan_data.run.retry import retry_plan
from wenlan_data.run.setup import Prepared, note_build
from wenlan_data.shard.manifest import MANIFEST, Manifest, load_manifest
from wenlan_data.sources import Sources


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
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of the start of the executor and of each step."""


def build(prepared: Prepared) -> BuildResult:
    """Run the build to its end and publish everything that is finished.

    Raises the errors of `wenlan_data.errors`; the same call goes on where a stopped one was.
    """
    options = prepared.options
    with os_errors(options.out), _terminated(), Ledger(options.work_folder) as ledger:
        options.out.mkdir(parents=True, exist_ok=True)
        note_build(options, prepared.recipe)
        run = _Build(prepared, ledger)
        try:
            run.all_generations()
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
        self._executor: Executor | None = None
        exists = (self.options.out / MANIFEST).is_file()
        self.manifest: Manifest = load_manifest(self.options.out) if exists else empty_manifest(prepared.recipe)
        self.before = self.manifest
        self._asked = self._failed = 0

    def executor(self) -> Executor:
        """The executor, started when the first part needs it."""
        if self._executor is None:
            started = time.monotonic()
            self._executor = _start(self.options)
            self.seconds["executor"] = time.monotonic() - started
        return self._executor

    def close(self) -> None:
        """Stop the executor and the bars."""
        self.report.end()
        if self._executor:
            self._executor.close()

    def all_generations(self) -> None:
        """Finish what was begun, then what failed before, then what is new."""
        begun = GenerationPlan.load(self.ledger.generation(self.number))
        if begun:
            self._one(begun)
        if self.options.retry_failed:
            again = retry_plan(self.ledger, self.number)
            if again:
                self._one(again)
        for plan in self._new_plans():
            self._one(plan)

    @property
    def number(self) -> int:
        """The generation that comes next."""
        return len(self.manifest.generations)

    def _new_plans(self) -> Iterator[GenerationPlan]:
        options = self.options
        if options.from_corpus:
            yield from self._recorded_plans()
        elif self.prepared.sources:
            entries = source_entries(self.prepared.sources.sources, options.generation_rows)
            yield from cut(entries, self._read_before(), options.generation_rows, options.limit)

    def _recorded_plans(self) -> Iterator[GenerationPlan]:
        old = self.prepared.old
        if old is None:
            return
        folder = self.prepared.old_work / "generations"
        read = self._read_before()
        for one in old.generations:
            raws = sorted((folder / f"{one.generation:06d}").glob("extract/*/raw.parquet"))
            begun = GenerationPlan.load(folder / f"{one.generation:06d}")
            # What a retry asked again stands among the rows of the generation where it failed.
            if f"from:{one.generation}" not in read and not (begun and begun.kind == "retry"):
                yield GenerationPlan(
                    kind="from", raws=tuple(str(path.resolve()) for path in raws), origin=one.generation
                )

    def _one(self, plan: GenerationPlan) -> None:
        number = self.number
        folder = self.ledger.generation(number)
        if GenerationPlan.load(folder) is None:
            plan.save(folder)
        generation = steps.Generation(
            number=number,
            plan=plan,
            recipe=self.prepared.recipe,
            sources=self._sources(),
            ledger=self.ledger,
            first_shard=len(self.manifest.shards),
            old_parts=self._old_parts(plan),
        )
        extracted = self._step("extract", generation, steps.extract_jobs(generation))
        if not any(receipt.rows_in for receipt in extracted.values()):
            self._discard(folder)
        else:
            self._rest(generation, extracted)
        self._note_read(plan)
        self._check_budget()

    def _rest(self, generation: steps.Generation, extracted: Mapping[int, Receipt]) -> None:
        parts = list(extracted)
        sliced = self._step("slice", generation, steps.slice_jobs(generation, parts, self._image_indexes()))[0]
        if generation.plan.kind != "from":
            self._check_contact(generation, sliced)
        fetched = self._step("fetch", generation, steps.fetch_jobs(generation, sliced))
        deduped = self._step("dedupe", generation, steps.dedupe_jobs(generation, parts, list(fetched)))[0]
        sharded = self._step("shard", generation, steps.shard_jobs(generation, deduped, list(fetched)))
        dropped = self._step("drops", generation, steps.drops_jobs(generation, parts))[0]
        done = Finished(number=generation.number, extract=extracted, dedupe=deduped, shard=sharded, drops=dropped)
        self.manifest = publish(self.options.out, self.ledger, self.manifest, done, self._source_rows())
        for receipt in fetched.values():
            self._asked += cast("int", receipt.details.get("asked", 0))
            self._failed += cast("int", receipt.details.get("retryable_failed", 0))

    def _step(self, step: str, generation: steps.Generation, jobs: Sequence[Job]) -> Mapping[int, Receipt]:
        executor = self.executor()
        started = time.monotonic()
        self.report.begin(generation.number, step, len(jobs))
        receipts = Jobs(executor, self.ledger, generation.number, step).run(jobs, self.report.part)
        self.report.end()
        self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started
        return receipts

    def _sources(self) -> Sources:
        return self.prepared.sources or Sources.model_construct(sources=())

    def _source_rows(self) -> list[dict[str, object]]:
        if self.prepared.old:
            return self.prepared.old.sources
        return [{"kind": spec.kind, **(spec.model_extra or {})} for spec in self._sources().sources]

    def _image_indexes(self) -> tuple[str, ...]:
        found = self.ledger.work.glob("generations/*/extract/*/images.parquet")
        return tuple(str(path) for path in sorted(found) if pq.read_metadata(path).num_rows)

    def _old_parts(self, plan: GenerationPlan) -> tuple[tuple[str, str], ...]:
        if plan.kind != "from":
            return ()
        folders = sorted(self.prepared.old_work.glob("generations/*/fetch/*"), reverse=True)
        return tuple((str(one.resolve() / "facts.parquet"), str(one.resolve() / "images.warc")) for one in folders)

    def _check_contact(self, generation: steps.Generation, sliced: Receipt) -> None:
        sources = generation.sources
        if sources.contact:
            return
        folder = self.ledger.part(generation.number, "slice", 0)
        for one in cast("list[dict[str, object]]", sliced.details["slices"]):
            hosts = pq.read_table(folder / str(one["name"]), columns=["host"])["host"].unique().to_pylist()
            for host in hosts:
                if host and host not in sources.network.allow:
                    raise UsageError(
                        f"{host} would be asked without a contact: give --contact (it goes into the User-Agent), "
                        "or list the host under network.allow in the sources file"
                    )

    def _read_before(self) -> set[str]:
        path = self.ledger.work / "read.json"
        return set(json.loads(path.read_text("utf-8"))) if path.is_file() else set()

    def _note_read(self, plan: GenerationPlan) -> None:
        new = {entry.stamp for entry in plan.entries if entry.stamp and entry.limit is None}
        if plan.kind == "from":
            new.add(f"from:{plan.origin}")
        path = self.ledger.work / "read.json"
        temporary = path.with_name(".read.tmp")
        write_synced(temporary, json.dumps(sorted(self._read_before() | new), ensure_ascii=False).encode())
        temporary.replace(path)

    def _discard(self, folder: Path) -> None:
        # Renamed first: a half-removed generation must never be taken for a begun one.
        grave = self.ledger.attempt()
        folder.rename(grave)
        shutil.rmtree(grave)

    def _check_budget(self) -> None:
        allowed = self.options.max_failed_share
        if allowed is not None and self._asked and self._failed / self._asked > allowed:
            raise FailureBudgetError(
                f"{self._failed} of {self._asked} requests failed in a way that may pass, more than --max-failed-share "
                f"{allowed}: what is finished is published; run again with --retry-failed"
            )

    def result(self) -> BuildResult:
        """What this run added."""
        before, after = self.before.funnel, self.manifest.funnel
        dropped = {
            step: new
            for step, reasons in after.dropped.items()
            if (new := {r: n - before.dropped.get(step, {}).get(r, 0) for r, n in reasons.items()})
        }
        return BuildResult(
            out=str(self.options.out),
            recipe_digest=self.manifest.recipe_digest,
            generations=tuple(range(len(self.before.generations), len(self.manifest.generations))),
            candidates=after.candidates - before.candidates,
            known=after.known - before.known,
            dropped={step: {r: n for r, n in reasons.items() if n} for step, reasons in dropped.items()},
            new_samples=after.samples - before.samples,
            samples=after.samples,
            shards=len(self.manifest.shards),
            seconds={step: round(value, 3) for step, value in self.seconds.items()},
        )


def _start(options: BuildOptions) -> Executor:
    if options.executor == "local":
        return LocalExecutor(options.workers)
    from wenlan_data.run.ray import RayExecutor

    return RayExecutor(options.workers, options.ray_address)


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM stops a build as Ctrl-C does. Only the main thread may set this."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
