"""Corpora and third-party tars with few small images, written in milliseconds."""

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import simplejpeg

from wenlan_data import testing
from wenlan_data.load import SamplingSettings
from wenlan_data.records import Region, Sample, Text

SIDE_PX = 16
IN_ORDER = SamplingSettings(shuffle=None)


@cache
def jpeg(shade: int, width: int = SIDE_PX, height: int = SIDE_PX) -> bytes:
    """Returns an image of one grey level."""
    grey = np.full((height, width, 3), shade, np.uint8)
    return bytes(simplejpeg.encode_jpeg(grey, quality=90, colorsubsampling="444"))


def key(number: int) -> str:
    """Returns the key of sample `number`; keys ascend with it."""
    return f"{number:032x}"


def sample(number: int, *, image: bytes | None = None) -> Sample:
    """Returns a sample whose grey level, caption and key show its number."""
    return Sample(
        key=key(number),
        jpeg=jpeg(number % 256) if image is None else image,
        caption=f"第{number}张照片",
        texts=(
            Text("caption", f"第{number}张照片"),
            Text("surrounding", f"{number}号的长文。第二句。"),
        ),
        regions=(
            Region(box_xyxy=(0, 0, SIDE_PX // 2, SIDE_PX), label="grid", score=1.0),
            Region(box_xyxy=(0, 0, SIDE_PX, SIDE_PX), label="image", score=1.0),
        ),
        width=SIDE_PX,
        height=SIDE_PX,
        sha256="0" * 64,
        phash=number,
        pdq=bytes(32),
        image_url=f"http://a.test/{number}.jpg",
    )


def write_corpus(
    corpus: Path, counts: Sequence[int], bad: Mapping[int, bytes] | None = None
) -> Path:
    """Writes a corpus with `counts` samples per shard; `bad` replaces images by their number."""
    first = [sum(counts[:at]) for at in range(len(counts))]
    shards = (
        [sample(one, image=(bad or {}).get(one)) for one in range(start, start + count)]
        for start, count in zip(first, counts, strict=True)
    )
    return testing.write_corpus(corpus, shards)


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Writes a tar of these members without an offsets table."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def keys_of(batches: Iterable[Mapping[str, object]]) -> list[list[str]]:
    """Returns the keys of each batch, such as the remaining ones of a loader."""
    return [[str(one) for one in list_of(batch["key"])] for batch in batches]


def list_of(value: object) -> list[object]:
    """Returns a value of a batch that is a list."""
    assert isinstance(value, list)
    return value
