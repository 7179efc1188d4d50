"""Measures reading ahead: epochs of a corpus that is not in the page cache, with it and without.

python -m benchmarks.load.read_ahead
"""

import argparse
import json
import os
import resource
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.load.corpora import corpus_size, make_corpus
from wenlan_data.load import Loader
from wenlan_data.load.byte_ranges import MappedFiles, Range

RUNS = 3


def main() -> None:
    """Prints one JSON line: medians of alternating runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out/loader"))
    parser.add_argument("--samples", type=int, default=1600)
    options = parser.parse_args()
    os.environ["XDG_CACHE_HOME"] = str(options.out / "index-cache")
    corpus = make_corpus(options.out, None, width=512, height=384, samples=options.samples)
    _epoch(corpus, MappedFiles())  # makes the indexes
    found: dict[str, list[tuple[float, float, int]]] = {"with": [], "without": []}
    for _ in range(RUNS):
        found["with"].append(_epoch(corpus, MappedFiles()))
        found["without"].append(_epoch(corpus, NoReadAhead()))
    result = {
        name: {
            "wall_s": round(statistics.median(wall for wall, _, _ in runs), 2),
            "waiting_s": round(statistics.median(wait for _, wait, _ in runs), 2),
            "major_faults": statistics.median(faults for _, _, faults in runs),
        }
        for name, runs in found.items()
    }
    print(json.dumps(corpus_size(corpus) | result))


@dataclass(slots=True)
class NoReadAhead(MappedFiles):
    """Maps files, and announces nothing."""

    def read_ahead(self, name: str, wanted: Range) -> None:
        """Does nothing."""


def _epoch(corpus: Path, reader: MappedFiles) -> tuple[float, float, int]:
    """Returns wall clock, the part of it without processor time, and major faults of an epoch."""
    for tar in corpus.glob("shards/*.tar"):
        with tar.open("rb") as file:
            # Of a file that nobody maps: a page in use is not dropped.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with Loader(corpus, batch_size=64, size_px=224, workers=0) as loader:
        loader.dataset.samples = replace(loader.dataset.samples, reader=reader)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        start, busy = time.perf_counter(), time.process_time()
        for _ in loader:
            pass
        wall, spent = time.perf_counter() - start, time.process_time() - busy
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults
    return wall, wall - spent, faults


if __name__ == "__main__":
    main()
