"""The steps of one generation: which parts each has, made from what the steps before committed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import pyarrow.parquet as pq

from wenlan_data.crawl.step import STATES
from wenlan_data.dedupe.near_step import NearFiles, NearPart, SelfJoinPart, near_parts
from wenlan_data.dedupe.read_benchmarks import benchmark_parts
from wenlan_data.dedupe.step import CAPTIONS, DedupePart, index_folders
from wenlan_data.extract.step import ExtractPart, ReextractPart, RetryPart
from wenlan_data.fetch.fetch_lists import SlicePart
from wenlan_data.fetch.replay import ReplayPart
from wenlan_data.fetch.step import FetchPart
from wenlan_data.protocols import Part, Receipt
from wenlan_data.recipe import Recipe, RuleSpec, TitleRepeats
from wenlan_data.records import Variant
from wenlan_data.run.generations import GenerationPlan
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.scheduler import Job
from wenlan_data.shard.drops import DropsPart
from wenlan_data.shard.step import DROPS_NAME, ShardPart
from wenlan_data.source_config import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What the parts of one generation are made from."""

    number: int
    plan: GenerationPlan
    recipe: Recipe
    sources: Sources
    ledger: Ledger
    first_shard: int
    old_parts: tuple[tuple[str, str], ...] = ()
    """`--from`: (facts.parquet, images.warc) of every recorded fetch part, newest first: the last outcome counts."""

    def files(self, step: str, numbers: Sequence[int], name: str) -> tuple[str, ...]:
        """The file `name` of parts of a committed step, in part order."""
        return tuple(str(self.ledger.part(self.number, step, number) / name) for number in numbers)

    def earlier(self, step: str, name: str) -> tuple[str, ...]:
        """The file or folder `name` of part 0 of a step, for each published generation."""
        return tuple(str(self.ledger.part(number, step, 0) / name) for number in range(self.number))

    def runs(self) -> tuple[str, ...]:
        """The index folders of what is published, in order; a folder may hold several generations."""
        parts = [self.ledger.part(number, "dedupe", 0) for number in range(self.number)]
        receipts = [self.ledger.receipt(number, "dedupe", 0) for number in range(self.number)]
        held = [cast("int", receipt.details["holds"]) if receipt else 0 for receipt in receipts]
        return tuple(index_folders(parts, held))

    def fetch_folders(self) -> tuple[str, ...]:
        """Where the fetch parts of each published generation lie."""
        return tuple(str(self.ledger.generation(number) / "fetch") for number in range(self.number))

    def benchmarks(self) -> tuple[str, ...]:
        """What the first generation read for `dedupe.against`."""
        return tuple(
            str(path) for path in sorted(self.ledger.part(0, "against", 0).parent.glob("[0-9]*"))
        )


class _Cleaning(TypedDict):
    rules: tuple[RuleSpec, ...]
    caption_order: tuple[str, ...]
    variants: tuple[Variant, ...]
    title_repeats: TitleRepeats


def extract_jobs(generation: Generation) -> list[Job]:
    """One job a planned part."""
    text = generation.recipe.text
    cleaning: _Cleaning = {
        "rules": text.rules,
        "caption_order": text.caption,
        "variants": text.variants,
        "title_repeats": text.title_repeats,
    }
    known = generation.earlier("drops", "ids.npy")
    plan = generation.plan
    if plan.kind == "from":
        return [
            Job(number=n, make=_fixed(ReextractPart(part_number=n, raw=raw, **cleaning)))
            for n, raw in enumerate(plan.raws)
        ]
    if plan.kind == "retry":
        ids = str(generation.ledger.generation(generation.number) / "retry-ids.npy")
        part = RetryPart(part_number=0, raws=plan.raws, ids=ids, **cleaning)
        return [Job(number=0, make=_fixed(part))]
    return [
        Job(
            number=n,
            make=_fixed(
                ExtractPart(
                    part_number=n,
                    source=entry.source(),
                    part=entry.part,
                    **cleaning,
                    known=known,
                    limit=entry.limit,
                )
            ),
        )
        for n, entry in enumerate(plan.entries)
    ]


