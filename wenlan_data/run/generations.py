"""Plans of generations: what each one reads, saved before it starts, so that a resumed build reads
the same."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from wenlan_data.errors import DamageError, UsageError, in_short, os_errors
from wenlan_data.layout import FETCH_RESULTS, IMAGE_WARC, RAW_CANDIDATES, StepTree, WorkFolder
from wenlan_data.part_files import FileChecksum
from wenlan_data.protocols import Source, SourcePart
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.output_id import load_build_record
from wenlan_data.run.preflight import Prepared
from wenlan_data.run.recordings import extract_files, fetch_folders
from wenlan_data.shard.manifest import Manifest
from wenlan_data.source_config import Sources, SourceSpec
from wenlan_data.sources.folder import entries_below
from wenlan_data.sources.formats.file_digest import FileDigests
from wenlan_data.state_files import load_json, load_state, save_state, validated

CRAWL_STAMP = "crawl|"
"""Start of the stamps of crawled parts."""
UNKNOWN_ROWS = 20_000
"""Rows that a part counts for when its rows are unknown until it is read (a WARC)."""


_CRAWLED_DEPTH = 6
"""Path components of `crawls/<crawl>/000003/crawl/00017/pages.warc`."""
_RECORDING_DEPTH = 5
"""Path components of `generations/000003/extract/00017/raw.parquet`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """One extract part of a generation."""

    spec: Mapping[str, object]
    """The source: kind, base folder, parameters."""
    part: SourcePart
    limit: int | None = None
    stamp: str = ""
    """Identity of the source's settings and of the file's state. A part read once with both is not
    read again; with an empty stamp it is always read."""
    rows: int | None = None
    """Estimate, where the part's rows are unknown until it is read; None: `UNKNOWN_ROWS`."""
    pages: Mapping[str, int] = field(default_factory=dict)
    """Of a crawled part: outcome (`read`, or a drop reason) to pages."""
    failed_pages: int = 0
    """Of these, pages that failed transiently."""

    @property
    def estimated_rows(self) -> int:
        """Rows that the part counts for when generations are cut."""
        known = self.rows if self.part.rows is None else self.part.rows
        return UNKNOWN_ROWS if known is None else known

    @property
    def is_crawled(self) -> bool:
        """Whether the part is what a crawl recorded, and lies in the work folder."""
        return self.stamp.startswith(CRAWL_STAMP)

    def source(self) -> SourceSpec:
        """Returns the source that reads the part."""
        return SourceSpec.model_validate(self.spec)

    def with_path(self, path: str) -> "PlannedPart":
        """Returns the part with another path of its file."""
        return replace(self, part=replace(self.part, path=path))


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """The input of one generation."""

    kind: Literal["sources", "from", "retry"]
    entries: tuple[PlannedPart, ...] = ()
    raws: tuple[str, ...] = ()
    """`from` and `retry`: files of recorded candidates, one a part."""
    origin: str = ""
    """`from`: the old corpus and its generation."""
    old_parts: tuple[tuple[str, str], ...] = ()
    """`from`: (fetch results, image WARC) of every recorded fetch part, newest first: the last
    outcome of a URL counts."""
    politeness: Mapping[str, object] = field(default_factory=dict)
    """Contact, network, hosts, limits and blocklists of the sources that it was planned with, or
    last resumed with."""
    allowed_later: tuple[str, ...] = ()
    """Hosts that `network.allow` lists only since the generation was resumed."""
    listed: tuple[Mapping[str, object], ...] = ()
    """The sources as the manifest names them."""
    cut_short: bool = False
    """Whether `--limit` ended it."""
    retried: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """`retry`: step to reason to earlier drops of its candidates."""
    retry_ids: FileChecksum | None = None
    """`retry`: state of the file with the ids of these; None in plans of older builds."""

    def save(self, tree: StepTree, number: int) -> None:
        """Writes the plan of a generation, atomically."""
        path, stored = tree.plan(number), WorkFolder(tree.root.parent).stored
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = tuple(entry.with_path(stored(entry.part.path)) for entry in self.entries)
        plan = replace(self, entries=entries)
        # Those of an old corpus start at its work folder, which may be moved as well.
        plan = plan._with_recordings(_below_work if self.kind == "from" else stored)
        save_state(path, {**asdict(plan), "generation": number})

    @classmethod
    def load(cls, tree: StepTree, number: int) -> "GenerationPlan | None":
        """Returns the plan of a generation that was started; None where there is none.

        Raises `DamageError` for a file that is no plan.
        """
        path = tree.plan(number)
        remedy = (
            "restore the file from a copy or, if this generation is not published yet, remove "
            f"{path.parent}: what it recorded is then requested again"
        )
        value = load_json(path, remedy)
        if value is None:
            return None
        if isinstance(value, dict):
            # Older builds did not record the number, and named another key `manners`; `--from` and
            # `gc` still read their plans.
            found = value.pop("generation", number)
            if found != number:
                raise DamageError(
                    f"{path}: is the plan of generation {in_short(str(found))}: put each plan back "
                    "into its place"
                )
            if "manners" in value:
                value["politeness"] = value.pop("manners")
        plan = validated(path, value, cls, remedy)
        return plan.located(WorkFolder(tree.root.parent))

    def located(self, work: WorkFolder) -> "GenerationPlan":
        """Returns the plan with absolute paths of the files in its work folder."""

        entries = tuple(
            entry.with_path(work.located(_below_work(entry.part.path, _CRAWLED_DEPTH)))
            if entry.is_crawled
            else entry
            for entry in self.entries
        )
        plan = replace(self, entries=entries)
        return plan.with_recordings_of(work) if self.kind == "retry" else plan

    def with_recordings_of(self, work: WorkFolder) -> "GenerationPlan":
        """Returns the plan with absolute paths of the recordings, which lie in this work folder."""
        return self._with_recordings(lambda path: work.located(_below_work(path)))

    def _with_recordings(self, change: Callable[[str], str]) -> "GenerationPlan":
        raws = tuple(map(change, self.raws))
        old_parts = tuple((change(results), change(warc)) for results, warc in self.old_parts)
        return replace(self, raws=raws, old_parts=old_parts)

    @property
    def extract_parts(self) -> int:
        """Number of parts of its extract step."""
        return {"sources": len(self.entries), "from": len(self.raws), "retry": 1}[self.kind]

    def planned_with(
        self, politeness: Mapping[str, object], listed: tuple[Mapping[str, object], ...]
    ) -> "GenerationPlan":
        """Returns the plan with the politeness and the names of the sources."""
        return replace(self, politeness=politeness, listed=listed)

    def resumed_with(self, sources: Sources) -> "GenerationPlan":
        """Returns the plan with the present politeness: what the operator states after a complaint
        holds for all that is left to do."""
        politeness = politeness_of(sources)
        politeness["contact"] = sources.contact or self.politeness.get("contact", "")
        later = set(sources.network.allow) - set(self.allowed_hosts())
        return replace(self, politeness=politeness, allowed_later=tuple(sorted(later)))

    def estimated_rows(self) -> int:
        """Returns how many source rows it plans to read; 0 where it reads recorded rows."""
        return sum(
            entry.estimated_rows if entry.limit is None else entry.limit for entry in self.entries
        )

    def stamps(self) -> set[str]:
        """Returns the stamps of parts that are not read again once this generation is published."""
        # A part that was read up to a limit has rows left for later builds.
        whole = {entry.stamp for entry in self.entries if entry.stamp and entry.limit is None}
        return whole | ({self.origin} if self.origin else set())

    def pages(self) -> dict[str, int]:
        """Returns outcome to pages, over all crawled parts."""
        return dict(sum((Counter(entry.pages) for entry in self.entries), Counter[str]()))

    def allowed_hosts(self) -> tuple[str, ...]:
        """Returns the hosts that `network.allow` has listed from its first part to its last."""
        network = self.politeness.get("network", {})
        allow = network.get("allow", ()) if isinstance(network, Mapping) else ()
        return tuple(host for host in map(str, allow) if host not in self.allowed_later)

    def same_input(self, other: "GenerationPlan | None") -> bool:
        """Returns whether `other` reads the same, in the same parts."""
        # Politeness is left out: a new contact or gap is no reason to discard extracted parts.
        return other is not None and (self.kind, self.entries, self.raws) == (
            other.kind,
            other.entries,
            other.raws,
        )


