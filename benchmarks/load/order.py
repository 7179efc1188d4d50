"""Measures the order of a million samples: time to the first batch, and quality of the shuffle.

python -m benchmarks.load.order
"""

import argparse
import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.corpora import TEXT
from wenlan_data import testing
from wenlan_data.load import Loader, ShuffleSettings
from wenlan_data.load.shuffle import CorpusQuota, EpochOrder
from wenlan_data.records import Region, Sample, Text
from wenlan_data.shard.format import offsets_name, shard_name
from wenlan_data.shard.index import load_offsets, save_offsets
from wenlan_data.shard.manifest import FileEntry, Funnel, Generation, load_manifest, save_manifest
from wenlan_data.shard.writer import MemberLocation

SHARDS = 100
SHARD_SAMPLES = 10_000
PAGE_SAMPLES = 10
"""Neighbours in a shard that represent the images of one page, as in shards of other tools."""
REAL_SAMPLES = 200


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out/loader"))
    out = parser.parse_args().out
    corpus = make_million(out / "million")
    starts = {
        f"first_batch_s_at_{position}": _first_batch_s(corpus, position)
        for position in (0, 7_800, 15_600)
    }
    print(
        json.dumps({**starts, "shuffle": {name: _quality(one) for name, one in SHUFFLES.items()}})
    )


SHUFFLES = {
    "default": ShuffleSettings(),
    "window of 1 block": ShuffleSettings(window_blocks=1),
    "window of 128 blocks": ShuffleSettings(window_blocks=128),
    "scatter": ShuffleSettings(scatter=True),
    "blocks of 64": ShuffleSettings(block_samples=64, window_blocks=256),
    "perfect": ShuffleSettings(block_samples=SHARD_SAMPLES, window_blocks=SHARDS),
}


def make_million(corpus: Path) -> Path:
    """Writes a corpus of 1,000,000 samples in 100 shards, unless it exists.

    All tars are links to one file, and all offsets tables point at its 200 samples.
    """
    if corpus.is_dir():
        return corpus
    testing.write_corpus(corpus, [[_sample(number) for number in range(REAL_SAMPLES)]])
    manifest = load_manifest(corpus)
    folder, entry = corpus / "shards", manifest.shards[0]
    real = load_offsets(folder / entry.offsets.name)
    entries = []
    for shard in range(SHARDS):
        name = shard_name(shard)
        if shard:
            os.link(folder / entry.name, folder / name)
        table = folder / offsets_name(name)
        save_offsets(table, _places(shard, real))
        offsets = FileEntry(name=table.name, bytes=table.stat().st_size, sha256="0" * 64)
        entries.append(
            entry.model_copy(update={"name": name, "samples": SHARD_SAMPLES, "offsets": offsets})
        )
    total = SHARDS * SHARD_SAMPLES
    generation = Generation(
        generation=0, candidates=total, samples=total, drops=0, first_shard=0, shards=SHARDS
    )
    update = {
        "shards": entries,
        "funnel": Funnel(candidates=total, samples=total),
        "generations": [generation],
    }
    save_manifest(corpus, manifest.model_copy(update=update))
    return corpus


def _places(shard: int, real: list[MemberLocation]) -> list[MemberLocation]:
    places = []
    for row in range(SHARD_SAMPLES):
        key = hashlib.sha256(f"{shard}/{row}".encode()).hexdigest()[:32]
        start = 3 * (row % REAL_SAMPLES)
        for place in real[start : start + 3]:
            member = f"{key}.{place.member.rpartition('.')[2]}"
            places.append(MemberLocation(key, member, place.offset, place.size, place.crc32c))
    return places


def _sample(number: int) -> Sample:
    return Sample(
        key=f"{number:032x}",
        jpeg=testing.make_image(number, width=512, height=384),
        caption=TEXT,
        texts=(Text("caption", TEXT),),
        regions=(Region(box_xyxy=(0, 0, 512, 384), label="image", score=1.0),),
        width=512,
        height=384,
        sha256="0" * 64,
        phash=0,
        pdq=bytes(32),
        image_url="http://a.test/a.jpg",
    )


def _first_batch_s(corpus: Path, position: int) -> float:
    start = time.perf_counter()
    with Loader(corpus, batch_size=64, size_px=224, workers=2, position=position) as loader:
        next(loader)
    return round(time.perf_counter() - start, 2)


def _quality(shuffle: ShuffleSettings) -> dict[str, float]:
    """Returns distances and co-occurrences of related samples, relative to a perfect shuffle."""
    source = CorpusQuota(tuple(range(SHARDS)), (SHARD_SAMPLES,) * SHARDS, SHARDS * SHARD_SAMPLES)
    shard, row = EpochOrder([source], seed=0, epoch=0, shuffle=shuffle).rows(
        np.arange(SHARDS * SHARD_SAMPLES)
    )
    sample = shard * SHARD_SAMPLES + row
    rng = np.random.default_rng(0)
    perfect = rng.permutation(len(sample))
    return {
        "next_of_same_shard": round(_gap(shard) / _gap(perfect // SHARD_SAMPLES), 3),
        "next_of_same_page": round(_gap(sample // PAGE_SAMPLES) / _gap(perfect // PAGE_SAMPLES), 3),
        "same_shard_in_batch_of_256": round(_alike(shard) / _alike(perfect // SHARD_SAMPLES), 2),
        "same_page_in_batch_of_256": round(
            _alike(sample // PAGE_SAMPLES) / _alike(perfect // PAGE_SAMPLES), 2
        ),
    }


def _gap(group: NDArray[np.int64]) -> float:
    """Returns the mean distance from a sample to the next one of its group."""
    order = np.argsort(group, kind="stable")
    same = group[order][1:] == group[order][:-1]
    return float(np.diff(order)[same].mean())


def _alike(group: NDArray[np.int64], batch: int = 256) -> float:
    """Returns the mean number of pairs of samples in a batch that belong to the same group."""
    rows = np.sort(group[: len(group) // batch * batch].reshape(-1, batch), axis=1)
    return float((np.diff(rows, axis=1) == 0).sum(1).mean())


if __name__ == "__main__":
    main()
