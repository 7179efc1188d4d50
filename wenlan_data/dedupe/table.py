"""The candidate table: candidates joined to the fetch results of their URLs, as columns in source
order.

The dedupe step begins here. Its checks read the table, and `write` adds the columns that only the
output has (`CandidateTable.for_output`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wenlan_data.arrow import (
    Column,
    are_equal,
    integers,
    rows,
    strings,
    table_errors,
    to_strings,
    whole,
)
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.errors import DamageError
from wenlan_data.index.published import PublishedIndex, Signatures, raw_keys, url_hashes
from wenlan_data.npy import BUILD_AGAIN, Bools, FixedBytes, Indices
from wenlan_data.part_files import checked
from wenlan_data.shard.format import sample_key
from wenlan_data.tables import CANDIDATES, FACTS

EARLY_CANDIDATE = ["ordinal", "url_key", "texts", "opt_out"]
LATE_CANDIDATE = [
    "candidate_id",
    "url",
    "page_url",
    "source",
    "licence",
    "author",
    "remarks",
    "boxes",
]
EARLY_RESULT = [
    "url_key",
    "reason",
    "sha256",
    "width",
    "height",
    "phash",
    "pdq",
    "colours",
    "opt_out",
]
LATE_RESULT = [
    "detail",
    "retryable",
    "bytes",
    "format",
    "warc_offset",
    "final_url",
    "ip",
    "fetched_at",
]
LATE_RESULT += ["encoded_offset", "encoded_bytes", "encoded_crc32c", "fetched_url"]
BATCH_ROWS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTable:
    """N candidates ordered by ordinal, F fetch results, and the row numbers that join them."""

    candidates: pa.Table
    results: pa.Table
    result: Indices
    """int64 (N,): the row of the candidate's fetch result, -1 where its URL was not requested."""
    fetch_part: Indices
    """int64 (F,): the number of the file that holds the fetch result."""
    published: FixedBytes
    """S16 (N,): the key of the published sample at the candidate's URL; empty where there is
    none."""
    url: Indices
    """int64 (N,): the row of `signatures` for the candidate's URL, -1 where no image was
    fetched."""
    signatures: Signatures
    """Of the U images fetched, one for each URL."""
    keys: FixedBytes
    """S16 (N,): the key that the candidate would have as a sample; empty where no image was
    fetched."""

    def __len__(self) -> int:
        return len(self.result)

    @property
    def fetched(self) -> Bools:
        """bool (N,): whether the candidate's image was fetched and passed the image rules."""
        return self.url >= 0

    def for_output(
        self, candidates: Sequence[str], fetch_results: Sequence[str]
    ) -> "CandidateTable":
        """The table with the columns that only the written rows need, read from the same files.

        Columns that only decisions, merging and the index need are left out: 90 MB for a million
        rows.
        """
        ordinals = integers(_read(candidates, CANDIDATES, ["ordinal"]), "ordinal")
        late = _ordered(
            _read(candidates, CANDIDATES, LATE_CANDIDATE), np.argsort(ordinals, kind="stable")
        )
        results = _read(fetch_results, FACTS, LATE_RESULT).append_column(
            "fetch_part", rows(self.fetch_part)
        )
        return replace(
            self,
            candidates=_beside(self.candidates, late),
            results=_beside(self.results.drop_columns(["url_key", "opt_out"]), results),
        )


def read_candidate_table(
    candidates: Sequence[str], fetch_results: Sequence[str], published: PublishedIndex
) -> CandidateTable:
    """Joins the candidates of a generation to the fetch results of their URLs; decides nothing yet.

    Raises `DamageError` for a file that cannot be read, and for a candidate whose URL has neither a
    fetch result nor a published sample.
    """
    wanted = _read(candidates, CANDIDATES, EARLY_CANDIDATE)
    results = _read(fetch_results, FACTS, EARLY_RESULT)
    # Source order: the first of several candidates of a URL is the sample, and drop rows are
    # written in it.
    wanted = _ordered(wanted, np.argsort(integers(wanted, "ordinal"), kind="stable"))
    urls = whole(wanted, "url_key")
    result = _positions(urls, whole(results, "url_key"))
    _release()
    # In the first generation no URL needs its SHA-256. In batches, since URLs become Python
    # strings.
    known = np.zeros(len(urls), "S16")
    if published.folders:
        for start in range(0, len(urls), BATCH_ROWS):
            part = to_strings(urls.slice(start, BATCH_ROWS))
            known[start : start + len(part)] = published.keys_of_hashes(url_hashes(part))
    lost = np.flatnonzero((result < 0) & (known == b""))
    if len(lost):
        raise DamageError(
            f"{urls[int(lost[0])].as_py()!r} and {len(lost) - 1} more URLs have no fetch result: {BUILD_AGAIN}"
        )
    # One element more, so that index -1, a URL without a fetch result, reads False.
    is_good = np.append(are_equal(results, "reason", ""), False)
    fetched = np.flatnonzero(is_good[result] & (known == b""))
    # Several candidates may have one URL: its key is computed once.
    used, url_of_fetched = np.unique(result[fetched], return_inverse=True)
    signatures = signatures_of(results, used)
    url, keys = np.full(len(urls), -1), np.zeros(len(urls), "S16")
    url[fetched] = url_of_fetched
    keys[fetched] = signatures.keys[url_of_fetched]
    return CandidateTable(
        candidates=wanted.drop_columns(["url_key"]),
        results=results,
        result=result,
        fetch_part=_part_numbers(fetch_results),
        published=known,
        url=url,
        signatures=signatures,
        keys=keys,
    )


