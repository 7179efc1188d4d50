"""Runs a fetch over a few URLs and returns its fetch results."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.fetch.step import FetchPart
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import Receipt
from wenlan_data.tables import WANTED
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.urls import host_of, url_key

FAST = HostLimits(min_gap_s=0)
QUICK = Limits(
    connect_s=1,
    tls_s=1,
    first_byte_s=0.4,
    total_s=2,
    rate_window_s=0.5,
    max_image_bytes=300_000,
    backoff_s=0.01,
    tdmrep=False,
)

Row = dict[str, object]


def write_fetch_list(path: Path, rows: list[Row]) -> Path:
    """Writes a fetch list of these rows; `url` alone is enough for a row of the web."""
    full = [
        {
            "ordinal": ordinal,
            "url_key": url_key(str(row["url"])),
            "host": host_of(str(row["url"])),
            "supply": "web",
            "supply_path": "",
            "supply_offset": 0,
            "fallback_urls": [],
            **row,
        }
        for ordinal, row in enumerate(rows)
    ]
    pq.write_table(pa.Table.from_pylist(full, schema=WANTED), path)
    return path


def part_for(folder: Path, rows: list[Row], hosts: dict[str, HostLimits]) -> FetchPart:
    """A quick fetch of these rows; the hosts are open on purpose."""
    return FetchPart(
        fetch_list=str(write_fetch_list(folder / "fetch-list.parquet", rows)),
        politeness=Politeness(allow=tuple(hosts), hosts=hosts, limits=QUICK),
        image=ImageRules(),
    )


def run(part: FetchPart, folder: Path) -> tuple[list[Row], Receipt[FetchDetails]]:
    """The rows of `facts.parquet` and the receipt."""
    out = folder / "out"
    out.mkdir()
    receipt = part(out)
    return pq.read_table(out / "facts.parquet").to_pylist(), receipt


def fetch(
    folder: Path,
    urls: list[str],
    *hosts: str,
    contact: str = "",
    host_states: dict[str, dict[str, object]] | None = None,
) -> tuple[list[Row], Receipt[FetchDetails]]:
    """Fetches URLs from hosts without a gap."""
    part = part_for(folder, [{"url": url} for url in urls], dict.fromkeys(hosts, FAST))
    politeness = replace(part.politeness, contact=contact)
    return run(replace(part, politeness=politeness, host_states=host_states or {}), folder)
