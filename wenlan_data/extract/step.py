"""The extract step: reads the candidates of a part, skips those already seen, cleans their
texts."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from wenlan_data.errors import os_errors
from wenlan_data.extract.candidate_tables import (
    BATCH_ROWS,
    CandidateRow,
    DroppedRow,
    ImageIndexRow,
    ParquetWriters,
    candidates_batch,
    drops_batch,
    image_index_batch,
    raw_batch,
    read_raw,
)
from wenlan_data.extract.cleaner import CleaningDecision, TextCleaner, page_batches
from wenlan_data.extract.row_limits import MAX_FIELD_CHARACTERS, size_problem
from wenlan_data.layout import WorkFolder, ordinal
from wenlan_data.protocols import Receipt, SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.recipe import TextRules
from wenlan_data.records import Candidate, Drop, RecordedResponse, Remark, Text
from wenlan_data.seen_ids import SeenIds, candidate_id, ids_array
from wenlan_data.source_config import SourceSpec
from wenlan_data.tables import CANDIDATES, IMAGE_INDEX, RAW, WORK_DROPS
from wenlan_data.web.urls import url_key, without_user_information

_FILES = {"raw": RAW, "candidates": CANDIDATES, "drops": WORK_DROPS, "images": IMAGE_INDEX}

_COUNTED_REMARKS = ("removed", "script", "flag", "repeats")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractDetails:
    """What an extract part reports beside its counts."""

    known: int = 0
    """Candidates that an earlier generation had read."""
    rejected_texts: dict[str, int] = field(default_factory=dict)
    """Texts rejected of candidates that survived, by reason."""
    remarks: dict[str, dict[str, int]] = field(default_factory=dict)
    """Kind of remark to value to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractPart:
    """Reads one part of a source.

    Writes `raw.parquet` (every new row, texts as read), `candidates.parquet` (rows of which a text
    survived), `drops.parquet` (all other rows) and `images.parquet` (an index of the images that
    the part holds itself).
    """

    part_number: int
    source: SourceSpec
    part: SourcePart
    text: TextRules
    """The recipe's text section. A candidate without texts is dropped for the reason of its best
    rejected text, in the caption order."""
    known: tuple[str, ...] = ()
    """Files of `save_ids` with the candidates of earlier generations, which are skipped."""
    limit: int | None = None
    """Maximum number of rows that are read."""
    work: str = ""
    """Path of the work folder: origins in it are recorded relative to it."""

    def __call__(self, out: Path) -> Receipt[ExtractDetails]:
        """Writes the tables and returns the counts.

        A row that repeats another of its generation does not count as known: dedupe drops it and
        records the drop.
        """
        source = self.source.load()
        read = islice(source.read(self.part), self.limit)
        items = (_with_stored_origin(item, self.work) for item in read) if self.work else read
        rows = _source_rows(self.part_number, self.part, source.name, items)
        index = (_index_row(self.part, one) for one in source.images(self.part))
        return _extract(out, rows, index, TextCleaner.of(self.text), SeenIds(self.known))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReextractPart:
    """Cleans the rows of an earlier build again, for `--from`; their origins stay the same."""

    part_number: int
    raw: str
    """A `raw.parquet`."""
    text: TextRules

    def __call__(self, out: Path) -> Receipt[ExtractDetails]:
        """Writes the same tables and returns the same counts as `ExtractPart`."""
        rows = _renumbered(self.part_number, read_raw(self.raw))
        return _extract(out, rows, iter(()), TextCleaner.of(self.text), SeenIds(()))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPart:
    """Cleans recorded rows with given ids again, in a new generation, for `--retry-failed`."""

    part_number: int
    raws: tuple[str, ...]
    ids: str
    """A `.npy` of sorted candidate ids, S16 (N)."""
    text: TextRules

    def __call__(self, out: Path) -> Receipt[ExtractDetails]:
        """Writes the same tables as `ExtractPart`. An id that several files hold is taken once."""
        wanted = SeenIds((self.ids,))
        recorded = (row for raw in self.raws for row in read_raw(raw, wanted))
        rows = _renumbered(self.part_number, _first_of_each_id(recorded))
        return _extract(out, rows, iter(()), TextCleaner.of(self.text), SeenIds(()))


