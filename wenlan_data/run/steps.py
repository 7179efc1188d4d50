"""Jobs of the steps of one generation, made from what the steps before committed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from wenlan_data.arrow import read_table
from wenlan_data.crawl.frontier import load_host_states
from wenlan_data.dedupe.near_step import NearFiles, NearPart, SelfJoinPart, near_parts
from wenlan_data.dedupe.read_benchmarks import benchmark_parts
from wenlan_data.dedupe.step import DedupeDetails, DedupePart, index_folders
from wenlan_data.extract.step import ExtractDetails, ExtractPart, ReextractPart, RetryPart
from wenlan_data.fetch.fetch_lists import FetchListPart
from wenlan_data.fetch.later_lists import LaterListPart
from wenlan_data.fetch.receipts import FetchDetails, FetchList, FetchListDetails
from wenlan_data.fetch.replay import ReplayPart
from wenlan_data.fetch.step import FetchPart
from wenlan_data.layout import (
    CANDIDATE_IDS,
    CANDIDATES,
    CAPTIONS_FOLDER,
    FETCH_RESULTS,
    HOST_STATES,
    IMAGE_WARC,
    LATER_REQUESTS,
    PART_DROPS,
    RAW_CANDIDATES,
    PartRef,
    part_name,
)
from wenlan_data.part_files import check_file, checked
from wenlan_data.protocols import NoDetails, Part, Receipt
from wenlan_data.recipe import Recipe
from wenlan_data.run.generations import GenerationPlan
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.output_id import load_build_record
from wenlan_data.run.scheduler import Job, tasks_at_once
from wenlan_data.shard.drops import DropsDetails, DropsPart
from wenlan_data.shard.step import ShardDetails, ShardPart
from wenlan_data.source_config import Sources

DetailsT = TypeVar("DetailsT")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationInput:
    """What the parts of one generation are made from."""

    number: int
    plan: GenerationPlan
    recipe: Recipe
    sources: Sources
    ledger: Ledger
    first_shard: int
    most_at_once: Callable[[], int]
    """Returns how many parts run at once; starts the executor."""

    def files(self, step: str, numbers: Sequence[int], name: str) -> tuple[str, ...]:
        """Returns the file `name` of parts of a committed step, in part order."""
        return tuple(str(self.ledger.part(self.number, step, number) / name) for number in numbers)

    def earlier(self, step: str, name: str) -> tuple[str, ...]:
        """Returns the file or folder `name` of part 0 of a step, for each published generation."""
        return tuple(str(self.ledger.part(number, step, 0) / name) for number in range(self.number))

    def segments(self) -> tuple[str, ...]:
        """Returns the index folders of what is published, in order; each holds one generation or
        more."""
        return tuple(published_segments(self.ledger, self.number))

    def fetch_folders(self) -> tuple[str, ...]:
        """Returns the folder of the fetch parts of each published generation."""
        return tuple(str(self.ledger.tree.step(number, "fetch")) for number in range(self.number))

    def benchmarks(self) -> tuple[str, ...]:
        """Returns the folders in which the first generation stored the benchmarks' hashes."""
        record = load_build_record(self.ledger.folder.root)
        if record is None or record.benchmark_parts is None:
            # Of an older build. By number: only a committed part has such a name.
            found = sorted(self.ledger.tree.step(0, "against").glob("[0-9]*"))
            return tuple(map(str, found))
        for number in range(record.benchmark_parts):
            self.ledger.committed(0, "against", number, NoDetails)
        return tuple(
            str(self.ledger.part(0, "against", number)) for number in range(record.benchmark_parts)
        )

    @property
    def work(self) -> str:
        """The work folder, which stored paths start from."""
        return str(self.ledger.folder.root)


def published_segments(ledger: Ledger, published: int) -> list[str]:
    """Returns the index folders that hold what the first `published` generations published."""
    # From the receipts: they state which segments a later one has merged into itself. With both
    # listed, published images would be searched and counted twice.
    parts = [ledger.part(number, "dedupe", 0) for number in range(published)]
    receipts = [ledger.committed(number, "dedupe", 0, DedupeDetails) for number in range(published)]
    return index_folders(parts, [receipt.details.holds for receipt in receipts])


