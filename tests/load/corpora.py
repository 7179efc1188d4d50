"""Corpora and strangers' tars with few small pictures, written in milliseconds."""

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import simplejpeg

from wenlan_data import testing
from wenlan_data.records import Region, Sample, Text

SIDE_PX = 16


@cache
def jpeg(shade: int, width: int = SIDE_PX, height: int = SIDE_PX) -> bytes:
    """A picture of one grey level."""
    grey = np.full((height, width, 3), shade, np.uint8)
    return bytes(simplejpeg.encode_jpeg(grey, quality=90, colorsubsampling="444"))


def key(number: int) -> str:
    """The key of sample `number`: keys ascend with it."""
    return f"{number:032x}"


def sample(number: int, *, picture: bytes | None = None) -> Sample:
    """A sample whose shade, caption and one region tell its number."""
    return Sample(
        key=key(number),
        jpeg=jpeg(number % 256) if picture is None else picture,
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
    """A corpus with so many samples in each shard; `bad` gives the bytes of pictures by number."""
    first = [sum(counts[:at]) for at in range(len(counts))]
    shards = (
        [sample(one, picture=(bad or {}).get(one)) for one in range(start, start + count)]
        for start, count in zip(first, counts, strict=True)
    )
    return testing.write_corpus(corpus, shards)


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """A stranger's tar of these members."""
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def keys_of(batches: Iterable[Mapping[str, object]]) -> list[list[str]]:
    """The keys of each batch, such as those that are left to a loader."""
    return [[str(one) for one in list_of(batch["key"])] for batch in batches]


def list_of(value: object) -> list[object]:
    """A value of a batch that is a list."""
    assert isinstance(value, list)
    return value
