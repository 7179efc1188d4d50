"""What a generation will read, written down before it starts, so that a resumed build reads the same."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from wenlan_data.errors import UsageError
from wenlan_data.files import write_atomic
from wenlan_data.protocols import SourcePart
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.preflight import Prepared
from wenlan_data.source_config import Sources, SourceSpec

READ = "read.json"

UNKNOWN_ROWS = 20_000
"""What a part whose rows only reading tells (a WARC) counts for when a generation is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One extract part of a generation."""

    spec: Mapping[str, object]
    """The source: kind, base, parameters."""
    part: SourcePart
    limit: int | None = None
    stamp: str = ""
    """Identity of the file's state; a part read once in this state is not read again. Empty: always read."""
    rows: int | None = None
    """What it counts for when a generation is cut, where only reading tells the rows; None: `UNKNOWN_ROWS`."""
    pages: Mapping[str, int] = field(default_factory=dict)
    """Of a slice of a crawl: outcome (`read`, or why a page was not) to pages."""
    failed_pages: int = 0
    """Of these, how many failed in a way that may pass."""

    @property
    def reckoned_rows(self) -> int:
        """What it counts for when a generation is cut."""
        known = self.rows if self.part.rows is None else self.part.rows
        return UNKNOWN_ROWS if known is None else known

    def source(self) -> SourceSpec:
        """The source that reads it."""
        return SourceSpec.model_validate(self.spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationPlan:
    """The input of one generation."""

    kind: Literal["sources", "from", "retry"]
    entries: tuple[Entry, ...] = ()
    raws: tuple[str, ...] = ()
    """`from` and `retry`: recorded candidates, one file a part."""
    origin: str = ""
    """`from`: the old corpus and its generation."""
    old_parts: tuple[tuple[str, str], ...] = ()
    """`from`: (facts.parquet, images.warc) of every recorded fetch part, newest first."""
    manners: Mapping[str, object] = field(default_factory=dict)
    """Contact, network and hosts of the sources that it was planned with."""
    listed: tuple[Mapping[str, object], ...] = ()
    """The sources as the manifest names them."""
    cut_short: bool = False
    """`--limit` ended it."""

    def save(self, folder: Path) -> None:
        """Write `plan.json` into the generation's folder, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "plan.json", json.dumps(asdict(self), ensure_ascii=False).encode())

    @classmethod
    def load(cls, folder: Path) -> "GenerationPlan | None":
        """The plan of a generation that was begun; None where there is none."""
        path = folder / "plan.json"
        if not path.is_file():
            return None
        value = json.loads(path.read_text("utf-8"))
        value["entries"] = tuple(
            Entry(**{**entry, "part": SourcePart(**entry["part"])}) for entry in value["entries"]
        )
        value["old_parts"] = tuple((facts, warc) for facts, warc in value.get("old_parts", ()))
        return cls(**{**value, "raws": tuple(value["raws"]), "listed": tuple(value["listed"])})

    def planned_with(
        self, manners: Mapping[str, object], listed: tuple[Mapping[str, object], ...]
    ) -> "GenerationPlan":
        """The same with the sources' manners and names."""
        return replace(self, manners=manners, listed=listed)

    def reckoned_rows(self) -> int:
        """How many rows of the sources it reads, as far as that is known before; none where it reads recorded ones."""
        return sum(
            entry.reckoned_rows if entry.limit is None else entry.limit for entry in self.entries
        )

    def stamps(self) -> set[str]:
        """What need not be read again once this generation is published."""
        whole = {entry.stamp for entry in self.entries if entry.stamp and entry.limit is None}
        return whole | ({self.origin} if self.origin else set())

    def pages(self) -> dict[str, int]:
        """Of all crawled slices: outcome to pages."""
        return dict(sum((Counter(entry.pages) for entry in self.entries), Counter[str]()))

    def same_input(self, other: "GenerationPlan | None") -> bool:
        """Whether `other` reads the same, in the same parts."""
        return other is not None and (self.kind, self.entries, self.raws) == (
            other.kind,
            other.entries,
            other.raws,
        )


Crawl = Callable[[SourceSpec], Iterator[Entry] | None]
"""The entries of a source that is crawled, while it is crawled; None for any other kind."""


def source_entries(specs: Sequence[SourceSpec], max_rows: int, crawl: Crawl) -> Iterator[Entry]:
    """Every part of every source, in order. WARC sources come first: what they hold is not asked for again."""
    numbered = sorted(enumerate(specs), key=lambda pair: (pair[1].kind != "warc", pair[0]))
    folders: dict[str, str] = {}
    for number, spec in numbered:
        crawled = crawl(spec)
        if crawled is not None:
            yield from (
                replace(entry, part=replace(entry.part, source=number)) for entry in crawled
            )
            continue
        described = describe_source(spec)
        for part in spec.load().parts(source=number, max_rows=max_rows):
            yield Entry(spec=described, part=part, stamp=_stamp(part, folders))


def describe_source(spec: SourceSpec) -> dict[str, object]:
    """The source as a plan keeps it."""
    return {"kind": spec.kind, "base": spec.base, **(spec.model_extra or {})}


def cut(
    entries: Iterator[Entry], read: set[str], max_rows: int, limit: int | None
) -> Iterator[GenerationPlan]:
    """Generations of at most `max_rows` candidates (as far as rows are known), without the parts already read."""
    gathered: list[Entry] = []
    rows = taken = 0
    for entry in entries:
        if entry.stamp and entry.stamp in read:
            continue
        size = entry.reckoned_rows
        if gathered and rows + size > max_rows:
            yield GenerationPlan(kind="sources", entries=tuple(gathered))
            gathered, rows = [], 0
        if limit is not None and taken + size >= limit:
            whole = entry.part.rows is not None and taken + size == limit
            last = entry if whole else Entry(spec=entry.spec, part=entry.part, limit=limit - taken)
            yield GenerationPlan(kind="sources", entries=(*gathered, last), cut_short=True)
            return
        gathered.append(entry)
        rows += size
        taken += size
    if gathered:
        yield GenerationPlan(kind="sources", entries=tuple(gathered))


def _stamp(part: SourcePart, folders: dict[str, str]) -> str:
    path = Path(part.path)
    if path.is_dir():
        if part.path not in folders:
            folders[part.path] = _listing(path)
        state = folders[part.path]
    else:
        state = f"{part.bytes}|{path.stat().st_mtime_ns}"
    return f"{part.path}|{state}|{part.group}|{part.start}|{part.stop}"


def _listing(folder: Path) -> str:
    """A digest of names, sizes and times of all files of a folder: an added file makes all of it be looked at again."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest.update(
            f"{path}|{status.st_size}|{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()[:32]


def read_before(ledger: Ledger, published: int) -> set[str]:
    """Stamps of what published generations have read, and of parts in which nothing was new."""
    path = ledger.work / READ
    stamps = set(json.loads(path.read_text("utf-8"))) if path.is_file() else set[str]()
    for number in range(published):
        plan = GenerationPlan.load(ledger.generation(number))
        stamps |= plan.stamps() if plan else set()
    return stamps


def note_nothing_new(ledger: Ledger, plan: GenerationPlan) -> None:
    """Remember that a plan held nothing new, so that the next build need not look again."""
    path = ledger.work / READ
    stamps = set(json.loads(path.read_text("utf-8"))) if path.is_file() else set[str]()
    write_atomic(path, json.dumps(sorted(stamps | plan.stamps()), ensure_ascii=False).encode())


def new_plans(
    prepared: Prepared, read: set[str], crawl: Crawl, limit: int | None
) -> Iterator[GenerationPlan]:
    """Generations of what was not read before, at most `limit` rows; `crawl` asks for pages as they are wanted."""
    options, sources = prepared.options, prepared.sources
    if prepared.old is not None:
        yield from _recorded_plans(prepared, read)
    elif sources is not None and limit != 0:
        entries = source_entries(sources.sources, options.generation_rows, crawl)
        for plan in cut(entries, read, options.generation_rows, limit):
            yield plan.planned_with(manners_of(sources), listed_of(sources))


def manners_of(sources: Sources) -> dict[str, object]:
    """How to ask, as JSON types."""
    return sources.model_dump(
        mode="json", include={"contact", "network", "hosts", "limits", "exclude"}
    )


def listed_of(sources: Sources) -> tuple[dict[str, object], ...]:
    """The sources as the manifest names them: kind and parameters as the operator wrote them."""
    return tuple({"kind": spec.kind, **(spec.model_extra or {})} for spec in sources.sources)


def _recorded_plans(prepared: Prepared, read: set[str]) -> Iterator[GenerationPlan]:
    old = prepared.old
    if old is None:
        return
    folder = prepared.old_work / "generations"
    parts = sorted(folder.glob("*/fetch/*"), reverse=True)
    old_parts = tuple((str(one / "facts.parquet"), str(one / "images.warc")) for one in parts)
    for one in old.generations:
        generation = folder / f"{one.generation:06d}"
        origin = f"from:{generation}"
        plan = GenerationPlan.load(generation)
        if plan is None:
            raise UsageError(
                f"{generation}: is not there or not whole: give the corpus's work folder by --from-work"
            )
        # What a retry asked again stands among the rows of the generation where it failed.
        if origin not in read and plan.kind != "retry":
            raws = tuple(str(path) for path in sorted(generation.glob("extract/*/raw.parquet")))
            planned = GenerationPlan(kind="from", raws=raws, origin=origin, old_parts=old_parts)
            yield planned.planned_with({}, tuple(old.sources))