def _with_stored_origin(item: Candidate | Drop, work: str) -> Candidate | Drop:
    """Makes the path of a page that the build recorded itself relative to the work folder."""
    if isinstance(item, Drop) or item.origin is None:
        return item
    path = WorkFolder(Path(work)).stored(item.origin.path)
    return replace(item, origin=replace(item.origin, path=path))


def _first_of_each_id(rows: Iterator[CandidateRow]) -> Iterator[CandidateRow]:
    seen = set[bytes]()
    for row in rows:
        if row.candidate_id not in seen:
            seen.add(row.candidate_id)
            yield row


@dataclass(slots=True)
class _ExtractCounts:
    rows_in: int = 0
    rows_out: int = 0
    known: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    remarks: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, decision: CleaningDecision) -> None:
        """Counts the rejected texts and remarks of a candidate that survives."""
        self.rejected.update(drop.reason for _, drop in decision.cleaned.rejected)
        for _, remark in decision.cleaned.remarks:
            if remark.kind in _COUNTED_REMARKS:
                self.remarks.setdefault(remark.kind, Counter())[remark.value] += remark.count


def _extract(
    out: Path,
    rows: Iterator[CandidateRow],
    image_index: Iterator[ImageIndexRow],
    cleaner: TextCleaner,
    seen: SeenIds,
) -> Receipt[ExtractDetails]:
    counts = _ExtractCounts()
    with os_errors(out):
        with ParquetWriters(out, _FILES) as tables:
            for batch in page_batches(rows, BATCH_ROWS):
                _write_batch(tables, _new_rows(batch, seen, counts), cleaner, counts)
            while entries := list(islice(image_index, BATCH_ROWS)):
                tables.write("images", image_index_batch(entries))
        bytes_out = tables.size_bytes()
    return Receipt(
        rows_in=counts.rows_in,
        rows_out=counts.rows_out,
        bytes_out=bytes_out,
        drops=dict(sorted(counts.drops.items())),
        details=ExtractDetails(
            known=counts.known,
            rejected_texts=dict(sorted(counts.rejected.items())),
            remarks={
                kind: dict(sorted(values.items()))
                for kind, values in sorted(counts.remarks.items())
            },
        ),
    )


def _new_rows(
    batch: list[CandidateRow], seen: SeenIds, counts: _ExtractCounts
) -> list[CandidateRow]:
    is_seen = seen.contains(ids_array(row.candidate_id for row in batch)).tolist()
    new = [row for row, was_seen in zip(batch, is_seen, strict=True) if not was_seen]
    counts.known += len(batch) - len(new)
    return new


def _write_batch(
    tables: ParquetWriters, rows: list[CandidateRow], cleaner: TextCleaner, counts: _ExtractCounts
) -> None:
    surviving: list[CandidateRow] = []
    remarks: list[tuple[tuple[str, Remark], ...]] = []
    dropped: list[DroppedRow] = []
    for row, decision in cleaner(rows):
        if decision.drop:
            dropped.append(DroppedRow(row, decision.step, decision.drop))
            continue
        surviving.append(replace(row, candidate=decision.candidate))
        remarks.append(decision.cleaned.remarks)
        counts.add(decision)
    counts.rows_in += len(rows)
    counts.rows_out += len(surviving)
    counts.drops.update(one.drop.reason for one in dropped)
    tables.write("raw", raw_batch(rows))
    tables.write("candidates", candidates_batch(surviving, remarks))
    tables.write("drops", drops_batch(dropped))


def _index_row(part: SourcePart, one: RecordedResponse) -> ImageIndexRow:
    return (
        url_key(_encodable(one.url)),
        part.path,
        one.offset,
        one.sha256,
        one.is_image,
        one.transient,
        url_key(_encodable(one.redirect)) if one.redirect else "",
        part.sha256 or "",
    )