def _below_work(path: str, folders: int = _RECORDING_DEPTH) -> str:
    """Returns the end of a path that lies so many folders below a work folder."""
    # Older builds stored absolute paths, which lead elsewhere where the folder was moved or copied.
    return str(Path(*path.split("/")[-folders:]))


PlanCrawledParts = Callable[[SourceSpec], Iterator[PlannedPart] | None]
"""Yields the parts of a crawled source while the crawl runs; None for any other kind."""


def source_parts(
    specs: Sequence[SourceSpec], max_rows: int, crawl: PlanCrawledParts, digests: FileDigests
) -> Iterator[PlannedPart]:
    """Yields every part of every source, in order; `digests` hashes what is known by content.

    WARC sources come first: images that they hold need not be fetched for the others.
    """
    # Image indexes are read when a generation's fetch lists are cut. With the WARC in a later
    # generation, the others would have requested its images already.
    numbered = sorted(enumerate(specs), key=lambda pair: (pair[1].kind != "warc", pair[0]))
    folders: dict[str, str] = {}
    for number, spec in numbered:
        crawled = crawl(spec)
        if crawled is not None:
            yield from (
                replace(entry, part=replace(entry.part, source=number)) for entry in crawled
            )
            continue
        described, source = describe_source(spec), spec.load()
        settings = _settings(spec, source)
        for part in source.parts(source=number, max_rows=max_rows):
            if part.sha256 is not None:
                part = replace(part, sha256=digests.sha256(Path(part.path)))
            stamp = f"{settings}|{_stamp(part, folders)}"
            yield PlannedPart(spec=described, part=part, stamp=stamp)