def extract_jobs(generation: GenerationInput) -> list[Job[ExtractDetails]]:
    """Returns one job for each planned part."""
    text = generation.recipe.text
    plan = generation.plan
    if plan.kind == "from":
        return [
            _job(number, ReextractPart(part_number=number, raw=raw, text=text))
            for number, raw in enumerate(plan.raws)
        ]
    if plan.kind == "retry":
        # One part for all files: an id may be recorded in several generations, and is taken once.
        ids = generation.ledger.tree.retry_ids(generation.number)
        if plan.retry_ids:
            remedy = f"restore it from a copy, or remove {ids.parent}: the retry then starts again"
            check_file(ids, plan.retry_ids, remedy)
        return [_job(0, RetryPart(part_number=0, raws=plan.raws, ids=str(ids), text=text))]
    # Ids of samples and drops alike: a table that has grown is read again as a whole, and only its
    # new rows may become candidates.
    known = generation.earlier("drops", CANDIDATE_IDS)
    return [
        _job(
            number,
            ExtractPart(
                part_number=number,
                source=entry.source(),
                part=entry.part,
                known=known,
                limit=entry.limit,
                text=text,
                work=generation.work,
            ),
        )
        for number, entry in enumerate(plan.entries)
    ]


def fetch_list_jobs(
    generation: GenerationInput, extracted: Sequence[int], indexes: tuple[str, ...]
) -> list[Job[FetchListDetails]]:
    """Returns one job that cuts the whole generation into fetch lists.

    `indexes` are image indexes of WARC sources; the images that they list are not requested.
    """
    # One part, although it is a barrier: candidates of different extract parts may name the same
    # URL, which is requested once.
    part = FetchListPart(
        candidates=generation.files("extract", extracted, CANDIDATES),
        images=indexes,
        retry=generation.plan.kind == "retry",
        hosts=generation.sources.hosts,
        published=generation.segments(),
        # A retry repeats transient failures; other builds request no URL again that gave no sample.
        earlier=generation.fetch_folders() if generation.plan.kind == "sources" else (),
        offline=generation.plan.kind == "from",
        recorded=tuple(results for results, _ in generation.plan.old_parts),
    )
    return [_job(0, part)]


def fetch_jobs(
    generation: GenerationInput, lists: Receipt[FetchListDetails]
) -> list[Job[FetchDetails]]:
    """Returns one job for each fetch list; the lists of a large host form a chain."""
    folder = generation.ledger.part(generation.number, "slice", 0)
    states = _CrawlStates(generation)
    jobs: list[Job[FetchDetails]] = []
    chains = tuple(one.chain for one in lists.details.fetch_lists)
    for number, one in enumerate(lists.details.fetch_lists):
        fetch_list = str(folder / one.name)
        # These URLs were requested before and led to no sample. A new text for one of them is no
        # reason to request it again.
        if one.earlier is not None:
            jobs.append(
                _job(
                    number,
                    _replay_earlier_generation(generation, fetch_list, PartRef.unpack(one.earlier)),
                )
            )
        elif generation.plan.kind == "from":
            jobs.append(_job(number, _replay_old_corpus(generation, fetch_list, one.recorded)))
        else:
            # Two workers at one host would double its request rate; in a chain each list also
            # inherits the gap, robots.txt and failures that the one before has met.
            make = _fetch(generation, fetch_list, chains, states)
            jobs.append(Job(number=number, make=make, chain=one.chain))
    return jobs


def later_list_jobs(
    generation: GenerationInput,
    pass_number: int,
    last: Mapping[int, Receipt[FetchDetails]],
    fetched: Mapping[int, Receipt[FetchDetails]],
) -> list[Job[FetchListDetails]]:
    """Returns the job that cuts what the pass before left, for pass `pass_number`; none where it
    left nothing.

    `last` are the parts of the pass before, `fetched` those of all passes.
    """
    numbers = [number for number, receipt in last.items() if receipt.details.later]
    if not numbers:
        return []
    beside = {
        host: tuple(map(str, hosts))
        for host, state in _host_states(fetched).items()
        if isinstance(hosts := state.get("robots_at"), list | tuple)
    }
    part = LaterListPart(
        later=generation.files("fetch", numbers, LATER_REQUESTS),
        hosts=generation.sources.hosts,
        beside=beside,
    )
    return [_job(pass_number, part)]


def later_fetch_jobs(
    generation: GenerationInput,
    pass_number: int,
    lists: Receipt[FetchListDetails],
    fetched: Mapping[int, Receipt[FetchDetails]],
) -> list[Job[FetchDetails]]:
    """Returns one job for each fetch list of a later pass; their numbers follow those of `fetched`,
    the parts of all earlier passes."""
    folder = generation.ledger.part(generation.number, "slice", pass_number)
    states = _host_states(fetched)
    chains = tuple(one.chain for one in lists.details.fetch_lists)
    return [
        Job(
            number=len(fetched) + number,
            make=_fetch_later(generation, folder, one, states, chains),
            chain=one.chain,
        )
        for number, one in enumerate(lists.details.fetch_lists)
    ]


