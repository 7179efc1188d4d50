"""Small tables of candidates and fetch results for the tests of the dedupe step."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.dedupe.step import DedupeDetails, DedupePart, index_folders
from wenlan_data.layout import CAPTIONS_FOLDER, PART_DROPS
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import DedupeRules, ShardRules
from wenlan_data.records import MIN_CAPTION_CONFIDENCE, Text
from wenlan_data.tables import CANDIDATES, FACTS, RAW

ORDER = ("caption", "alt", "title")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A candidate and what its URL gave."""

    url: str
    texts: tuple[tuple[str, str], ...] = (("caption", "一只猫"),)
    confidence: tuple[float, ...] = ()
    """Of each text; 1 for those that it does not reach."""
    content: str = ""
    """Names the bytes; the URL itself when empty."""
    phash: int = 0
    pdq: int = 0
    colours: bytes = bytes([128] * 8)
    width: int = 640
    height: int = 480
    reason: str = ""
    format: str = "jpeg"
    bytes: int = 10_000
    encoded_bytes: int = 0
    opt_out: tuple[str, ...] = ()
    """Seen by the page's side (the candidate)."""
    fetched_opt_out: tuple[str, ...] = ()
    page: str = ""
    """URL of the page; the image's with `.html` when empty."""
    requested: bool = True
    """False: the URL was left out of the fetch lists, since it is published."""

    @property
    def page_url(self) -> str:
        return self.page or f"{self.url}.html"

    @property
    def sha256(self) -> str:
        return (
            "" if self.reason else hashlib.sha256((self.content or self.url).encode()).hexdigest()
        )


def typed_texts(row: Row) -> list[Text]:
    """The texts with their confidence; doubtful ones are in the block below the image."""
    confidence = [*row.confidence, *([1.0] * (len(row.texts) - len(row.confidence)))]
    return [
        Text(kind, text, "below" if one < MIN_CAPTION_CONFIDENCE else "attribute", one)
        for (kind, text), one in zip(row.texts, confidence, strict=True)
    ]


def candidate(row: Row, ordinal: int) -> dict[str, object]:
    """The row of `tables.CANDIDATES`."""
    identity = hashlib.sha256(f"{row.url}{row.texts}".encode()).digest()[:16]
    return {
        "ordinal": ordinal,
        "candidate_id": identity,
        "url": row.url,
        "url_key": row.url,
        "texts": [asdict(text) for text in typed_texts(row)],
        "page_url": row.page_url,
        "source": "table:t.csv",
        "licence": "",
        "author": "",
        "opt_out": list(row.opt_out),
        "supply": "web",
        "supply_path": "",
        "supply_offset": 0,
    }


def raw_row(row: Row, ordinal: int) -> dict[str, object]:
    """The row of `tables.RAW`."""
    return {**candidate(row, ordinal), "reason": "", "detail": ""}


def fetch_result(row: Row, ordinal: int) -> dict[str, object]:
    """The row of `tables.FACTS`."""
    return {
        "ordinal": ordinal,
        "url": row.url,
        "url_key": row.url,
        "reason": row.reason,
        "detail": "seen" if row.reason else "",
        "retryable": row.reason == "timeout",
        "sha256": row.sha256,
        "bytes": row.bytes,
        "format": row.format,
        "width": row.width,
        "height": row.height,
        "phash": row.phash,
        "pdq": row.pdq.to_bytes(32, "big"),
        "colours": bytes(8) if row.reason else row.colours,
        "warc_offset": ordinal * 100,
        "final_url": row.url,
        "status": 200,
        "ip": "127.0.0.1",
        "fetched_at": datetime(2026, 1, 1, tzinfo=UTC),
        "opt_out": list(row.fetched_opt_out),
        "encoded_offset": 0 if row.encoded_bytes else -1,
        "encoded_bytes": row.encoded_bytes,
        "encoded_crc32c": 0,
    }


