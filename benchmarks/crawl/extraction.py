"""Measures how fast one core turns recorded pages into candidates, here or in another checkout.

    python -m benchmarks.crawl.extraction bench-out/pages/debian-handbook-corpus --runs 5
    python -m benchmarks.crawl.extraction bench-out/pages/debian-handbook-corpus --old /tmp/old

Reads the pages that `benchmarks.crawl.pages` crawled. Prints one JSON line: the figures of
`measure`; with `--old`, for each of them the medians of both checkouts, which run alternately, and
the ratio new / old.
"""

import argparse
import gc
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from wenlan_data.extract.encoding import decode_page
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.sandbox.pages import read_page
from wenlan_data.web.warc import WarcPayload, record_at

VALUES = (
    "pages_per_s_and_core",
    "process_ms_per_page",
    "first_pass_process_ms_per_page",
    "sandbox_wall_ms_per_page",
)
INCLUDES = {
    "process_ms_per_page": "processor time in this process: decoding, parsing, pairing; the "
    "median of the passes after the first, when the pages' texts are known already",
    "first_pass_process_ms_per_page": "the same for the first pass, when each text is new",
    "sandbox_wall_ms_per_page": "wall clock of read_page: the same in the sandbox process, with "
    "the way there and back; the median of the passes after the first",
    "pages_per_s_and_core": "1,000 / first_pass_process_ms_per_page",
}
COLLECTION_THRESHOLD = 50_000
"""That of the sandbox process, where pages are read in a build."""


def recorded_pages(corpus: Path) -> list[tuple[WarcPayload, str]]:
    """Returns every page that the crawl recorded, with its WARC."""
    found = []
    for table in sorted(corpus.glob(".work/crawls/*/*/crawl/*/pages.parquet")):
        warc = table.with_name("pages.warc")
        rows = pq.read_table(table, columns=["reason", "warc_offset"]).to_pylist()
        found += [
            (record_at(warc, row["warc_offset"]), str(warc)) for row in rows if not row["reason"]
        ]
    return found


def candidates_of(record: WarcPayload) -> int:
    """Decodes and reads a page in this process; returns its number of candidates and drops."""
    html = decode_page(record.payload, record.content_type)
    return sum(1 for _ in page_pairs(html, record.url, "bench"))


def measure(pages: list[tuple[WarcPayload, str]], passes: int = 5) -> dict[str, float]:
    """Measures milliseconds per page, see `INCLUDES`."""
    # What is loaded at first use, such as word lists, is no part of the time of a page.
    for record, _ in pages[:3]:
        candidates_of(record)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTION_THRESHOLD)

    def in_process() -> None:
        for record, _ in pages:
            candidates_of(record)

    def in_sandbox() -> None:
        for record, warc in pages:
            for _ in read_page(record, warc, "bench"):
                pass

    in_process_s = _seconds(in_process, time.process_time, passes)
    in_sandbox_s = _seconds(in_sandbox, time.perf_counter, passes)
    ms = 1000 / max(1, len(pages))
    return {
        "pages_per_s_and_core": round(len(pages) / in_process_s[0]),
        "process_ms_per_page": round(ms * statistics.median(in_process_s[1:]), 3),
        "first_pass_process_ms_per_page": round(ms * in_process_s[0], 3),
        "sandbox_wall_ms_per_page": round(ms * statistics.median(in_sandbox_s[1:]), 3),
    }


def _seconds(once: Callable[[], None], clock: Callable[[], float], passes: int) -> list[float]:
    """The time of each of several passes, and of one before them."""
    seconds = []
    for _ in range(passes + 1):
        started = clock()
        once()
        seconds.append(clock() - started)
    return seconds


def compare_checkouts(old: Path, corpora: list[Path], runs: int) -> dict[str, object]:
    """Measures this checkout and another one alternately, each run in a process of its own."""
    from benchmarks.lib.checkouts import compare

    # By its path: the other checkout may have another version of this script, or none.
    words = ["python", str(Path(__file__).resolve()), *(str(one.resolve()) for one in corpora)]
    command = shlex.join(words)
    new = Path(__file__).resolve().parents[2]
    return compare({"old": (old, command), "new": (new, command)}, VALUES, runs)


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--old", type=Path, help="another checkout of this repository")
    parser.add_argument("--runs", type=int, default=5, help="of each checkout")
    given = parser.parse_args()
    figures: dict[str, object]
    if given.old is not None:
        figures = compare_checkouts(given.old, given.corpora, given.runs)
    else:
        pages = [page for corpus in given.corpora for page in recorded_pages(corpus)]
        if not pages:
            sys.exit(f"no recorded pages in {', '.join(map(str, given.corpora))}")
        figures = {"pages": len(pages), **measure(pages)}
    print(json.dumps({**figures, "includes": INCLUDES}))


if __name__ == "__main__":
    main()
