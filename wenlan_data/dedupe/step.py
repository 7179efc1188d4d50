"""The work of the dedupe step: the barrier of a generation, where all its candidates are looked at together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.candidate_decisions import Earlier, Fates, decide_fates
from wenlan_data.dedupe.decisions import KEPT
from wenlan_data.dedupe.decontamination import load_benchmarks
from wenlan_data.dedupe.merge_texts import merged
from wenlan_data.dedupe.minhash import save_captions
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.table import Intake, completed, read_intake
from wenlan_data.dedupe.text_filter import Texts, infrequent
from wenlan_data.dedupe.write import (
    kept_table,
    reckoned_bytes,
    write_drops,
    write_index,
    write_shards,
)
from wenlan_data.errors import DamageError
from wenlan_data.index.merge import merge_last
from wenlan_data.index.published import Published
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import DedupeRules, ShardRules

INDEX, CAPTIONS = "index", "captions"


@dataclass(frozen=True, kw_only=True)
class DedupePart:
    """One generation's dedupe. A function of the tables and the recipe alone; running it twice gives the same bytes."""

    generation: int
    candidates: tuple[str, ...]
    """`candidates.parquet` files in part order."""
    facts: tuple[str, ...]
    """`facts.parquet` files; the position is the number of the fetch part."""
    published: tuple[str, ...] = ()
    """Index folders of earlier generations, in order; each may hold several."""
    near: NearFiles = field(default_factory=NearFiles)
    benchmarks: tuple[str, ...] = ()
    """What the parts of `dedupe.against` wrote."""
    captions: tuple[str, ...] = ()
    """Folders `captions/` of all earlier generations."""
    caption_order: tuple[str, ...]
    rules: DedupeRules
    max_same_text: int
    shard: ShardRules
    first_shard: int

    def __call__(self, out: Path) -> Receipt:
        """Write `shard-NNNNNN.parquet` (`tables.KEPT`), `drops.parquet` (`tables.WORK_DROPS`) and `index/`.

        Details: how many of the last `published` folders the new index `holds` as well. Raises `DamageError` for
        tables that are not whole, and if a candidate were neither kept nor dropped.
        """
        published = Published(self.published)
        benchmarks = load_benchmarks(self.benchmarks) if self.rules.against else None
        intake = read_intake(self.candidates, self.facts, published)
        texts = infrequent(intake, self.published, self.max_same_text, benchmarks)
        earlier = Earlier(
            published=published, files=self.near, benchmarks=benchmarks, captions=self.captions
        )
        fates = decide_fates(intake, texts, earlier, self.caption_order, self.rules)
        kept = np.flatnonzero(fates.fate == KEPT)
        if self.rules.text_similarity:
            save_captions(
                out / CAPTIONS, fates.keys[kept], fates.captions, self.rules.text_similarity
            )
        kept = kept[np.argsort(fates.keys[kept])]
        held = self._write_index(out / INDEX, intake, fates, texts, kept)
        columns = merged(intake, texts.left, fates, merge_texts=self.rules.merge_texts)
        intake = completed(intake.decided(), self.candidates, self.facts)
        drops = write_drops(out / "drops.parquet", intake, fates)
        shards = write_shards(
            out,
            reckoned_bytes(intake.facts, intake.fact[kept]),
            self.shard,
            first=self.first_shard,
            make=lambda start, stop: kept_table(
                intake, fates, kept[start:stop], columns, self.caption_order
            ),
        )
        self._check(len(intake.fact), len(kept), drops)
        return Receipt(
            rows_in=len(intake.fact),
            rows_out=len(kept),
            bytes_out=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
            drops=dict(sorted(sum(drops.values(), Counter[str]()).items())),
            details={
                "shards": shards,
                "drops": {
                    step: dict(sorted(counts.items())) for step, counts in sorted(drops.items())
                },
                "frequent_texts": texts.removed,
                "holds": held,
            },
        )

    def _write_index(
        self, folder: Path, intake: Intake, fates: Fates, texts: Texts, kept: NDArray[np.int64]
    ) -> int:
        write_index(folder, self.generation, intake, fates, texts, kept)
        return merge_last([Path(one) for one in self.published], folder)

    def _check(self, rows_in: int, kept: int, drops: dict[str, Counter[str]]) -> None:
        dropped = sum(counts.total() for counts in drops.values())
        if rows_in != kept + dropped:
            raise DamageError(
                f"dedupe of generation {self.generation}: {rows_in} candidates, but {kept} kept and {dropped} dropped:"
                " report this as a bug"
            )


def index_folders(parts: Sequence[Path], held: Sequence[int]) -> list[str]:
    """The index folders that hold what dedupe parts 0 to G-1 published, in order, each generation once.

    `held` is what each receipt says of `holds`, in folders; a folder that a later one holds is not asked.
    """
    folders: list[str] = []
    for part, count in zip(parts, held, strict=True):
        folders = [*folders[: len(folders) - count], str(part / INDEX)]
    return folders