def describe_source(spec: SourceSpec) -> dict[str, object]:
    """Returns the source as a plan stores it."""
    return {"kind": spec.kind, "base": spec.base, **(spec.model_extra or {})}


def cut(
    entries: Iterator[PlannedPart], read: set[str], max_rows: int, limit: int | None
) -> Iterator[GenerationPlan]:
    """Yields generations of at most `max_rows` candidates, as far as rows are known.

    Parts whose stamp is in `read` are skipped, and so is one that was planned before; at most
    `limit` rows are planned in all.
    """
    gathered: list[PlannedPart] = []
    rows = taken = 0
    # A source that is listed twice is read once. Else it would depend on where a build is stopped:
    # after a restart, the first part would have been read, and the second one be skipped.
    planned = set(read)
    for entry in entries:
        if entry.stamp and entry.stamp in planned:
            continue
        planned.add(entry.stamp)
        size = entry.estimated_rows
        # Between parts, never inside: a part is committed and stamped as a whole. Bounded rows
        # bound the memory of the dedupe step, which reads a generation at once.
        if gathered and rows + size > max_rows:
            yield GenerationPlan(kind="sources", entries=tuple(gathered))
            gathered, rows = [], 0
        if limit is not None and taken + size >= limit:
            # An estimate that happens to fit does not prove that the part was read to its end.
            whole = entry.part.rows is not None and taken + size == limit
            # Without a stamp: the rest of the part is read by a later build.
            last = (
                entry
                if whole
                else PlannedPart(spec=entry.spec, part=entry.part, limit=limit - taken)
            )
            yield GenerationPlan(kind="sources", entries=(*gathered, last), cut_short=True)
            return
        gathered.append(entry)
        rows += size
        taken += size
    if gathered:
        yield GenerationPlan(kind="sources", entries=tuple(gathered))


def _settings(spec: SourceSpec, source: Source) -> str:
    """Returns the kind and every parameter that is not a default, in a canonical form."""
    # Without the path as the operator wrote it: that of the part is absolute.
    values = {
        one.name: (getattr(source, one.name), one.default) for one in fields(cast("Any", source))
    }
    others = {
        name: value
        for name, (value, default) in values.items()
        if name not in {"path", "base"} and value != default
    }
    # A parameter may be a path that starts at the base.
    base = {"base": str(Path(spec.base).absolute())} if others else {}
    words = {"kind": spec.kind, **base, **others}
    return json.dumps(words, sort_keys=True, ensure_ascii=False, default=str)


def _stamp(part: SourcePart, folders: dict[str, str]) -> str:
    path = Path(part.path)
    if part.sha256 is not None:
        return f"{part.path}|{part.bytes}|{part.sha256}|{part.group}|{part.start}|{part.stop}"
    # Positions in a folder shift when a file is added, so its parts are read again together; rows
    # with known ids are then skipped.
    if path.is_dir():
        if part.path not in folders:
            folders[part.path] = _listing_digest(path)
        state = folders[part.path]
    else:
        # No digest of the content: each build would have to read every table to learn that nothing
        # changed.
        with os_errors(path):
            state = f"{part.bytes}|{path.stat().st_mtime_ns}"
    return f"{part.path}|{state}|{part.group}|{part.start}|{part.stop}"


def _listing_digest(folder: Path) -> str:
    """Returns a digest of names, sizes and times of all files, so an added file changes every
    stamp."""
    digest = hashlib.sha256()
    for path in entries_below(folder):
        try:
            status = path.lstat()
        except OSError:
            # It vanished: so does its row.
            continue
        digest.update(
            f"{path}|{status.st_mode}|{status.st_size}|{status.st_mtime_ns}\n".encode(
                "utf-8", "surrogateescape"
            )
        )
    return digest.hexdigest()[:32]


def read_stamps(ledger: Ledger, published: int) -> set[str]:
    """Returns the stamps of parts that published generations read or that held no new row."""
    # Read from the published plans instead of a list: nothing can be recorded as read that a kill
    # kept out of the manifest.
    stamps = _stamps_without_rows(ledger.folder)
    for number in range(published):
        plan = GenerationPlan.load(ledger.tree, number)
        stamps |= plan.stamps() if plan else set()
    return stamps


