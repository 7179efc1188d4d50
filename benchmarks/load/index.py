"""Measures how ten million samples are found: by the index of each shard, and by offsets tables.

python -m benchmarks.load.index
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.lib.memory import status_of
from benchmarks.load.offsets_tables import PageMap, TableReader
from wenlan_data import testing
from wenlan_data.files import sha256_of
from wenlan_data.load import Loader
from wenlan_data.load.sample_reader import MAX_OPEN_INDEXES, SampleReader
from wenlan_data.load.shard_index import find_shards
from wenlan_data.shard.format import offsets_name, shard_name
from wenlan_data.shard.index import load_offsets
from wenlan_data.shard.index_source import find_sources, write_beside
from wenlan_data.shard.manifest import (
    FileEntry,
    Funnel,
    Generation,
    MetadataName,
    Times,
    load_manifest,
    save_manifest,
)
from wenlan_data.tables import OFFSETS

SHARD_SAMPLES = 10_000
REAL_SAMPLES = 200
PAGE_SAMPLES = 3
BATCH = 64
BATCHES = 16
"""Of each simulated reader."""
TABLE_READERS = 8
"""With tables, so many of the readers are simulated: each takes seconds."""
TABLE_BATCHES = 4
MIB = 1 << 20


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out/loader"))
    parser.add_argument("--shards", type=int, default=1000, help="of 10,000 samples")
    parser.add_argument("--part", choices=PARTS, help="measure this alone, in --corpus")
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.corpus)))
        return
    os.environ["XDG_CACHE_HOME"] = str(options.out / "index-cache")
    corpus = make_corpus(options.out, options.shards)
    for path in corpus.glob("shards/*.index"):
        path.unlink()
    first_batch = {"without_index_s": _in_child("first batch", corpus)}
    start, wall = time.process_time(), time.perf_counter()
    for source in find_sources([corpus]):
        write_beside(source)
    made = {
        "cpu_s": round(time.process_time() - start, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
        "bytes_per_sample": round(
            sum(path.stat().st_size for path in corpus.glob("shards/*.index"))
            / (options.shards * SHARD_SAMPLES),
            1,
        ),
    }
    times = [_in_child("first batch", corpus) for _ in range(3)]
    first_batch["with_index_s"] = statistics.median(times)
    print(
        json.dumps(
            {
                "samples": options.shards * SHARD_SAMPLES,
                "make": made,
                "first_batch": first_batch,
                "find_us_per_sample": {
                    str(readers): _in_child(f"{readers} readers", corpus) for readers in (64, 512)
                },
                "memory": _in_child("memory", corpus) | _in_child("page map", corpus),
            }
        )
    )


def make_corpus(folder: Path, shards: int) -> Path:
    """Writes a corpus of `shards` shards of 10,000 samples, unless it exists.

    All tars are links to one file, and all offsets tables point at its samples. Keys and pages
    are different ones; the metadata have no other columns.
    """
    corpus = folder / f"index-{shards}"
    if (corpus / "complete").is_file():
        return corpus
    for path in (corpus, folder / f"index-{shards}-real"):
        shutil.rmtree(path, ignore_errors=True)
    one = testing.write_corpus(
        folder / f"index-{shards}-real",
        [[testing.make_sample(number, width=512, height=384) for number in range(REAL_SAMPLES)]],
    )
    (corpus / "shards").mkdir(parents=True)
    (corpus / "metadata").mkdir()
    manifest = load_manifest(one)
    entry = manifest.shards[0]
    real = load_offsets(one / "shards" / entry.offsets.name)
    rows = [3 * (row % REAL_SAMPLES) + at for row in range(SHARD_SAMPLES) for at in range(3)]
    places = {
        column: pa.array([getattr(real[row], column) for row in rows], OFFSETS.field(column).type)
        for column in ("offset", "size", "crc32c")
    }
    rng = np.random.default_rng(0)
    entries, metadata = [], []
    for number in range(shards):
        name, tables = shard_name(number), corpus / "metadata" / f"{number:06d}.parquet"
        os.link(one / "shards" / entry.name, corpus / "shards" / name)
        offsets = corpus / "shards" / offsets_name(name)
        digits = rng.bytes(16 * SHARD_SAMPLES).hex()
        keys = sorted(digits[at : at + 32] for at in range(0, len(digits), 32))
        columns = {
            "key": [key for key in keys for _ in range(3)],
            "member": [f"{key}.{kind}" for key in keys for kind in ("jpg", "json", "txt")],
        }
        pq.write_table(pa.table(columns | places, schema=OFFSETS), offsets, compression="zstd")
        urls = [
            f"https://site-{row % 97}.example.cn/news/2026/{number}/{row // PAGE_SAMPLES}.html"
            for row in range(SHARD_SAMPLES)
        ]
        pq.write_table(pa.table({"key": keys, "page_url": urls}), tables, compression="zstd")
        table = _entry(tables)
        own = {"name": name, "samples": SHARD_SAMPLES, "offsets": _entry(offsets)}
        own["metadata"] = MetadataName(name=table.name)
        entries.append(entry.model_copy(update=own))
        metadata.append(table)
    total = shards * SHARD_SAMPLES
    generation = Generation(
        generation=0, candidates=total, samples=total, drops=0, first_shard=0, shards=shards
    )
    update = {
        "shards": entries,
        "funnel": Funnel(candidates=total, samples=total),
        "generations": [generation],
        "times": Times(metadata=metadata),
    }
    save_manifest(corpus, manifest.model_copy(update=update))
    (corpus / "complete").touch()
    return corpus


def _entry(path: Path) -> FileEntry:
    return FileEntry(name=path.name, bytes=path.stat().st_size, sha256=sha256_of(path))


def _in_child(part: str, corpus: Path) -> Any:
    """Returns what a part measures in a new process, whose memory nothing else has used."""
    command = [sys.executable, "-m", "benchmarks.load.index", "--part", part]
    done = subprocess.run([*command, "--corpus", corpus], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def _first_batch_s(corpus: Path) -> float:
    """Seconds of a new loader and its first batch; the cache of the loader is empty."""
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
    start = time.perf_counter()
    with Loader(corpus, batch_size=BATCH, size_px=224, workers=2) as loader:
        next(loader)
    return round(time.perf_counter() - start, 2)


def _readers(corpus: Path, count: int) -> tuple[SampleReader, list[np.ndarray[Any, Any]]]:
    """Returns a reader of the corpus, and the first index of each rank's batches."""
    with Loader(corpus, batch_size=BATCH, size_px=224, workers=0) as loader:
        reader = loader.dataset.samples
    return reader, [
        np.arange(rank * BATCH, reader_samples(reader) - BATCH * count, BATCH * count)
        for rank in range(count)
    ]


