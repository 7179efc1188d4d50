"""Input of the loader's benchmarks: a corpus of photographs of one size, and a vocabulary."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from benchmarks.lib.photos import make_photo
from wenlan_data import testing
from wenlan_data.detect.detectors.grid import Grid
from wenlan_data.records import Region, Sample, Text

QUALITY = 90
SHARDS = 8
TEXT = "把切好的番茄放进锅里，小火慢慢炒出汁水，再倒入打散的鸡蛋，最后撒上葱花和一点盐。"


def make_corpus(
    folder: Path, photos: Path | None, *, width: int, height: int, samples: int
) -> Path:
    """Writes a corpus of `samples` images in 8 shards, unless it exists.

    The images are the JPEGs under `photos`, or synthetic ones.
    """
    corpus = folder / f"corpus-{width}x{height}-{samples}"
    if (corpus / "manifest.json").is_file():
        return corpus
    shutil.rmtree(corpus, ignore_errors=True)
    step = -(-samples // SHARDS)
    keys = sorted(
        hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(samples)
    )
    jpegs = _jpegs(photos, width, height)
    regions = _regions(width, height)
    shards = (
        [_sample(key, next(jpegs), regions, width, height) for key in keys[start : start + step]]
        for start in range(0, samples, step)
    )
    return testing.write_corpus(corpus, shards)


def make_vocabulary(folder: Path) -> Path:
    """Writes a BERT vocabulary of the characters of `TEXT`."""
    path = folder / "vocab.txt"
    path.write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(TEXT))]) + "\n"
    )
    return path


def _sample(key: str, jpeg: bytes, regions: tuple[Region, ...], width: int, height: int) -> Sample:
    return Sample(
        key=key,
        jpeg=jpeg,
        caption=TEXT,
        texts=(Text("caption", TEXT),),
        regions=regions,
        width=width,
        height=height,
        sha256=key * 2,
        phash=0,
        pdq=bytes(32),
        image_url=f"http://a.test/{key}.jpg",
    )


def _regions(width: int, height: int) -> tuple[Region, ...]:
    grid = Grid().load()([np.zeros((height, width, 3), np.uint8)])[0]
    return (*grid, Region(box_xyxy=(0, 0, width, height), label="image", score=1.0))


def _jpegs(photos: Path | None, width: int, height: int) -> Iterator[bytes]:
    """Yields JPEGs without end: every photograph, then smaller and smaller crops of each.

    So no two are equal.
    """
    paths = (
        sorted(path for path in photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
        if photos
        else []
    )
    margin_px = 0
    while True:
        for number in range(len(paths) or 200):
            data = paths[number].read_bytes() if paths else make_photo(number)
            try:
                pixels = simplejpeg.decode_jpeg(data)
            except ValueError:
                continue
            cut = pixels[
                margin_px : pixels.shape[0] - margin_px, margin_px : pixels.shape[1] - margin_px
            ]
            resized = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
            yield simplejpeg.encode_jpeg(resized, quality=QUALITY, colorsubsampling="420")
        margin_px += 1


def corpus_size(corpus: Path) -> dict[str, object]:
    """Returns the size of a corpus in samples and MB."""
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    size = sum(shard["bytes"] for shard in manifest["shards"])
    return {"samples": manifest["funnel"]["samples"], "mb": round(size / 1e6, 1)}
