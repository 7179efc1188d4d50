"""Which generations come next: what was begun, what failed before, what is new."""

import json
from collections.abc import Iterator

from wenlan_data.errors import UsageError
from wenlan_data.run.ledger import Ledger, replace_synced
from wenlan_data.run.planned import Crawl, GenerationPlan, cut, source_entries
from wenlan_data.run.setup import Prepared
from wenlan_data.sources import Sources

READ = "read.json"


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
    replace_synced(path, json.dumps(sorted(stamps | plan.stamps()), ensure_ascii=False).encode())


def new_plans(prepared: Prepared, read: set[str], crawl: Crawl, limit: int | None) -> Iterator[GenerationPlan]:
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
    return sources.model_dump(mode="json", include={"contact", "network", "hosts", "limits", "exclude"})


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
            raise UsageError(f"{generation}: is not there or not whole: give the corpus's work folder by --from-work")
        # What a retry asked again stands among the rows of the generation where it failed.
        if origin not in read and plan.kind != "retry":
            raws = tuple(str(path) for path in sorted(generation.glob("extract/*/raw.parquet")))
            planned = GenerationPlan(kind="from", raws=raws, origin=origin, old_parts=old_parts)
            yield planned.planned_with({}, tuple(old.sources))
