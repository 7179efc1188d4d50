"""Candidates joined to the facts of their pictures, as columns in source order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wenlan_data.arrow import Column, are_equal, integers, rows, strings, whole
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.index.published import Prints, Published, raw_keys, url_hashes
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
EARLY_FACT = [
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
LATE_FACT = [
    "detail",
    "retryable",
    "bytes",
    "format",
    "warc_offset",
    "final_url",
    "ip",
    "fetched_at",
]
LATE_FACT += ["encoded_offset", "encoded_bytes", "encoded_crc32c"]
BATCH_ROWS = 1 << 16

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """N candidates by ordinal, F facts, and what joins them."""

    candidates: pa.Table
    facts: pa.Table
    fact: Indices
    """int64 (N,): the row of the candidate's fact, -1 where its URL was not asked for."""
    fetch_part: Indices
    """int64 (F,): the number of the file that holds the fact."""
    published: NDArray[np.bytes_]
    """S16 (N,): the key of the published picture at the candidate's URL; empty where there is none."""

    def decided(self) -> "Intake":
        """Without the columns that only verdicts, merging and the index need: 90 MB for a million rows."""
        return replace(self, facts=self.facts.drop_columns(["url_key", "opt_out"]))

    def fetched(self) -> NDArray[np.bool_]:
        """bool (N,): whether the candidate's picture is at hand and good."""
        is_good = np.append(are_equal(self.facts, "reason", ""), False)
        good: NDArray[np.bool_] = is_good[self.fact] & (self.published == b"")
        return good


def read_intake(candidates: Sequence[str], facts: Sequence[str], published: Published) -> Intake:
    """Read and join.

    Raises `DamageError` for a file that cannot be read, and for a candidate whose URL has no fact and is not published.
    """
    wanted, known = _read(candidates, CANDIDATES, EARLY_CANDIDATE), _read(facts, FACTS, EARLY_FACT)
    wanted = _ordered(wanted, np.argsort(integers(wanted, "ordinal"), kind="stable"))
    urls = whole(wanted, "url_key")
    fact = _places(urls, whole(known, "url_key"))
    _release()
    keys = np.zeros(len(urls), "S16")
    if published.folders:
        for start in range(0, len(urls), BATCH_ROWS):
            part = cast("list[str]", urls.slice(start, BATCH_ROWS).to_pylist())
            keys[start : start + len(part)] = published.keys_of_hashes(url_hashes(part))
    lost = np.flatnonzero((fact < 0) & (keys == b""))
    if len(lost):
        raise DamageError(
            f"{urls[int(lost[0])].as_py()!r} and {len(lost) - 1} more URLs have no fact of the fetch step: build anew"
        )
    return Intake(
        candidates=wanted.drop_columns(["url_key"]),
        facts=known,
        fact=fact,
        fetch_part=_part_numbers(facts),
        published=keys,
    )


def _places(urls: "Column", known: "Column") -> Indices:
    found = cast("pa.Int32Array", pc.index_in(urls, value_set=known))
    places: Indices = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places


def completed(intake: Intake, candidates: Sequence[str], facts: Sequence[str]) -> Intake:
    """The intake with the columns that the rows written need as well, read from the same files."""
    ordinals = integers(_read(candidates, CANDIDATES, ["ordinal"]), "ordinal")
    more = _ordered(
        _read(candidates, CANDIDATES, LATE_CANDIDATE), np.argsort(ordinals, kind="stable")
    )
    known = _read(facts, FACTS, LATE_FACT).append_column("fetch_part", rows(intake.fetch_part))
    return replace(
        intake, candidates=_beside(intake.candidates, more), facts=_beside(intake.facts, known)
    )


def _beside(table: pa.Table, more: pa.Table) -> pa.Table:
    for name in more.column_names:
        table = table.append_column(name, more[name])
    return table


def prints_of(facts: pa.Table, numbers: Indices) -> Prints:
    """The finger-prints of the pictures in these rows of `FACTS`; all must be good. Raises `DamageError` if not."""
    phash = facts["phash"].to_numpy()[numbers]
    pdq = _fixed(whole(facts, "pdq").take(rows(numbers)), 32).view(np.uint64)
    colours = _fixed(whole(facts, "colours").take(rows(numbers)), 8).view(np.uint64).ravel()
    sha256, keys = np.zeros(len(numbers), "S32"), np.zeros(len(numbers), "S16")
    for start in range(0, len(numbers), BATCH_ROWS):
        chunk = numbers[start : start + BATCH_ROWS]
        digests = strings(facts, "sha256", chunk)
        urls = strings(facts, "url_key", chunk)
        try:
            sha256[start : start + len(chunk)] = np.frombuffer(
                bytes.fromhex("".join(digests)), "S32"
            )
        except ValueError as error:
            raise DamageError(
                "a fact of the fetch step holds no SHA-256 of 64 hex digits: build anew"
            ) from error
        keys[start : start + len(chunk)] = raw_keys(list(map(sample_key, urls, digests)))
    return Prints(phash=phash, pdq=pdq, colours=colours, sha256=sha256, keys=keys)


def _fixed(array: "Column", width: int) -> NDArray[np.uint8]:
    values = array.buffers()[1]
    if values is None or not len(array):
        return np.empty((0, width), np.uint8)
    flat = np.frombuffer(memoryview(values), np.uint8)
    return flat[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)


def _read(paths: Sequence[str], schema: pa.Schema, columns: list[str]) -> pa.Table:
    """The columns of all files, each in one piece; one by one, so that only one is held twice at a time."""
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
            f"{paths[0]} and its like: columns differ in length ({error}): build anew"
        ) from error


def _column(path: str, field: "pa.Field[pa.DataType]") -> "Column":
    try:
        with os_errors(path), pq.ParquetFile(path) as file:
            return whole(file.read([field.name]).cast(pa.schema([field])), field.name)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DamageError(
            f"{path}: not a table as the build wrote it ({error}): build anew"
        ) from error


def _part_numbers(paths: Sequence[str]) -> Indices:
    counts = [pq.read_metadata(path).num_rows for path in paths]
    return np.repeat(np.arange(len(counts)), counts)


def _ordered(table: pa.Table, order: Indices) -> pa.Table:
    if bool(np.all(order[1:] > order[:-1])):
        return table
    return table.take(rows(order)).combine_chunks()


def _release() -> None:
    """Hand back what Arrow freed but keeps for itself: 300 MB for a million rows."""
    pa.default_memory_pool().release_unused()
