"""Whole dedupe (near step and decisions) of one generation of 1 M rows, of 1 % more after it, and
of 20 x 50,000.

    python -m benchmarks.dedupe.generations --rows 1000000

prints one JSON line. The tables are made first and not counted. With `--max-site-pages 5` the
pages of images are counted too; every page has 10 images of its own, and two that are the same on
all pages of its host.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.dedupe.near_step import NearFiles, SelfJoinPart, near_parts
from wenlan_data.dedupe.step import DedupePart, index_folders
from wenlan_data.recipe import DedupeRules, ShardRules
from wenlan_data.records import Text
from wenlan_data.tables import CANDIDATES, FACTS, RAW

PART_ROWS = 50_000
NEAR_SHARE = 0.05
HOSTS = 997


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--max-site-pages", type=int, default=0)
    parser.add_argument("--page-images", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("bench-out"))
    given = parser.parse_args()
    work = given.work / "dedupe-generations"
    shutil.rmtree(work, ignore_errors=True)
    many, one = given.rows, given.rows // 100
    page_images = given.page_images
    rules = DedupeRules(max_site_pages=given.max_site_pages, min_site_share=0.5)
    whole = tables(work / "whole", 0, many, page_images)
    more = tables(work / "more", many, one, page_images)
    first = Corpus(work / "one", rules)
    seconds = [first.add(*whole), first.add(*more)]
    step = max(many // 20, 1)
    apart = Corpus(work / "twenty", rules)
    pieces = [apart.add(*tables(work / f"p{n}", n * step, step, page_images)) for n in range(20)]
    print(
        json.dumps(
            {
                "rows": many,
                "max_site_pages": given.max_site_pages,
                "page_images": page_images,
                "first_cpu_s": round(seconds[0], 2),
                "one_percent_more_cpu_s": round(seconds[1], 2),
                "share": round(seconds[1] / seconds[0], 4),
                "twenty_cpu_s": round(sum(pieces), 2),
                "ratio": round(sum(pieces) / seconds[0], 3),
                "last_of_twenty_cpu_s": round(pieces[-1], 2),
            }
        )
    )


class Corpus:
    """Generations one after the other."""

    def __init__(self, folder: Path, rules: DedupeRules) -> None:
        self._folder = folder
        self._rules = rules
        self._parts: list[Path] = []
        self._held: list[int] = []

    def add(
        self,
        candidates: Sequence[str],
        raw: Sequence[str],
        fetch_results: Sequence[str],
        rows: int,
    ) -> float:
        """Dedupe a generation; processor seconds."""
        started = time.process_time()
        segments = index_folders(self._parts, self._held)
        out = self._folder / f"{len(self._parts):03d}"
        shares = near_parts(fetch_results, rows, segments, radius_bits=4, verify=True)
        self_join, cross_join = [], []
        for number, part in enumerate(shares):
            folder = out / f"near-{number:02d}"
            folder.mkdir(parents=True)
            part(folder)
            if isinstance(part, SelfJoinPart):
                self_join.append(str(folder))
            else:
                cross_join.append((str(folder), segments.index(part.index)))
        (out / "dedupe").mkdir(parents=True)
        receipt = DedupePart(
            generation=len(self._parts),
            candidates=tuple(candidates),
            raw=tuple(raw),
            fetch_results=tuple(fetch_results),
            published=tuple(segments),
            near=NearFiles(tuple(self_join), tuple(cross_join)),
            caption_order=("caption",),
            rules=self._rules,
            max_same_text=10,
            shard=ShardRules(),
            first_shard=0,
        )(out / "dedupe")
        self._parts.append(out / "dedupe")
        self._held.append(receipt.details.holds)
        return time.process_time() - started


def tables(
    folder: Path, first: int, rows: int, page_images: int = 10
) -> tuple[list[str], list[str], list[str], int]:
    """Writes candidates, raw rows and fetch results in parts of 50,000 candidates; a twentieth of
    the images is near one before it."""
    folder.mkdir(parents=True)
    candidates, raw, fetch_results = [], [], []
    for number, start in enumerate(range(first, first + rows, PART_ROWS)):
        numbers = np.arange(start, min(start + PART_ROWS, first + rows))
        urls = pa.array(
            [f"http://host{n % HOSTS}.example/pictures/{n}.jpg" for n in numbers.tolist()]
        )
        # The rows that every page has in common come after the others, and are no candidates.
        ordinals = pa.array(number << 32 | np.arange(len(numbers)))
        pages = np.repeat(
            [_page(n) for n in range(start // page_images, numbers[-1] // page_images + 1)],
            page_images,
        )[start % page_images :][: len(numbers)]
        candidates.append(str(folder / f"candidates-{number}.parquet"))
        raw.append(str(folder / f"raw-{number}.parquet"))
        fetch_results.append(str(folder / f"fetch_results-{number}.parquet"))
        pq.write_table(
            _candidates(numbers, urls, ordinals, pa.array(pages.tolist())),
            candidates[-1],
            compression="zstd",
        )
        pq.write_table(_raw(urls, number, pages.tolist()), raw[-1], compression="zstd")
        pq.write_table(
            _fetch_results(numbers, urls, ordinals), fetch_results[-1], compression="zstd"
        )
    return candidates, raw, fetch_results, rows


def _page(number: int) -> str:
    return f"http://www.site{number % HOSTS}.com.cn/articles/2026/{number}.html"


def _raw(urls: pa.Array, part: int, pages: Sequence[str]) -> pa.Table:
    """All rows of the part: its candidates, then two images without a text on each page."""
    ui = [
        (f"{page.partition('/articles')[0]}/{name}", page)
        for page in dict.fromkeys(pages)
        for name in ("logo.png", "qr.png")
    ]
    all_urls = [*urls.to_pylist(), *(url for url, _ in ui)]
    known: dict[str, object] = {
        "ordinal": pa.array(part << 32 | np.arange(len(all_urls))),
        "candidate_id": [b"\0" * 16] * len(all_urls),
        "url_key": all_urls,
        "page_url": [*pages, *(page for _, page in ui)],
        "supply_offset": [0] * len(all_urls),
    }
    return _table(RAW, known, len(all_urls))


def _candidates(
    numbers: np.ndarray, urls: pa.Array, ordinals: pa.Array, pages: pa.Array
) -> pa.Table:
    count = len(numbers)
    texts = [[asdict(Text("caption", f"第{n}张照片里的风景"))] for n in numbers.tolist()]
    known: dict[str, object] = {
        "ordinal": ordinals,
        "candidate_id": pa.array([int(n).to_bytes(16, "big") for n in numbers], pa.binary(16)),
        "url": urls,
        "url_key": urls,
        "page_url": pages,
        "texts": texts,
        "supply_offset": [0] * count,
        "supply": ["web"] * count,
    }
    return _table(CANDIDATES, known, count)


def _fetch_results(numbers: np.ndarray, urls: pa.Array, ordinals: pa.Array) -> pa.Table:
    count = len(numbers)
    chance = np.random.default_rng(int(numbers[0]))
    phash = chance.integers(0, 2**64, count, dtype=np.uint64)
    pdq = chance.integers(0, 2**64, (count, 4), dtype=np.uint64)
    near = np.arange(int(count * NEAR_SHARE))
    phash[near] = phash[near + len(near)] ^ np.uint64(5)
    pdq[near] = pdq[near + len(near)] ^ np.uint64(9)
    colours = chance.integers(1, 256, (count, 8)).astype(np.uint8)
    colours[near] = colours[near + len(near)]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    known: dict[str, object] = {
        "ordinal": ordinals,
        "url": urls,
        "url_key": urls,
        "final_url": urls,
        "sha256": [f"{n + 1:064x}" for n in numbers.tolist()],
        "bytes": [10_000] * count,
        "width": 640 + (numbers % 7),
        "height": [480] * count,
        "phash": phash,
        "pdq": pa.array([row.tobytes() for row in pdq], pa.binary(32)),
        "colours": pa.array([row.tobytes() for row in colours], pa.binary(8)),
        "format": ["jpeg"] * count,
        "retryable": [False] * count,
        "warc_offset": numbers,
        "status": [200] * count,
        "fetched_at": [at] * count,
        "encoded_offset": [-1] * count,
        "encoded_bytes": [0] * count,
        "encoded_crc32c": [0] * count,
    }
    return _table(FACTS, known, count)


def _table(schema: pa.Schema, known: dict[str, object], count: int) -> pa.Table:
    """The known columns, the others empty."""
    empty = {field.name: [] if pa.types.is_list(field.type) else "" for field in schema}
    return pa.table({name: known.get(name, [empty[name]] * count) for name in schema.names}).cast(
        schema
    )


if __name__ == "__main__":
    main()