def _host_states(
    fetched: Mapping[int, Receipt[FetchDetails]],
) -> dict[str, dict[str, object]]:
    """Returns the last state of each host that these parts contacted."""
    states: dict[str, dict[str, object]] = {}
    # In the order of numbers, which is that of each chain.
    for receipt in fetched.values():
        states |= receipt.details.hosts
    return states


def benchmark_jobs(generation: GenerationInput) -> list[Job[NoDetails]]:
    """Returns the jobs that read the recipe's benchmarks; only the first generation has any."""
    # The recipe of an output never changes, so what generation 0 read serves all later ones.
    parts = benchmark_parts(generation.recipe) if generation.number == 0 else []
    return [_job(number, part) for number, part in enumerate(parts)]


def near_jobs(
    generation: GenerationInput, fetched: Mapping[int, Receipt[FetchDetails]]
) -> list[Job[NoDetails]]:
    """Returns one job for each share of the bands, and one for each part of a published segment."""
    # The position in this list is the part's number, in `_near_files` too. The list depends on the
    # numbers of codes alone, so a resumed build with other workers finds the same.
    parts = _near_parts(generation, fetched)
    return [_job(number, part) for number, part in enumerate(parts)]


def _near_parts(
    generation: GenerationInput, fetched: Mapping[int, Receipt[FetchDetails]]
) -> list[NearPart]:
    rules = generation.recipe.dedupe
    if rules.radius_bits == "off":
        return []
    return near_parts(
        generation.files("fetch", list(fetched), FETCH_RESULTS),
        sum(receipt.rows_out for receipt in fetched.values()),
        generation.segments(),
        radius_bits=rules.radius_bits,
        verify=rules.verify == "pdq",
    )


def _near_files(
    generation: GenerationInput, fetched: Mapping[int, Receipt[FetchDetails]]
) -> NearFiles:
    # The dedupe step refers to a segment by its position among the published ones.
    segments = {folder: number for number, folder in enumerate(generation.segments())}
    folders = [
        (part, str(generation.ledger.part(generation.number, "near", number)))
        for number, part in enumerate(_near_parts(generation, fetched))
    ]
    return NearFiles(
        self_join=tuple(folder for part, folder in folders if isinstance(part, SelfJoinPart)),
        cross_join=tuple(
            (folder, segments[part.index])
            for part, folder in folders
            if not isinstance(part, SelfJoinPart)
        ),
    )


def dedupe_jobs(
    generation: GenerationInput,
    extracted: Sequence[int],
    fetched: Mapping[int, Receipt[FetchDetails]],
) -> list[Job[DedupeDetails]]:
    """Returns one job: the barrier of the generation."""
    recipe = generation.recipe
    # One part: which image of a group is kept depends on all images of the generation.
    part = DedupePart(
        generation=generation.number,
        candidates=generation.files("extract", extracted, CANDIDATES),
        raw=generation.files("extract", extracted, RAW_CANDIDATES),
        fetch_results=generation.files("fetch", list(fetched), FETCH_RESULTS),
        published=generation.segments(),
        near=_near_files(generation, fetched),
        benchmarks=generation.benchmarks(),
        captions=(
            generation.earlier("dedupe", CAPTIONS_FOLDER) if recipe.dedupe.text_similarity else ()
        ),
        caption_order=recipe.text.caption,
        rules=recipe.dedupe,
        max_same_text=recipe.text.max_same_text,
        shard=recipe.shard,
        # Shard numbers continue over generations: published shards are never renamed or rewritten.
        first_shard=generation.first_shard,
        # Applied again: an entry may have been listed after the fetch step.
        blocklists=generation.sources.exclude,
    )
    return [_job(0, part)]


def shard_jobs(
    generation: GenerationInput, deduped: Receipt[DedupeDetails], fetched: Sequence[int]
) -> list[Job[ShardDetails]]:
    """Returns one job for each output shard."""
    folder = generation.ledger.part(generation.number, "dedupe", 0)
    # A kept row names its image by fetch part and offset: workers read the bytes from these files,
    # none pass through the driver.
    warcs = dict(zip(fetched, generation.files("fetch", fetched, IMAGE_WARC), strict=True))
    recipe = generation.recipe
    return [
        _job(
            shard.number,
            ShardPart(
                shard_number=shard.number,
                kept=str(folder / f"shard-{shard.number:06d}.parquet"),
                warcs=warcs,
                image=recipe.image,
                # Absolute: a worker elsewhere has another working directory.
                detect=recipe.detect.located(),
                shard=recipe.shard,
                tokens=recipe.text.tokens,
            ),
        )
        for shard in deduped.details.shards
    ]