def _source_rows(
    part_number: int, part: SourcePart, source: str, items: Iterator[Candidate | Drop]
) -> Iterator[CandidateRow]:
    repeats: Counter[Drop] = Counter()
    for row_number, item in enumerate(items):
        place = ordinal(part_number, row_number)
        if isinstance(item, Candidate) and not _is_encodable(item):
            item = Drop(Reason.BAD_ENCODING, "a lone surrogate")
        if isinstance(item, Candidate) and (problem := size_problem(item)):
            item = replace(problem, page_url=item.page_url[:MAX_FIELD_CHARACTERS])
        if isinstance(item, Candidate):
            is_file = item.origin is not None and item.origin.kind == "file"
            public = item if is_file else _without_user_information(item)
            key = public.url if is_file else url_key(public.url)
            # The URL without its user information is another candidate, which may be requested.
            name = key if public.url == item.url else f"@{key}"
            yield CandidateRow(place, candidate_id(name, item.texts), public, key)
        else:
            item = _encodable_drop(replace(item, page_url=without_user_information(item.page_url)))
            texts = _identity_of_drop(part, source, item, repeats[item])
            repeats[item] += 1
            yield CandidateRow(
                ordinal=place,
                candidate_id=candidate_id("", texts),
                candidate=Candidate(url="", texts=(), page_url=item.page_url, source=source),
                url_key="",
                unreadable=item,
            )


def _without_user_information(candidate: Candidate) -> Candidate:
    """The candidate with public URLs; an image that would be requested with a name and password is
    no content, for such a URL is meant to deceive, or for one person."""
    url = without_user_information(candidate.url)
    page_url = without_user_information(candidate.page_url)
    fallback_urls = tuple(
        one for one in candidate.fallback_urls if one == without_user_information(one)
    )
    if (url, page_url, fallback_urls) == (
        candidate.url,
        candidate.page_url,
        candidate.fallback_urls,
    ):
        return candidate
    refused = url != candidate.url and candidate.origin is None
    return replace(
        candidate,
        url=url,
        page_url=page_url,
        fallback_urls=fallback_urls,
        no_content=Drop(Reason.BAD_URL, "user information") if refused else candidate.no_content,
    )


def _identity_of_drop(part: SourcePart, source: str, drop: Drop, repeats: int) -> tuple[Text, ...]:
    """What a later generation recognises an unreadable row by.

    In a file whose size is fixed: its part and error. In a folder, where positions shift when a
    file is added: its error alone. Both with the page, if it is of one. `repeats` counts equal
    errors before it.
    """
    start = part.start if part.bytes else 0
    words = [source, str(part.group), str(start), str(repeats), drop.reason, drop.detail]
    if drop.page_url:
        words.append(drop.page_url)
    return tuple(Text("", word) for word in words)


def _is_encodable(candidate: Candidate) -> bool:
    """Whether UTF-8 can hold every string; half of a surrogate pair, as in some JSON, it cannot."""
    strings = (
        candidate.url,
        candidate.page_url,
        candidate.origin.path if candidate.origin else "",
        candidate.licence,
        candidate.author,
        *candidate.opt_out,
        *candidate.fallback_urls,
        *(text.text for text in candidate.texts),
    )
    try:
        "".join(strings).encode()
    except UnicodeEncodeError:
        return False
    return True


def _encodable_drop(drop: Drop) -> Drop:
    """The drop without halves of surrogate pairs, which file names and headers may hold."""
    return replace(drop, detail=_encodable(drop.detail), page_url=_encodable(drop.page_url))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _renumbered(part_number: int, rows: Iterator[CandidateRow]) -> Iterator[CandidateRow]:
    for number, row in enumerate(map(_within_limits, rows)):
        yield replace(row, ordinal=ordinal(part_number, number))


def _within_limits(row: CandidateRow) -> CandidateRow:
    """A recorded row as it is read today: an earlier version had no limits of its size."""
    problem = None if row.unreadable else size_problem(row.candidate)
    if problem is None:
        return row
    page_url = row.candidate.page_url[:MAX_FIELD_CHARACTERS]
    candidate = Candidate(url="", texts=(), page_url=page_url, source=row.candidate.source)
    return replace(row, candidate=candidate, url_key="", unreadable=problem)