def record_nothing_new(ledger: Ledger, plan: GenerationPlan) -> None:
    """Records that a plan held no new row, so that later builds skip its parts."""
    stamps = sorted(_stamps_without_rows(ledger.folder) | plan.stamps())
    save_state(ledger.folder.read_stamps, stamps)


def _stamps_without_rows(folder: WorkFolder) -> set[str]:
    remedy = "remove the file: sources in which nothing was new are then read again"
    return set(load_state(folder.read_stamps, list[str], remedy) or ())


def new_plans(
    prepared: Prepared, read: set[str], crawl: PlanCrawledParts, limit: int | None
) -> Iterator[GenerationPlan]:
    """Yields generations of the parts that were not read before, with at most `limit` rows.

    `crawl` requests pages only as the plans are consumed.
    """
    options, sources = prepared.options, prepared.sources
    if prepared.old is not None:
        yield from _recorded_plans(prepared, prepared.old, read)
    # With no row left, `cut` would still take the first part, which may start a crawl.
    elif sources is not None and limit != 0:
        digests = FileDigests(WorkFolder(options.work_folder).file_digests)
        entries = source_parts(sources.sources, options.generation_rows, crawl, digests)
        for plan in cut(entries, read, options.generation_rows, limit):
            yield plan.planned_with(politeness_of(sources), listed_sources(sources))


def politeness_of(sources: Sources) -> dict[str, object]:
    """Returns contact, network, hosts, limits and blocklists of the sources, as JSON types."""
    return sources.model_dump(
        mode="json", include={"contact", "network", "hosts", "limits", "exclude"}
    )


def listed_sources(sources: Sources) -> tuple[dict[str, object], ...]:
    """Returns the sources as the manifest names them: kind and parameters as the operator wrote
    them."""
    return tuple({"kind": spec.kind, **(spec.model_extra or {})} for spec in sources.sources)


def _recorded_plans(prepared: Prepared, old: Manifest, read: set[str]) -> Iterator[GenerationPlan]:
    work = WorkFolder(prepared.old_work)
    numbers = [one.generation for one in old.generations]
    plans = {number: _published_plan(work, number) for number in numbers}
    # Newest first: the last outcome of a URL counts.
    old_parts = tuple(
        (str(folder / FETCH_RESULTS), str(folder / IMAGE_WARC))
        for number in reversed(numbers)
        for folder in reversed(fetch_folders(work.generations, number))
    )
    # All of them before the first is rebuilt, so that a lost file is found at once.
    raws = {
        number: extract_files(work.generations, number, plan.extract_parts, RAW_CANDIDATES)
        for number, plan in plans.items()
    }
    # One generation for each old one, so that the dedupe step needs no more memory than before.
    for number, plan in plans.items():
        origins = _origins(work, number)
        # The rows of a retry are among those of the generation where they failed.
        if not read.intersection(origins) and plan.kind != "retry":
            planned = GenerationPlan(
                kind="from",
                raws=tuple(map(str, raws[number])),
                origin=origins[0],
                old_parts=old_parts,
            )
            yield planned.planned_with({}, tuple(old.sources))


def resumed_rebuild(plan: GenerationPlan, prepared: Prepared) -> GenerationPlan:
    """Returns the plan of a rebuild that was stopped, with the paths of the old corpus as it lies
    now. Raises `UsageError` without its `--from`, or with the one of another corpus."""
    corpus, out = prepared.options.from_corpus, prepared.options.out
    work = WorkFolder(prepared.old_work) if prepared.old is not None else None
    numbers = [one.generation for one in prepared.old.generations] if prepared.old else []
    if work is None or not any(plan.origin in _origins(work, number) for number in numbers):
        of_other = f" from another corpus than {corpus}" if corpus else ""
        raise UsageError(
            f"{out}: a rebuild{of_other} was started here: give the same --from again to finish it"
        )
    return plan.with_recordings_of(work)


def _origins(work: WorkFolder, number: int) -> list[str]:
    """Returns the names of a generation of an old corpus: the one that plans hold, and those of
    older builds."""
    record = load_build_record(work.root)
    by_folder = f"from:{work.generations.generation(number)}"
    # By its id, since its folder may be moved.
    return [f"from:{record.id}:{number}", by_folder] if record and record.id else [by_folder]


def _published_plan(work: WorkFolder, number: int) -> GenerationPlan:
    plan = GenerationPlan.load(work.generations, number)
    if plan is None:
        raise UsageError(
            f"{work.generations.generation(number)}: is missing or incomplete: give the corpus's "
            "work folder by --from-work"
        )
    return plan