def write_tables(
    folder: Path, rows: Sequence[Row], part_rows: int = 1 << 30
) -> tuple[list[str], list[str]]:
    """Writes the rows as candidates and fetch results, cut into parts. Returns the paths of both."""
    folder.mkdir(parents=True, exist_ok=True)
    candidates, fetch_results = [], []
    seen: set[str] = set()
    for number, start in enumerate(range(0, len(rows), part_rows)):
        numbered = [
            (number << 32 | i, row) for i, row in enumerate(rows[start : start + part_rows])
        ]
        new = []
        for ordinal, row in numbered:
            if row.requested and row.url not in seen:
                seen.add(row.url)
                new.append(fetch_result(row, ordinal))
        candidates.append(str(folder / f"candidates-{number}.parquet"))
        fetch_results.append(str(folder / f"fetch_results-{number}.parquet"))
        pq.write_table(
            pa.Table.from_pylist([candidate(r, o) for o, r in numbered], CANDIDATES), candidates[-1]
        )
        pq.write_table(pa.Table.from_pylist(new, FACTS), fetch_results[-1])
    return candidates, fetch_results


def write_raw(
    folder: Path, rows: Sequence[Row], others: Sequence[Row], part_rows: int = 1 << 30
) -> list[str]:
    """Writes the raw rows of the same parts. `others` are no candidates; they come in a part of
    their own and, every second one, after the candidates of the first part."""
    parts = [list(rows[start : start + part_rows]) for start in range(0, len(rows), part_rows)]
    if parts:
        parts[0] += others[::2]
    parts.append(list(others[1::2] if parts else others))
    paths = []
    for number, part in enumerate(parts):
        made = [raw_row(row, number << 32 | i) for i, row in enumerate(part)]
        paths.append(str(folder / f"raw-{number}.parquet"))
        pq.write_table(pa.Table.from_pylist(made, RAW), paths[-1])
    return paths


def part_of(
    candidates: Sequence[str], fetch_results: Sequence[str], published: Sequence[Path] = ()
) -> DedupePart:
    """The part with a plain recipe."""
    return DedupePart(
        generation=len(published),
        candidates=tuple(candidates),
        fetch_results=tuple(fetch_results),
        published=tuple(index_folders(list(published), [held(folder) for folder in published])),
        captions=tuple(str(folder / CAPTIONS_FOLDER) for folder in published),
        caption_order=ORDER,
        rules=DedupeRules(),
        max_same_text=1000,
        shard=ShardRules(),
        first_shard=0,
    )


def held(folder: Path) -> int:
    """How many earlier indexes the one of this generation holds."""
    return int((folder / "holds").read_text())


@dataclass(frozen=True)
class Run:
    """What a run wrote."""

    receipt: Receipt[DedupeDetails]
    kept: list[dict[str, object]]
    drops: list[dict[str, object]]

    def kept_urls(self) -> list[str]:
        return sorted(str(row["url"]) for row in self.kept)

    def reasons(self) -> dict[object, object]:
        """URL to reason of each drop (of the last drop of that URL)."""
        return {row["url"]: row["reason"] for row in self.drops}


def run(
    out: Path,
    rows: Sequence[Row],
    published: Sequence[Path] = (),
    part_rows: int = 1 << 30,
    others: Sequence[Row] = (),
    **changes: object,
) -> Run:
    """Dedupe the rows into the new folder `out`, with changed fields of the part.

    `others` are rows that the step `extract` dropped.
    """
    folder = out.with_name(out.name + "-in")
    tables = write_tables(folder, rows, part_rows)
    raw = tuple(write_raw(folder, rows, others, part_rows))
    out.mkdir()
    part = replace(part_of(*tables, published), raw=raw)
    receipt = replace(part, **changes)(out)  # type: ignore[arg-type]
    (out / "holds").write_text(str(receipt.details.holds))
    return read(out, receipt)


def read(out: Path, receipt: Receipt[DedupeDetails]) -> Run:
    """The rows that were written."""
    kept = [
        row
        for path in sorted(out.glob("shard-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    return Run(receipt, kept, pq.read_table(out / PART_DROPS).to_pylist())
