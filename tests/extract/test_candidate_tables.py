"""Rows of the extract step, written and read again."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.extract.candidate_tables import CandidateRow, raw_batch, read_raw
from wenlan_data.records import MAX_FALLBACK_URLS, Candidate, Text
from wenlan_data.sandbox.page_codec import parse_pairs

URLS = tuple(f"http://a.cn/{number}.jpg" for number in range(5))
CANDIDATE = Candidate(url=URLS[0], texts=(Text("alt", "石桥"),), fallback_urls=URLS[1:3])


def _write(path: Path, *candidates: Candidate) -> pa.Table:
    rows = [CandidateRow(n, bytes(16), one, one.url) for n, one in enumerate(candidates)]
    table = pa.Table.from_batches([raw_batch(rows)])
    pq.write_table(table, path)
    return table


def test_fallback_urls_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    many = Candidate(url=URLS[0], texts=(), fallback_urls=URLS)
    _write(path, CANDIDATE, many, Candidate(url=URLS[0], texts=()))
    found = [row.candidate.fallback_urls for row in read_raw(str(path))]
    assert found == [URLS[1:3], URLS[:MAX_FALLBACK_URLS], ()]


def test_recordings_of_earlier_versions_have_no_fallback_urls(tmp_path: Path) -> None:
    path = tmp_path / "raw.parquet"
    pq.write_table(_write(path, CANDIDATE).drop_columns(["fallback_urls"]), path)
    assert [row.candidate.fallback_urls for row in read_raw(str(path))] == [()]


def test_fallback_urls_leave_the_sandbox() -> None:
    assert parse_pairs(json.dumps([asdict(CANDIDATE)]).encode()) == [CANDIDATE]
