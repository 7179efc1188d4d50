"""The extract step: reads the candidates of one part, skips known ones, cleans texts, writes all of it down."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq

from wenlan_data.errors import os_errors
from wenlan_data.extract.candidate_tables import (
    BATCH_ROWS,
    Row,
    Tables,
    candidate_columns,
    drop_columns,
    index_columns,
    read_rows,
    unusable,
)
from wenlan_data.extract.cleaner import Cleaner, Verdict, page_batches
from wenlan_data.protocols import Receipt, SourcePart
from wenlan_data.recipe import RuleSpec, TextRules, TitleRepeats
from wenlan_data.records import Candidate, Drop, Remark, Text, Variant
from wenlan_data.seen_ids import Known, candidate_id, ids_array
from wenlan_data.source_config import SourceSpec
from wenlan_data.tables import CANDIDATES, IMAGE_INDEX, WORK_DROPS
from wenlan_data.web.urls import url_key

_FILES = {"raw": CANDIDATES, "candidates": CANDIDATES, "drops": WORK_DROPS, "images": IMAGE_INDEX}

TEXT = TextRules()

_COUNTED = ("removed", "script", "flag", "repeats")

_IndexRow = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractPart:
    """Reads one part of a source.

    Writes `raw.parquet` (every new row, texts as read), `candidates.parquet` (those of which a text survived),
    `drops.parquet` (the others) and `images.parquet` (pictures whose bytes the part brings along).
    """

    part_number: int
    source: SourceSpec
    part: SourcePart
    rules: tuple[RuleSpec, ...]
    caption_order: tuple[str, ...] = TEXT.caption
    """The text types, best first: the reason of the best rejected text is the candidate's."""
    variants: tuple[Variant, ...] = ()
    title_repeats: TitleRepeats = TEXT.title_repeats
    known: tuple[str, ...] = ()
    """Files of `save_ids`: candidates of earlier generations, skipped."""
    limit: int | None = None
    """Read at most this many rows of the part."""

    def __call__(self, out: Path) -> Receipt:
        """Details: skipped rows `known`, `ids` recorded, `rejected_texts` of survivors, `remarks` by kind and value.

        A row that repeats another of its generation is no known one: dedupe drops it with a row that says so.
        """
        source = self.source.load()
        rows = _source_rows(
            self.part_number, self.part, source.name, islice(source.read(self.part), self.limit)
        )
        index = ((url_key(url), self.part.path, offset) for url, offset in source.images(self.part))
        return _extract(out, rows, index, _cleaner(self), Known(self.known))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReextractPart:
    """Does the same from the rows that an earlier build recorded; where their bytes lie stays as it was."""

    part_number: int
    raw: str
    """A `raw.parquet`."""
    rules: tuple[RuleSpec, ...]
    caption_order: tuple[str, ...] = TEXT.caption
    variants: tuple[Variant, ...] = ()
    title_repeats: TitleRepeats = TEXT.title_repeats
    images: tuple[str, ...] = ()
    """Index files (`images.parquet`) to hand on."""

    def __call__(self, out: Path) -> Receipt:
        """As `ExtractPart`."""
        rows = _renumbered(self.part_number, read_rows(self.raw))
        cleaner = _cleaner(self)
        return _extract(out, rows, _old_index(self.images), cleaner, Known(()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPart:
    """Does the same for the recorded rows with given ids, as a part of a new generation."""

    part_number: int
    raws: tuple[str, ...]
    ids: str
    """A `.npy` of sorted candidate ids (S16)."""
    rules: tuple[RuleSpec, ...]
    caption_order: tuple[str, ...] = TEXT.caption
    variants: tuple[Variant, ...] = ()
    title_repeats: TitleRepeats = TEXT.title_repeats

    def __call__(self, out: Path) -> Receipt:
        """As `ExtractPart`; an id that several files hold is taken once."""
        wanted = Known((self.ids,))
        found = (row for raw in self.raws for row in read_rows(raw, wanted))
        rows = _renumbered(self.part_number, _each_once(found))
        return _extract(out, rows, iter(()), _cleaner(self), Known(()))


def _cleaner(part: ExtractPart | ReextractPart | RetryPart) -> Cleaner:
    rules = tuple(spec.load() for spec in part.rules)
    return Cleaner.of(rules, part.caption_order, part.variants, part.title_repeats)


def _each_once(rows: Iterator[Row]) -> Iterator[Row]:
    seen = set[bytes]()
    for row in rows:
        if row.candidate_id not in seen:
            seen.add(row.candidate_id)
            yield row


@dataclass(slots=True)
class _Counts:
    rows_in: int = 0
    rows_out: int = 0
    known: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    remarks: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        """Count what the rules saw of a candidate that survives."""
        self.rejected.update(drop.reason for _, drop in verdict.cleaned.rejected)
        for _, remark in verdict.cleaned.remarks:
            if remark.kind in _COUNTED:
                self.remarks.setdefault(remark.kind, Counter())[remark.value] += remark.count


def _extract(
    out: Path, rows: Iterator[Row], index: Iterator[_IndexRow], cleaner: Cleaner, known: Known
) -> Receipt:
    counts = _Counts()
    with os_errors(out):
        with Tables(out, _FILES) as tables:
            for batch in page_batches(rows, BATCH_ROWS):
                _write_batch(tables, _new_rows(batch, known, counts), cleaner, counts)
            while entries := list(islice(index, BATCH_ROWS)):
                tables.write("images", index_columns(entries))
        bytes_out = tables.size_bytes()
    return Receipt(
        rows_in=counts.rows_in,
        rows_out=counts.rows_out,
        bytes_out=bytes_out,
        drops=dict(sorted(counts.drops.items())),
        details={
            "known": counts.known,
            "ids": counts.rows_in,
            "rejected_texts": dict(sorted(counts.rejected.items())),
            "remarks": {
                kind: dict(sorted(values.items()))
                for kind, values in sorted(counts.remarks.items())
            },
        },
    )


def _new_rows(batch: list[Row], known: Known, counts: _Counts) -> list[Row]:
    before = known.contains(ids_array(row.candidate_id for row in batch)).tolist()
    new = [row for row, was_known in zip(batch, before, strict=True) if not was_known]
    counts.known += len(batch) - len(new)
    return new


def _write_batch(tables: Tables, rows: list[Row], cleaner: Cleaner, counts: _Counts) -> None:
    kept: list[Row] = []
    remarks: list[tuple[tuple[str, Remark], ...]] = []
    dropped: list[tuple[Row, str, Drop]] = []
    for row, verdict in cleaner(rows):
        if verdict.drop:
            dropped.append((row, verdict.step, verdict.drop))
            continue
        kept.append(replace(row, candidate=verdict.candidate))
        remarks.append(verdict.cleaned.remarks)
        counts.add(verdict)
    counts.rows_in += len(rows)
    counts.rows_out += len(kept)
    counts.drops.update(drop.reason for _, _, drop in dropped)
    tables.write("raw", candidate_columns(rows, [()] * len(rows)))
    tables.write("candidates", candidate_columns(kept, remarks))
    tables.write("drops", drop_columns(dropped))


def _source_rows(
    part_number: int, part: SourcePart, name: str, items: Iterator[Candidate | Drop]
) -> Iterator[Row]:
    alike: Counter[Drop] = Counter()
    for place, item in enumerate(items):
        ordinal = part_number << 32 | place
        checked = (
            item
            if isinstance(item, Drop) or _encodes(item)
            else Drop("bad_encoding", "a lone surrogate")
        )
        if isinstance(checked, Drop):
            # Known by its place in a file that does not change; in a folder, where places shift, by what it says.
            where = (
                name,
                str(part.group),
                str(part.start if part.bytes else 0),
                str(alike[checked]),
            )
            alike[checked] += 1
            texts = tuple(Text("", word) for word in (*where, checked.reason, checked.detail))
            yield Row(ordinal, candidate_id("", texts), unusable(checked, name), "")
        else:
            key = (
                checked.url
                if checked.stored and checked.stored.kind == "file"
                else url_key(checked.url)
            )
            yield Row(ordinal, candidate_id(key, checked.texts), checked, key)


def _encodes(candidate: Candidate) -> bool:
    """Whether UTF-8 can hold it: half of a surrogate pair, as JSON and file names have it, cannot be written."""
    path = candidate.stored.path if candidate.stored else ""
    words = (
        candidate.url,
        candidate.page_url,
        path,
        candidate.licence,
        candidate.author,
        *candidate.opt_out,
    )
    try:
        "".join((*words, *(text.text for text in candidate.texts))).encode()
    except UnicodeEncodeError:
        return False
    return True


def _renumbered(part_number: int, rows: Iterator[Row]) -> Iterator[Row]:
    return (replace(row, ordinal=part_number << 32 | place) for place, row in enumerate(rows))


def _old_index(paths: Sequence[str]) -> Iterator[_IndexRow]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
