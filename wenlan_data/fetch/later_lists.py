"""Cuts what a pass over the fetch lists has left into fetch lists of its own hosts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import os_errors
from wenlan_data.fetch.fetch_lists import cut_by_host, write_fetch_list
from wenlan_data.fetch.receipts import FetchListDetails
from wenlan_data.part_files import checked
from wenlan_data.protocols import Receipt
from wenlan_data.tables import LATER
from wenlan_data.web.limits import HostLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterListPart:
    """Writes fetch lists `slice-00000.parquet` and so on, see `tables.LATER`, for requests that
    lead into hosts of other fetch lists: targets of redirects, and images of hosts whose robots.txt
    is at another host.

    The receipt is that of `FetchListPart`.
    """

    later: tuple[str, ...]
    """`later.parquet` of the fetch parts of the pass before."""
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Host to the other hosts that redirects of its robots.txt lead to: they belong into the same
    fetch list."""

    def __call__(self, out: Path) -> Receipt[FetchListDetails]:
        """Cuts. Deterministic: depends on the rows alone."""
        tables = []
        for path in self.later:
            with os_errors(path):
                tables.append(pq.read_table(checked(path), schema=LATER))
        rows = pa.concat_tables(tables).combine_chunks()
        rows = rows.take(pc.sort_indices(rows["ordinal"]))
        cuts = cut_by_host(rows["host"], np.arange(rows.num_rows), self.hosts, self.beside)
        fetch_lists = tuple(
            write_fetch_list(out, number, rows.take(pa.array(cut.rows)), cut.chain, cut.own_hosts)
            for number, cut in enumerate(cuts)
        )
        return Receipt(
            rows_in=rows.num_rows,
            rows_out=rows.num_rows,
            details=FetchListDetails(fetch_lists=fetch_lists),
        )
