"""Selects what the report shows of drops: examples of every reason, and groups of duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.bounded_tables import VERIFY, read_batches
from wenlan_data.errors import DamageError, WenlanError, in_short
from wenlan_data.layout import DROPS, FETCH_RESULTS, IMAGE_WARC, WorkFolder
from wenlan_data.reasons import Reason
from wenlan_data.records import parse_text
from wenlan_data.report.data import DuplicateGroup, ImageLocation, ReportItem
from wenlan_data.shard.corpus_files import corpus_file, is_inside
from wenlan_data.shard.manifest import Manifest
from wenlan_data.tables import DROPS as DROPS_SCHEMA
from wenlan_data.tables import FACTS
from wenlan_data.web.urls import url_key

MAX_EXAMPLES = 4
"""Examples shown of a reason."""
MAX_CANDIDATES = 60
"""Drops of a reason from which its examples are chosen."""
MAX_GROUPS = 24
"""Groups of duplicates shown."""
MAX_COPIES = 5
"""Copies shown in a group."""
MAX_CANDIDATE_COPIES = 20_000
"""Copies from which the groups are chosen."""
MAX_ROWS = 1_000_000
"""Drop rows that are read, newest generation first."""
BATCH_ROWS = 512
"""Rows that become Python objects at once."""
MAX_REASONS = 1000
"""Reasons that have examples, of the manifest's the most frequent."""
MAX_CANDIDATE_CHARS = 50_000_000
"""Characters of the drops from which the examples are chosen."""

_ITEM_COLUMNS = (
    "key",
    "page_url",
    "source",
    "reason",
    "detail",
    "duplicate_of",
    "phash_distance",
    "pdq_distance",
)
"""Columns of `drops/` that a `ReportItem` has under the same name and type."""
_COLUMNS = pa.schema(
    [DROPS_SCHEMA.field(name) for name in ("step", "url", "texts", *_ITEM_COLUMNS)]
)
_RESULT_COLUMNS = pa.schema([FACTS.field(name) for name in ("url_key", "warc_offset", "bytes")])


@dataclass(frozen=True, slots=True)
class DropExamples:
    """Examples by step and reason, and groups of duplicates, whose kept samples are not read."""

    by_reason: Mapping[tuple[str, str], tuple[ReportItem, ...]]
    duplicates: tuple[DuplicateGroup, ...]

    @property
    def kept_keys(self) -> list[str]:
        """Keys of the samples that the duplicates are copies of."""
        return [group.key for group in self.duplicates]


