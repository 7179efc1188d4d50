"""The dedupe step: the barrier of a generation, where all its candidates are compared with each
other.

Before it, `extract` wrote the candidates, `fetch` hashed their images, and the near step searched
for pairs of near hashes. After it, `shard` writes the samples kept here into tars.

A candidate passes, in this order, through `table` (joined to the fetch result of its URL),
`exclusion`, `placeholders`, `furniture`, `text_filter`, `groups` (candidates to images), `decontamination`,
`matching` (published images) and `selection` (images of this generation). Each of them may decide
about it; `decisions` holds the result, and `write` writes it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wenlan_data.dedupe.decisions import Decisions
from wenlan_data.dedupe.decontamination import drop_contaminated, load_benchmarks
from wenlan_data.dedupe.domain_share import domain_share
from wenlan_data.dedupe.exclusion import drop_excluded
from wenlan_data.dedupe.furniture import drop_furniture, write_furniture
from wenlan_data.dedupe.groups import group_exact
from wenlan_data.dedupe.matching import drop_published
from wenlan_data.dedupe.merge_texts import merge_columns
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.placeholders import drop_placeholders
from wenlan_data.dedupe.selection import Constraints, select
from wenlan_data.dedupe.table import drop_unfetched, read_candidate_table
from wenlan_data.dedupe.text_filter import drop_near_captions, filter_texts
from wenlan_data.dedupe.write import (
    PlannedShard,
    write_captions,
    write_domain_counts,
    write_drops,
    write_index,
    write_shards,
)
from wenlan_data.errors import DamageError
from wenlan_data.index.merge import merge_last
from wenlan_data.index.published import PublishedIndex
from wenlan_data.layout import CAPTIONS_FOLDER, INDEX_FOLDER, PART_DROPS
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import DedupeRules, ShardRules
from wenlan_data.web.blocklists import NO_BLOCKLISTS, Blocklists


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupeDetails:
    """What a dedupe part reports beside its counts."""

    shards: tuple[PlannedShard, ...]
    drops: dict[str, dict[str, int]]
    """Step to reason to count."""
    frequent_texts: int
    holds: int
    """Number of published index folders, counted from the last, that were merged into the new
    one."""
    cut_texts: int = 0
    """Texts of duplicates that were left out, since a sample has enough of them."""
    blocklists: str = ""
    """Digest of the blocklists that were applied; empty for none, and for parts of older builds."""


@dataclass(frozen=True, kw_only=True)
class DedupePart:
    """Deduplicates one generation.

    A function of the tables, the recipe and the blocklists: running it twice gives the same bytes.
    """

    generation: int
    candidates: tuple[str, ...]
    """`candidates.parquet` files in part order."""
    raw: tuple[str, ...] = ()
    """`raw.parquet` files of the same parts; read if `dedupe.max_site_pages` is set."""
    fetch_results: tuple[str, ...]
    """`facts.parquet` files; the position is the number of the fetch part."""
    published: tuple[str, ...] = ()
    """Index folders of earlier generations, in order; each may hold several."""
    near: NearFiles = field(default_factory=NearFiles)
    benchmarks: tuple[str, ...] = ()
    """Folders that the parts of `dedupe.against` wrote."""
    captions: tuple[str, ...] = ()
    """Folders `captions/` of all earlier generations."""
    caption_order: tuple[str, ...]
    rules: DedupeRules
    max_same_text: int
    shard: ShardRules
    first_shard: int
    blocklists: Blocklists = NO_BLOCKLISTS

    def __call__(self, out: Path) -> Receipt[DedupeDetails]:
        """Writes `shard-NNNNNN.parquet` (`tables.KEPT`), `drops.parquet` (`tables.WORK_DROPS`) and
        `index/`.

        Raises `DamageError` for incomplete tables, and if a candidate is left without a decision.
        """
        rules, similarity = self.rules, self.rules.text_similarity
        published, benchmarks = PublishedIndex(self.published), load_benchmarks(self.benchmarks)
        table = read_candidate_table(self.candidates, self.fetch_results, published)
        # The first decision about a candidate is final, so the order of these checks is the
        # precedence of the reasons (docs/dedupe.md).
        decisions = Decisions.open(len(table))
        drop_unfetched(table, decisions)
        blocklists = self.blocklists.load()
        if blocklists.digest:
            written = table.for_output(self.candidates, self.fetch_results)
            drop_excluded(written, blocklists, decisions)
            del written
        placeholders = drop_placeholders(table, published, rules.placeholder_urls, decisions)
        furniture = drop_furniture(table, self.raw, published, rules, decisions)
        texts = filter_texts(
            table, published, self.max_same_text, self.caption_order, benchmarks, decisions
        )
        # From here on images are decided about, each with all candidates that have its bytes.
        images = group_exact(table, texts.caption_rank, rules, decisions)
        if self.benchmarks:
            drop_contaminated(table, images, benchmarks, decisions)
        drop_published(images, published, self.near, decisions)
        near_captions = domains = None
        if similarity:
            near_captions = drop_near_captions(
                images, texts, self.captions, self.caption_order, similarity, decisions
            )
        if rules.max_domain_share < 1:
            domains = domain_share(table, images, published, rules.max_domain_share)
        constraints = Constraints(near_captions=near_captions, domains=domains)
        select(images, constraints, self.near, decisions)
        self._check(decisions)

        index = out / INDEX_FOLDER
        write_index(index, self.generation, table, texts, placeholders, decisions)
        write_furniture(index, furniture)
        write_domain_counts(index, domains, images.kept(decisions))
        held = merge_last([Path(one) for one in self.published], index)
        if similarity:
            write_captions(
                out / CAPTIONS_FOLDER, table, texts, self.caption_order, similarity, decisions
            )
        # The arrays of a million images take 160 MB, and the tables written next take most.
        del images
        merged = merge_columns(table, texts.left, decisions, merge_texts=rules.merge_texts)
        table = table.for_output(self.candidates, self.fetch_results)
        drops = write_drops(out / PART_DROPS, table, decisions)
        shards = write_shards(
            out,
            table,
            merged,
            decisions,
            caption_order=self.caption_order,
            rules=self.shard,
            first_shard=self.first_shard,
        )
        return Receipt(
            rows_in=len(table),
            rows_out=len(decisions.kept),
            bytes_out=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
            drops=dict(sorted(sum(drops.values(), Counter[str]()).items())),
            details=DedupeDetails(
                shards=shards,
                drops={step: dict(counts) for step, counts in drops.items()},
                frequent_texts=texts.removed,
                cut_texts=merged.cut,
                holds=held,
                blocklists=blocklists.digest,
            ),
        )

    def _check(self, decisions: Decisions) -> None:
        undecided = int(decisions.is_open.sum())
        if undecided:
            # It would be written as a drop without a reason.
            raise DamageError(
                f"dedupe of generation {self.generation}: {undecided} candidates are undecided: "
                "this is an error of ours, report it"
            )


def index_folders(parts: Sequence[Path], held: Sequence[int]) -> list[str]:
    """The index folders of what dedupe parts 0 to G-1 published, in order, each generation once.

    `held` is the `holds` of each receipt: how many folders before it a folder replaces.
    """
    folders: list[str] = []
    for part, count in zip(parts, held, strict=True):
        folders = [*folders[: len(folders) - count], str(part / INDEX_FOLDER)]
    return folders