def reader_samples(reader: SampleReader) -> int:
    """Returns the samples of an epoch."""
    return sum(reader.epoch.shares.samples)


def _find_us(corpus: Path, readers: int) -> dict[str, float]:
    """Microseconds of processor time to find a sample's ranges and page.

    Each rank has a reader with a state of its own, which begins at its own place in the epoch.
    """
    made, starts = _readers(corpus, readers)
    pages = PageMap(sorted(corpus.glob("metadata/*.parquet"))[:10])
    spent, samples = 0.0, 0
    ahead, members = 0.0, 0
    for rank in range(readers):
        reader = SampleReader(shards=made.shards, epoch=made.epoch)
        reader.locate(np.arange(1))  # the order of the epoch is computed once
        for start in starts[rank][:BATCHES]:
            began = time.process_time()
            members += len(reader.locate(np.arange(start, start + BATCH))[0].sample.members)
            spent += time.process_time() - began
            samples += BATCH
        if rank < TABLE_READERS:
            for start in starts[rank][BATCHES : 2 * BATCHES]:
                began = time.process_time()
                reader.read_ahead(np.arange(start, start + BATCH))
                ahead += time.process_time() - began
    table_spent, table_samples = 0.0, 0
    for rank in range(TABLE_READERS):
        table_reader = TableReader(shards=made.shards, epoch=made.epoch)
        table_reader.locate(np.arange(1))
        for start in starts[rank][:TABLE_BATCHES]:
            began = time.process_time()
            found = table_reader.locate(np.arange(start, start + BATCH))
            pages.page_ids([key for key, _ in found])
            table_spent += time.process_time() - began
            table_samples += BATCH
    index_us, table_us = 1e6 * spent / samples, 1e6 * table_spent / table_samples
    return {
        "index": round(index_us, 1),
        "index_and_read_ahead": round(1e6 * ahead / (TABLE_READERS * BATCHES * BATCH), 1),
        "tables": round(table_us, 1),
        "ratio": round(table_us / index_us, 1),
    }


def _memory(corpus: Path) -> dict[str, float]:
    """MiB of a rank that finds its part of a whole epoch, of 64 ranks."""
    before = _resident_mib()
    shards = tuple(find_shards([corpus]))
    listed = _resident_mib() - before
    made, starts = _readers(corpus, 64)
    reader = replace(made, shards=shards)
    before, most = _resident_mib(), 0.0
    for number, start in enumerate(starts[0]):
        reader.locate(np.arange(start, start + BATCH))
        if number % 50 == 0:
            most = max(most, _resident_mib() - before)
    mapped = MAX_OPEN_INDEXES * Path(corpus / "shards" / "wenlan-000000.index").stat().st_size / MIB
    scale = 100_000_000 / (len(shards) * SHARD_SAMPLES)
    return {
        "list_of_shards_mib": round(listed, 1),
        "finding_an_epoch_mib": round(most, 1),
        "mapped_at_most_mib": round(mapped, 1),
        "of_100_million_mib": round(listed * scale + mapped, 1),
    }


def _table_memory(corpus: Path) -> dict[str, float]:
    """MiB of the page map of a million samples, held and at its peak, and both of 100 million."""
    before = _resident_mib()
    began = time.process_time()
    pages = PageMap(sorted(corpus.glob("metadata/*.parquet"))[:100])
    held, peak = _resident_mib() - before, _status_mib("VmHWM") - before
    pages.page_ids(["a"])
    return {
        "page_map_cpu_s_of_100_million": round(100 * (time.process_time() - began), 0),
        "page_map_held_mib_of_100_million": round(100 * held, 0),
        "page_map_peak_mib_of_100_million": round(100 * peak, 0),
    }


def _resident_mib() -> float:
    return _status_mib("VmRSS")


def _status_mib(field: str) -> float:
    return int(status_of(os.getpid())[field].split()[0]) / 1024


PARTS: dict[str, Callable[[Path], object]] = {
    "first batch": _first_batch_s,
    "64 readers": partial(_find_us, readers=64),
    "512 readers": partial(_find_us, readers=512),
    "memory": _memory,
    "page map": _table_memory,
}

if __name__ == "__main__":
    main()