@dataclass(slots=True)
class _CandidateExamples:
    """Drops read so far, from which the examples are chosen."""

    reasons: Sequence[tuple[str, str]]
    """Step and reason; those of other drops have no examples."""
    by_reason: dict[tuple[str, str], list[ReportItem]] = field(default_factory=dict)
    copies: dict[str, list[ReportItem]] = field(default_factory=dict)
    """Key of the kept sample to its copies."""
    copy_count: int = 0
    characters: int = 0

    def add(self, step: str, item: ReportItem) -> None:
        texts = sum(len(text.text) for text in item.texts)
        self.characters += len(item.image_url) + len(item.page_url) + len(item.detail) + texts
        if self.characters > MAX_CANDIDATE_CHARS:
            return
        if item.duplicate_of:
            if self.copy_count < MAX_CANDIDATE_COPIES:
                self.copy_count += 1
                self.copies.setdefault(item.duplicate_of, []).append(item)
            return
        candidates = self.by_reason.setdefault((step, item.reason), [])
        if len(candidates) < MAX_CANDIDATES:
            candidates.append(item)

    def select_missing(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the rows of reasons that still lack candidates.

        Filters in Arrow, so that only rows that may become examples turn into Python objects.
        """
        missing = [
            f"{step}/{reason}"
            for step, reason in self.reasons
            if len(self.by_reason.get((step, reason), ())) < MAX_CANDIDATES
        ]
        names = pc.binary_join_element_wise(rows["step"], rows["reason"], "/")
        mask = pc.is_in(names, pa.array(missing, pa.string()))
        if self.copy_count >= MAX_CANDIDATE_COPIES:
            mask = pc.and_(mask, pc.equal(rows["duplicate_of"], ""))
        return rows.filter(mask)


def read_drop_examples(corpus: Path, manifest: Manifest) -> DropExamples:
    """Returns examples of every reason, and the duplicates that most need a look.

    Raises `DamageError` for a table that cannot be read.
    """
    counts = sorted(
        (-count, step, reason)
        for step, reasons in manifest.funnel.dropped.items()
        for reason, count in reasons.items()
    )
    candidates = _CandidateExamples([(step, reason) for _, step, reason in counts[:MAX_REASONS]])
    rows_read = 0
    for path, rows in _batches(corpus, manifest):
        for row in candidates.select_missing(rows).to_pylist():
            try:
                candidates.add(row["step"], _item(row, int(path.stem)))
            except (TypeError, ValueError) as error:
                raise DamageError(
                    f"{path}: a row does not fit the format ({in_short(error)}): {VERIFY}"
                ) from error
        rows_read += rows.num_rows
        if rows_read >= MAX_ROWS:
            break
    return DropExamples(
        {reason: _choose_varied(items) for reason, items in candidates.by_reason.items()},
        _choose_groups(candidates.copies),
    )


def with_recorded_images(examples: DropExamples, work: Path) -> DropExamples:
    """Returns the examples with the locations of their images in the WARC files of the work folder.

    Images that were never fetched, or that `gc --warcs` removed, have no location; nor has one
    that is excluded, which may have been fetched before it was listed.
    """
    items = [item for shown in examples.by_reason.values() for item in shown]
    items += [item for group in examples.duplicates for item in group.copies]
    locations = _find_recorded(work, items)

    def located(items: Iterable[ReportItem]) -> tuple[ReportItem, ...]:
        return tuple(
            item
            if item.reason == Reason.EXCLUDED
            else replace(item, location=locations.get((item.generation, url_key(item.image_url))))
            for item in items
        )

    return DropExamples(
        {reason: located(items) for reason, items in examples.by_reason.items()},
        tuple(replace(group, copies=located(group.copies)) for group in examples.duplicates),
    )


def _batches(corpus: Path, manifest: Manifest) -> Iterator[tuple[Path, pa.RecordBatch]]:
    """Yields path and rows of the drops tables, newest generation first."""
    for entry in reversed(manifest.drops):
        path = corpus_file(corpus, DROPS, entry.name)
        for batch in read_batches(path, _COLUMNS, nullable=["texts"], rows=BATCH_ROWS):
            yield path, batch


def _item(row: dict[str, Any], generation: int) -> ReportItem:
    return ReportItem(
        **{name: row[name] for name in _ITEM_COLUMNS},
        image_url=row["url"],
        texts=tuple(map(parse_text, row["texts"] or ())),
        generation=generation,
    )


def _choose_varied(items: Sequence[ReportItem]) -> tuple[ReportItem, ...]:
    """Returns some of the items, first those whose URL, text and detail have not occurred yet."""
    seen: Counter[tuple[str, str]] = Counter()
    ranked = []
    for position, item in enumerate(items):
        features = (
            ("url", item.image_url),
            ("text", item.texts[0].text if item.texts else ""),
            ("detail", item.detail),
        )
        ranked.append((sum(seen[feature] for feature in features), position))
        seen.update(features)
    return tuple(items[position] for _, position in sorted(ranked)[:MAX_EXAMPLES])


def _choose_groups(copies: Mapping[str, Sequence[ReportItem]]) -> tuple[DuplicateGroup, ...]:
    """Returns the groups with the largest distances, where a wrong decision would be visible."""

    def rank(key: str) -> tuple[int, int, int, str]:
        items = copies[key]
        return (
            -max(item.pdq_distance for item in items),
            -max(item.phash_distance for item in items),
            -len(items),
            key,
        )

    ranked = sorted(copies, key=rank)
    # Round-robin over the reasons, so that a frequent one leaves room for the others.
    by_reason: Counter[str] = Counter()
    rounds = []
    for key in ranked:
        reason = copies[key][0].reason
        by_reason[reason] += 1
        rounds.append((by_reason[reason], key))
    chosen = {key for _, key in sorted(rounds, key=lambda entry: entry[0])[:MAX_GROUPS]}
    return tuple(_group(key, copies[key]) for key in ranked if key in chosen)


def _group(key: str, copies: Sequence[ReportItem]) -> DuplicateGroup:
    ordered = sorted(
        copies, key=lambda item: (-item.pdq_distance, -item.phash_distance, item.image_url)
    )
    return DuplicateGroup(
        key=key,
        kept=None,
        copies=tuple(ordered[:MAX_COPIES]),
        hidden_copies=max(0, len(ordered) - MAX_COPIES),
    )


def _find_recorded(
    work: Path, items: Iterable[ReportItem]
) -> Mapping[tuple[int, str], ImageLocation]:
    """Returns the locations of recorded images by generation and URL key."""
    keys: dict[int, set[str]] = defaultdict(set)
    for item in items:
        if item.image_url:
            keys[item.generation].add(url_key(item.image_url))
    generations = WorkFolder(work).generations
    found: dict[tuple[int, str], ImageLocation] = {}
    for generation, wanted in keys.items():
        key_array = pa.array(sorted(wanted), pa.string())
        for results in generations.files(generation, "fetch", FETCH_RESULTS):
            warc = results.with_name(IMAGE_WARC)
            if not (is_inside(results, work) and is_inside(warc, work)):
                continue
            for key, offset, size in _read_results(results, key_array):
                found.setdefault((generation, key), ImageLocation(warc, offset, size))
    return found


def _read_results(path: Path, keys: pa.Array) -> list[tuple[str, int, int]]:
    """Returns URL key, WARC offset and bytes of the recorded images with one of the keys."""
    found: list[tuple[str, int, int]] = []
    try:
        for batch in read_batches(path, _RESULT_COLUMNS):
            mask = pc.and_(pc.is_in(batch["url_key"], keys), pc.greater(batch["bytes"], 0))
            rows = batch.filter(pc.and_(mask, pc.greater_equal(batch["warc_offset"], 0)))
            found += zip(*(rows[name].to_pylist() for name in _RESULT_COLUMNS.names), strict=True)
    except WenlanError:
        # `gc` may have removed the file meanwhile. A page without these images is still a page.
        return []
    return found