def slice_jobs(
    generation: Generation, extracted: Sequence[int], indexes: tuple[str, ...]
) -> list[Job]:
    """One job: the whole generation is cut into slices at once. `indexes` list the pictures of all WARCs given."""
    part = SlicePart(
        candidates=generation.files("extract", extracted, "candidates.parquet"),
        images=indexes,
        hosts=generation.sources.hosts,
        published=generation.runs(),
        # A retry asks again for what failed in a way that may pass; nothing else does.
        earlier=() if generation.plan.kind != "sources" else generation.fetch_folders(),
        offline=generation.plan.kind == "from",
        recorded=tuple(facts for facts, _ in generation.old_parts),
    )
    return [Job(number=0, make=_fixed(part))]


def fetch_jobs(generation: Generation, sliced: Receipt) -> list[Job]:
    """One job a slice; the slices of a large host are a chain."""
    folder = generation.ledger.part(generation.number, "slice", 0)
    slices = sliced.details["slices"]
    if not isinstance(slices, list):
        raise TypeError("a slice receipt lists its slices")
    jobs = []
    for number, one in enumerate(slices):
        wanted = str(folder / str(one["name"]))
        if "earlier" in one:
            jobs.append(
                Job(number=number, make=_fixed(_recorded(generation, wanted, int(one["earlier"]))))
            )
        elif generation.plan.kind == "from":
            jobs.append(
                Job(number=number, make=_fixed(_replay(generation, wanted, int(one["recorded"]))))
            )
        else:
            jobs.append(
                Job(number=number, make=_fetch(generation, wanted), chain=str(one["chain"]))
            )
    return jobs


def against_jobs(generation: Generation) -> list[Job]:
    """The benchmarks of the recipe are read once, when the corpus is begun."""
    recipe = generation.recipe
    parts = benchmark_parts(recipe) if generation.number == 0 else []
    return [Job(number=number, make=_fixed(part)) for number, part in enumerate(parts)]


def near_jobs(generation: Generation, fetched: Mapping[int, Receipt]) -> list[Job]:
    """One job a share of the bands, and one a part of each published run; as many as the data asks for."""
    parts = _near_parts(generation, fetched)
    return [Job(number=number, make=_fixed(part)) for number, part in enumerate(parts)]


def _near_parts(generation: Generation, fetched: Mapping[int, Receipt]) -> list[NearPart]:
    rules = generation.recipe.dedupe
    if rules.radius_bits == "off":
        return []
    return near_parts(
        generation.files("fetch", list(fetched), "facts.parquet"),
        sum(receipt.rows_out for receipt in fetched.values()),
        generation.runs(),
        radius_bits=rules.radius_bits,
        verify=rules.verify == "pdq",
    )


def _near_files(generation: Generation, fetched: Mapping[int, Receipt]) -> NearFiles:
    runs = {folder: number for number, folder in enumerate(generation.runs())}
    folders = [
        (part, str(generation.ledger.part(generation.number, "near", number)))
        for number, part in enumerate(_near_parts(generation, fetched))
    ]
    return NearFiles(
        among=tuple(folder for part, folder in folders if isinstance(part, SelfJoinPart)),
        against=tuple(
            (folder, runs[part.index])
            for part, folder in folders
            if not isinstance(part, SelfJoinPart)
        ),
    )


def dedupe_jobs(
    generation: Generation, extracted: Sequence[int], fetched: Mapping[int, Receipt]
) -> list[Job]:
    """One job: the barrier of the generation."""
    recipe = generation.recipe
    part = DedupePart(
        generation=generation.number,
        candidates=generation.files("extract", extracted, "candidates.parquet"),
        facts=generation.files("fetch", list(fetched), "facts.parquet"),
        published=generation.runs(),
        near=_near_files(generation, fetched),
        benchmarks=generation.benchmarks(),
        captions=generation.earlier("dedupe", CAPTIONS) if recipe.dedupe.text_similarity else (),
        caption_order=recipe.text.caption,
        rules=recipe.dedupe,
        max_same_text=recipe.text.max_same_text,
        shard=recipe.shard,
        first_shard=generation.first_shard,
    )
    return [Job(number=0, make=_fixed(part))]


