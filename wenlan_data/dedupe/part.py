"""The work of the dedupe step: the barrier of a generation, where all its candidates are looked at together."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wenlan_data.dedupe.codes import Published
from wenlan_data.dedupe.fates import KEPT, decide_fates, infrequent
from wenlan_data.dedupe.intake import completed, read_intake
from wenlan_data.dedupe.merged import merged
from wenlan_data.dedupe.output import kept_table, reckoned_bytes, write_drops, write_index, write_shards
from wenlan_data.errors import DamageError
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import DedupeRules, ImageRules, ShardRules


@dataclass(frozen=True, kw_only=True)
class DedupePart:
    """One generation's dedupe. A function of the tables and the recipe alone; running it twice gives the same bytes."""

    generation: int
    candidates: tuple[str, ...]
    """`candidates.parquet` files in part order."""
    facts: tuple[str, ...]
    """`facts.parquet` files; the position is the number of the fetch part."""
    published: tuple[str, ...] = ()
    """Index folders of earlier generations, in order."""
    caption_order: tuple[str, ...]
    rules: DedupeRules
    max_same_text: int
    image: ImageRules
    shard: ShardRules
    first_shard: int

    def __call__(self, out: Path) -> Receipt:
        """Write `shard-NNNNNN.parquet` (`tables.KEPT`), `drops.parquet` (`tables.WORK_DROPS`) and `index/`.

        Raises `DamageError` for tables that are not whole, and if a candidate were neither kept nor dropped.
        """
        published = Published(self.published)
        intake = read_intake(self.candidates, self.facts, published)
        texts = infrequent(intake, self.published, self.max_same_text)
        fates = decide_fates(intake, texts, published, self.caption_order, self.rules)
        kept = np.flatnonzero(fates.fate == KEPT)
        kept = kept[np.argsort(fates.keys[kept])]
        write_index(out / "index", intake, fates, texts, kept)
        columns = merged(intake, texts.left, fates, merge_texts=self.rules.merge_texts)
        intake = intake.decided()
        intake = completed(intake, self.candidates, self.facts)
        drops = write_drops(out / "drops.parquet", intake, fates)
        shards = write_shards(
            out,
            reckoned_bytes(intake.facts, intake.fact[kept], self.image.max_side_px),
            self.shard,
            first=self.first_shard,
            make=lambda start, stop: kept_table(intake, fates, kept[start:stop], columns, self.caption_order),
        )
        self._check(len(intake.fact), len(kept), drops)
        return Receipt(
            rows_in=len(intake.fact),
            rows_out=len(kept),
            bytes_out=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
            drops=dict(sorted(sum(drops.values(), Counter[str]()).items())),
            details={
                "shards": shards,
                "drops": {step: dict(sorted(counts.items())) for step, counts in sorted(drops.items())},
                "frequent_texts": texts.removed,
            },
        )

    def _check(self, rows_in: int, kept: int, drops: dict[str, Counter[str]]) -> None:
        dropped = sum(counts.total() for counts in drops.values())
        if rows_in != kept + dropped:
            raise DamageError(
                f"dedupe of generation {self.generation}: {rows_in} candidates, but {kept} kept and {dropped} dropped:"
                " report this as a bug"
            )
