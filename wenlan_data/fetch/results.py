"""What became of each wanted picture, gathered row by row and written as one `facts.parquet`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.fetch.jpeg_store import NOT_ENCODED, Encoded
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.image.hash import NO_COLOURS
from wenlan_data.protocols import Receipt
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.tables import FACTS, WANTED

EPOCH = datetime.fromtimestamp(0, UTC)
_NO_PDQ = bytes(32)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One row of a slice, see `tables.WANTED`."""

    ordinal: int
    url: str
    url_key: str
    host: str
    supply: str
    supply_path: str
    supply_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One row of the facts but for what it shares with the wanted row.

    A picture that was rejected but recorded keeps offset, length and digest: another recipe may judge it.
    """

    found: ImageFacts | Drop
    warc_offset: int = -1
    """Of the first byte in `images.warc`; -1 where nothing was recorded."""
    bytes: int = 0
    sha256: str = ""
    final_url: str = ""
    status: int = 0
    ip: str = ""
    fetched_at: datetime = EPOCH
    opt_out: tuple[str, ...] = ()
    encoded: Encoded = NOT_ENCODED


def read_wanted(path: str | Path) -> list[Wanted]:
    """The rows of a slice, in order."""
    with os_errors(path):
        table = pq.read_table(path, schema=WANTED)
    return [
        Wanted(*row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)
    ]


def read_outcomes(paths: Sequence[str]) -> dict[str, Outcome]:
    """What `facts.parquet` files say, by `url_key`; the first row of a key counts."""
    outcomes: dict[str, Outcome] = {}
    for path in paths:
        with os_errors(path):
            table = pq.read_table(path, schema=FACTS)
        for row in table.to_pylist():
            outcomes.setdefault(row["url_key"], _outcome(row))
    return outcomes


def write_facts(path: Path, wanted: Sequence[Wanted], outcomes: Sequence[Outcome | None]) -> None:
    """Write one row for each wanted one, in order. Raises `DamageError` where a row has no outcome."""
    rows = []
    for row, outcome in zip(wanted, outcomes, strict=True):
        if outcome is None:
            raise DamageError(
                f"{path}: {row.url} was neither fetched nor dropped: this is an error of ours, report it"
            )
        rows.append(_row(row, outcome))
    columns = zip(*rows, strict=True) if rows else [()] * len(FACTS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, FACTS, strict=True)]
    with os_errors(path):
        pq.write_table(pa.table(arrays, schema=FACTS), path, compression="zstd")


def receipt_of(
    outcomes: Sequence[Outcome | None], bytes_out: int, details: dict[str, object]
) -> Receipt[FetchDetails]:
    """The receipt of a part with these outcomes."""
    drops = Counter(one.found.reason for one in outcomes if one and isinstance(one.found, Drop))
    good = sum(1 for one in outcomes if one and not isinstance(one.found, Drop))
    return Receipt(
        rows_in=len(outcomes),
        rows_out=good,
        bytes_out=bytes_out,
        drops=dict(sorted(drops.items())),
        details=FetchDetails(**details),  # type: ignore[arg-type]
    )


def _row(row: Wanted, one: Outcome) -> tuple[object, ...]:
    found = one.found
    if isinstance(found, Drop):
        judged: tuple[object, ...] = (
            found.reason,
            found.detail,
            found.retryable,
            one.sha256,
            one.bytes,
        )
        judged += ("", 0, 0, 0, _NO_PDQ, NO_COLOURS)
    else:
        judged = ("", "", False, found.sha256, found.bytes)
        judged += (found.format, found.width, found.height, found.phash, found.pdq, found.colours)
    seen = (one.warc_offset, one.final_url, one.status, one.ip, one.fetched_at, list(one.opt_out))
    encoded = (one.encoded.offset, one.encoded.bytes, one.encoded.crc32c)
    return (row.ordinal, row.url, row.url_key, *judged, *seen, *encoded)


def _outcome(row: dict[str, object]) -> Outcome:
    return Outcome(
        found=_found(row),
        **{
            name: row[name]
            for name in (
                "warc_offset",
                "bytes",
                "sha256",
                "final_url",
                "status",
                "ip",
                "fetched_at",
            )
        },  # type: ignore[arg-type]
        opt_out=tuple(row["opt_out"]),  # type: ignore[arg-type]
    )


def _found(row: dict[str, object]) -> ImageFacts | Drop:
    if row["reason"]:
        return Drop(row["reason"], row["detail"], row["retryable"])  # type: ignore[arg-type]
    names = ("sha256", "bytes", "format", "width", "height", "phash", "pdq", "colours")
    return ImageFacts(**{name: row[name] for name in names})  # type: ignore[arg-type]