def shard_jobs(generation: Generation, deduped: Receipt, fetched: Sequence[int]) -> list[Job]:
    """One job an output shard."""
    folder = generation.ledger.part(generation.number, "dedupe", 0)
    warcs = dict(zip(fetched, generation.files("fetch", fetched, "images.warc"), strict=True))
    shards = deduped.details["shards"]
    if not isinstance(shards, list):
        raise TypeError("a dedupe receipt lists its shards")
    recipe = generation.recipe
    return [
        Job(
            number=number,
            make=_fixed(
                ShardPart(
                    shard_number=number,
                    kept=str(folder / f"shard-{number:06d}.parquet"),
                    warcs=warcs,
                    image=recipe.image,
                    detect=recipe.detect.located(),
                    shard=recipe.shard,
                    tokens=recipe.text.tokens,
                )
            ),
        )
        for number in (int(one["number"]) for one in shards)
    ]


def drops_jobs(
    generation: Generation, extracted: Sequence[int], sharded: Sequence[int]
) -> list[Job]:
    """One job: every row that was left out, in source order."""
    part = DropsPart(
        drops=(
            *generation.files("extract", extracted, "drops.parquet"),
            str(generation.ledger.part(generation.number, "dedupe", 0) / "drops.parquet"),
            *generation.files("shard", sharded, DROPS_NAME),
        ),
        raws=generation.files("extract", extracted, "raw.parquet"),
    )
    return [Job(number=0, make=_fixed(part))]


def _fixed(part: Part) -> Callable[[Receipt | None], Part]:
    return lambda _before: part


def _fetch(generation: Generation, wanted: str) -> Callable[[Receipt | None], FetchPart]:
    sources = generation.sources

    def make(before: Receipt | None) -> FetchPart:
        states = before.details.get("hosts", {}) if before else _states_of_crawl(generation, wanted)
        return FetchPart(
            wanted=wanted,
            contact=sources.contact,
            allow=sources.network.allow,
            hosts=sources.hosts,
            image=generation.recipe.image,
            jpeg_quality=generation.recipe.shard.jpeg_quality,
            host_states=states if isinstance(states, dict) else {},
            limits=sources.limits,
            exclude=sources.exclude,
        )

    return make


def _recorded(generation: Generation, wanted: str, place: int) -> ReplayPart:
    """What an earlier generation was told for these URLs; `place` as in `PublishedIndex.last_failed_fetch`."""
    folder = Path(generation.fetch_folders()[place >> 32]) / f"{place & 0xFFFFFFFF:05d}"
    warc = folder / "images.warc"
    return _judged_anew(
        generation, wanted, (str(folder / "facts.parquet"),), str(warc) if warc.exists() else ""
    )


def _states_of_crawl(generation: Generation, wanted: str) -> dict[str, dict[str, object]]:
    """What the crawl of this generation's pages learnt of the hosts of a slice: their rules, their gaps."""
    files = [
        Path(entry.part.path).with_name(STATES) for entry in generation.plan.entries if entry.pages
    ]
    if not files:
        return {}
    states: dict[str, dict[str, object]] = {}
    for file in files:
        states |= json.loads(file.read_text("utf-8")) if file.is_file() else {}
    hosts = pq.read_table(wanted, columns=["host"])["host"].unique().to_pylist()
    return {host: states[host] for host in hosts if host in states}


def _replay(generation: Generation, wanted: str, recorded: int) -> ReplayPart:
    facts, warc = generation.old_parts[recorded] if recorded >= 0 else ("", "")
    return _judged_anew(generation, wanted, (facts,) if facts else (), warc)


def _judged_anew(
    generation: Generation, wanted: str, facts: tuple[str, ...], warc: str
) -> ReplayPart:
    recipe = generation.recipe
    return ReplayPart(
        wanted=wanted,
        facts=facts,
        warc=warc,
        image=recipe.image,
        jpeg_quality=recipe.shard.jpeg_quality,
    )