def drops_jobs(
    generation: GenerationInput, extracted: Sequence[int], sharded: Sequence[int]
) -> list[Job[DropsDetails]]:
    """Returns one job that gathers every dropped row, in source order."""
    part = DropsPart(
        drops=(
            *generation.files("extract", extracted, PART_DROPS),
            str(generation.ledger.part(generation.number, "dedupe", 0) / PART_DROPS),
            *generation.files("shard", sharded, PART_DROPS),
        ),
        # Not `CANDIDATES`: the ids of rows that lost all texts must be known to later generations
        # too.
        raws=generation.files("extract", extracted, RAW_CANDIDATES),
    )
    return [_job(0, part)]


def _job(number: int, part: Part[DetailsT]) -> Job[DetailsT]:
    return Job(number=number, make=lambda _before: part)


def _fetch(
    generation: GenerationInput, fetch_list: str, chains: Sequence[str], states: "_CrawlStates"
) -> Callable[[Receipt[FetchDetails] | None], FetchPart]:
    def make(before: Receipt[FetchDetails] | None) -> FetchPart:
        # The receipt before is newer than the crawl: it has the crawl's states already.
        known = before.details.hosts if before else states.of(fetch_list)
        return _fetch_part(generation, fetch_list, chains, known)

    return make


def _fetch_later(
    generation: GenerationInput,
    folder: Path,
    one: FetchList,
    states: Mapping[str, dict[str, object]],
    chains: Sequence[str],
) -> Callable[[Receipt[FetchDetails] | None], FetchPart]:
    fetch_list = str(folder / one.name)

    def make(before: Receipt[FetchDetails] | None) -> FetchPart:
        hosts = read_table(checked(fetch_list), ["host"])["host"].unique().to_pylist()
        known = {host: states[host] for host in (*hosts, *one.own_hosts) if host in states}
        part = _fetch_part(
            generation, fetch_list, chains, known | (before.details.hosts if before else {})
        )
        return replace(part, own_hosts=one.own_hosts)

    return make


def _fetch_part(
    generation: GenerationInput,
    fetch_list: str,
    chains: Sequence[str],
    states: dict[str, dict[str, object]],
) -> FetchPart:
    # Only now: a build that has all its parts starts no executor.
    workers = tasks_at_once(generation.most_at_once(), chains)
    return FetchPart(
        fetch_list=fetch_list,
        politeness=replace(generation.sources.politeness, workers=workers),
        image=generation.recipe.image,
        jpeg_quality=generation.recipe.shard.jpeg_quality,
        host_states=states,
        work=generation.work,
    )


class _CrawlStates:
    """The states that the crawl of a generation's pages left of their hosts.

    Without them, robots.txt of every host would be requested a second time.
    """

    def __init__(self, generation: GenerationInput) -> None:
        entries = (entry for entry in generation.plan.entries if entry.is_crawled)
        self._files = [Path(entry.part.path).with_name(HOST_STATES) for entry in entries]
        self._states: dict[str, dict[str, object]] | None = None

    def of(self, fetch_list: str) -> dict[str, dict[str, object]]:
        """Returns the states of a fetch list's hosts."""
        if not self._files:
            return {}
        if self._states is None:
            # Once a generation: each of the fetch lists needs a few hosts of any of the files.
            self._states = {}
            for file in self._files:
                self._states |= load_host_states(file)
        hosts = read_table(checked(fetch_list), ["host"])["host"].unique().to_pylist()
        return {host: self._states[host] for host in hosts if host in self._states}


def _replay_earlier_generation(
    generation: GenerationInput, fetch_list: str, earlier: PartRef
) -> ReplayPart:
    """Returns a part that repeats the outcomes of an earlier part, without a request."""
    # Replayed rather than linked: the list names only some URLs of the old part, whose stored JPEGs
    # were removed when it was published.
    folder = Path(generation.fetch_folders()[earlier.generation]) / part_name(earlier.part)
    warc = folder / IMAGE_WARC
    results = str(folder / FETCH_RESULTS)
    return _replay_part(generation, fetch_list, (results,), str(warc) if warc.exists() else "")


def _replay_old_corpus(generation: GenerationInput, fetch_list: str, recorded: int) -> ReplayPart:
    results, warc = generation.plan.old_parts[recorded] if recorded >= 0 else ("", "")
    return _replay_part(generation, fetch_list, (results,) if results else (), warc)


def _replay_part(
    generation: GenerationInput, fetch_list: str, results: tuple[str, ...], warc: str
) -> ReplayPart:
    recipe = generation.recipe
    return ReplayPart(
        fetch_list=fetch_list,
        results=results,
        warc=warc,
        image=recipe.image,
        jpeg_quality=recipe.shard.jpeg_quality,
    )
