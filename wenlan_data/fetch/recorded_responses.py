"""Looks up which URLs the WARC files of sources hold, so that they are not requested."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import os_errors
from wenlan_data.tables import IMAGE_INDEX

MAX_REDIRECTS = 5


class HeldRecord(NamedTuple):
    """Place of a recorded response."""

    path: str
    offset: int
    sha256: str
    is_image: bool
    transient: bool
    redirect_key: str


class RecordedResponses:
    """The records of some URLs in image-index files (`tables.IMAGE_INDEX`).

    Of several records of one URL, the first image counts, else the first that is no transient
    failure. A redirect stands for the record of its target, and for nothing where no file holds
    that. With `retry`, transient failures are left out: their URLs are requested again.
    """

    def __init__(self, indexes: Sequence[str], url_keys: Iterable[str], *, retry: bool) -> None:
        self._records: dict[str, list[HeldRecord]] = {}
        wanted = set(url_keys)
        # Targets of redirects are looked up in another pass over the files: few archives have any.
        for _ in range(MAX_REDIRECTS + 1):
            found = list(_rows(indexes, wanted, retry=retry))
            for key, record in found:
                self._records.setdefault(key, []).append(record)
            targets = {record.redirect_key for _, record in found} - {""}
            wanted = targets - self._records.keys()
            if not wanted:
                break

    def get(self, url_key: str, redirects: int = MAX_REDIRECTS) -> HeldRecord | None:
        """Returns the record of a URL; None if it has to be requested."""
        records = sorted(self._records.get(url_key, ()), key=_rank)
        for record in records:
            if not record.redirect_key:
                return record
            if redirects and (target := self.get(record.redirect_key, redirects - 1)):
                return target
        return None


def _rank(record: HeldRecord) -> tuple[bool, bool, bool]:
    return (not record.is_image, not record.redirect_key, record.transient)


def _rows(
    indexes: Sequence[str], url_keys: set[str], *, retry: bool
) -> Iterator[tuple[str, HeldRecord]]:
    wanted = pa.array(sorted(url_keys), pa.string())
    for path in indexes if url_keys else ():
        # File by file: together, the indexes of a large archive do not fit into memory.
        with os_errors(path):
            table = pq.read_table(path, schema=IMAGE_INDEX)
        table = table.filter(pc.is_in(table["url_key"], value_set=wanted))
        for row in table.drop_columns(["file_sha256"]).to_pylist():
            key = row.pop("url_key")
            if not (retry and row["transient"]):
                yield key, HeldRecord(**row)