def drop_unfetched(table: CandidateTable, decisions: Decisions) -> None:
    """Drops candidates without a new image: their URL led to a published sample, or its fetch
    failed."""
    known = np.flatnonzero(table.published != b"")
    decisions.drop(known, Decision.DUPLICATE, key=table.published[known])
    decisions.drop(np.flatnonzero(~table.fetched), Decision.FETCH)


def _positions(urls: "Column", known: "Column") -> Indices:
    # A hash join inside Arrow: no URL becomes a Python string.
    found: Any = pc.index_in(urls, value_set=known)
    places: Indices = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places


def _beside(table: pa.Table, more: pa.Table) -> pa.Table:
    for name in more.column_names:
        table = table.append_column(name, more[name])
    return table


def signatures_of(results: pa.Table, numbers: Indices) -> Signatures:
    """The signatures of the images in these rows of `FACTS`, none of which failed. Raises
    `DamageError` for a bad SHA-256."""
    # Bytes are viewed as words of 64 bits: a distance counts the bits of an XOR, for which the byte
    # order does not matter.
    phash = results["phash"].to_numpy()[numbers]
    pdq = _fixed(whole(results, "pdq").take(rows(numbers)), 32).view(np.uint64)
    colours = _fixed(whole(results, "colours").take(rows(numbers)), 8).view(np.uint64).ravel()
    sha256, keys = np.zeros(len(numbers), "S32"), np.zeros(len(numbers), "S16")
    for start in range(0, len(numbers), BATCH_ROWS):
        chunk = numbers[start : start + BATCH_ROWS]
        # In batches, since digests and URLs become Python strings.
        digests = strings(results, "sha256", chunk)
        urls = strings(results, "url_key", chunk)
        try:
            sha256[start : start + len(chunk)] = np.frombuffer(
                bytes.fromhex("".join(digests)), "S32"
            )
        except ValueError as error:
            raise DamageError(
                f"a fetch result holds no SHA-256 of 64 hex digits: {BUILD_AGAIN}"
            ) from error
        keys[start : start + len(chunk)] = raw_keys(list(map(sample_key, urls, digests)))
    return Signatures(phash=phash, pdq=pdq, colours=colours, sha256=sha256, keys=keys)


def _fixed(array: "Column", width: int) -> NDArray[np.uint8]:
    # Without a copy: Arrow stores values of fixed size one after the other, and counts its offset
    # in values. No values may mean no buffer.
    values = array.buffers()[1]
    if values is None or not len(array):
        return np.empty((0, width), np.uint8)
    flat = np.frombuffer(memoryview(values), np.uint8)
    return flat[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)


def _read(paths: Sequence[str], schema: pa.Schema, columns: list[str]) -> pa.Table:
    """Reads columns of all files, each into one array. One column after the other, so that only one
    is in memory twice at a time."""
    fields = [schema.field(name) for name in columns]
    read = []
    for field in fields:
        read.append(
            pa.chunked_array([_column(path, field) for path in paths], field.type).combine_chunks()
        )
        _release()
    try:
        return pa.table(read, schema=pa.schema(fields))
    except pa.ArrowInvalid as error:
        raise DamageError(
            f"{paths[0]} and files of its kind: columns differ in length ({error}): {BUILD_AGAIN}"
        ) from error


def _column(path: str, field: "pa.Field[pa.DataType]") -> "Column":
    with table_errors(path), pq.ParquetFile(checked(path)) as file:
        return whole(file.read([field.name]).cast(pa.schema([field])), field.name)


def _part_numbers(paths: Sequence[str]) -> Indices:
    # From the footers alone. `_read` concatenates the files in the same order.
    counts = [pq.read_metadata(checked(path)).num_rows for path in paths]
    return np.repeat(np.arange(len(counts)), counts)


def _ordered(table: pa.Table, order: Indices) -> pa.Table:
    # Files come in part order, and ordinals begin with the part: as a rule nothing is copied.
    if bool(np.all(order[1:] > order[:-1])):
        return table
    return table.take(rows(order)).combine_chunks()


def _release() -> None:
    """Returns to the system the memory that Arrow has freed but still holds: 300 MB for a million
    rows."""
    pa.default_memory_pool().release_unused()
