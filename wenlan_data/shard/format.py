"""Encodes and decodes samples: tar members `{key}.jpg`, `{key}.json` and `{key}.txt`.

`shards/README.md` is the contract.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import DamageError, in_short
from wenlan_data.records import Region, Sample, Text, parse_text

ValueT = TypeVar("ValueT")

FORMAT = "wenlan-corpus"
FORMAT_VERSION = 1
EXTENSIONS = ("jpg", "json", "txt")
"""Members of a sample, in the order of the tar."""
IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "gif")
"""Members of any WebDataset tar that are images; of several in a sample the first one counts."""
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""The formats of these members, by Pillow's names."""
OWNER = "wenlan"
MODE = 0o444
MTIME_S = 0
HEADER_BYTES = 512
RECORD_BYTES = 10240
"""Tars are zero-padded to a multiple of this, after at least two header-sized blocks of zeros."""


def sample_key(url_key: str, sha256: str) -> str:
    """Returns the key of a sample: 32 hex digits of SHA-256.

    Hashes the canonical URL (or path) and the digest of the fetched bytes.
    """
    return hashlib.sha256(f"{sha256}\n{url_key}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def shard_name(number: int) -> str:
    """Returns the file name of shard `number`, such as `wenlan-000000.tar`."""
    return f"wenlan-{number:06d}.tar"


def offsets_name(shard: str) -> str:
    """Returns the file name of a shard's offsets table, such as `wenlan-000000.offsets.parquet`."""
    return f"{shard.removesuffix('.tar')}.offsets.parquet"


def image_of(members: Mapping[str, ValueT]) -> ValueT | None:
    """Returns the image among a sample's members by extension; None if there is none."""
    return next((members[name] for name in IMAGE_EXTENSIONS if name in members), None)


def encode_sample(sample: Sample, fields: Mapping[str, object] | None = None) -> dict[str, bytes]:
    """Returns the members by extension, in the order of `EXTENSIONS`.

    Equal samples give equal bytes. `fields` are the result of `sample_fields`, if the caller has
    it already.
    """
    fields = fields or sample_fields(sample)
    return {
        "jpg": sample.jpeg,
        "json": json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(),
        "txt": sample.caption.encode(),
    }


def sample_fields(sample: Sample, jpeg_sha256: str = "") -> dict[str, object]:
    """Returns the content of the JSON member: all keys, each with one type; no empty list, no null.

    `jpeg_sha256` is the digest of `sample.jpeg`, if the caller has it already.

    Hugging Face `datasets` infers types from the first five samples, and fails at a list that is
    empty in these and not in a later one (seen with 5.2.0). So `opt_out` and `tokens`, which can be
    empty, are strings: one signal a line, words separated by spaces.
    """
    return {
        "key": sample.key,
        "caption_type": sample.caption_type,
        "texts": [_text_fields(text) for text in sample.texts],
        "regions": _region_fields(sample.regions),
        "width": sample.width,
        "height": sample.height,
        "sha256": sample.sha256,
        "jpg_sha256": jpeg_sha256 or hashlib.sha256(sample.jpeg).hexdigest(),
        "phash": f"{sample.phash:016x}",
        "pdq": sample.pdq.hex(),
        "image_url": sample.image_url,
        "page_url": sample.page_url,
        "source": sample.source,
        "licence": sample.licence,
        "author": sample.author,
        "opt_out": "\n".join(" ".join(signal.split()) for signal in sample.opt_out),
        "detector": sample.detector,
        "tokens": " ".join(sample.tokens),
    }


def _text_fields(text: Text) -> dict[str, object]:
    return {
        "type": text.type,
        "text": text.text,
        "relation": text.relation,
        "confidence": float(text.confidence),
    }


# A grid gives equal regions to all images of a size. The cache saves 0.2 ms a sample, most of it
# garbage collection.
@lru_cache(maxsize=256)
def _region_fields(regions: tuple[Region, ...]) -> list[dict[str, object]]:
    return [
        {"box": list(region.box_xyxy), "label": region.label, "score": float(region.score)}
        for region in regions
    ]


def decode_sample(members: Mapping[str, bytes], where: str) -> Sample:
    """Returns the sample in these members of a corpus' shard.

    Raises `DamageError` that names `where` and the field, if they break the format.
    """
    for extension in EXTENSIONS:
        if extension not in members:
            raise DamageError(
                f"{where}: the .{extension} member is missing: this is no sample of format {FORMAT}"
            )
    value = parse_fields(members["json"], where)
    try:
        return _sample(value, members["jpg"], members["txt"].decode())
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        reason = in_short(error)
        raise DamageError(
            f"{where}: the .json or .txt member does not fit the format "
            f"({type(error).__name__}: {reason})"
        ) from error


def parse_fields(data: bytes, where: str) -> dict[str, object]:
    """Parses the JSON object in `data`; raises `DamageError` that names `where`."""
    try:
        value = parse_json(data)
    except ValueError as error:
        reason = in_short(error)
        raise DamageError(f"{where}: the .json member is not valid JSON ({reason})") from error
    if not isinstance(value, dict):
        raise DamageError(f"{where}: the .json member holds no JSON object")
    return value


def _sample(value: dict[str, object], jpeg: bytes, caption: str) -> Sample:
    text = _typed_getter(value, str)
    number = _typed_getter(value, int)
    items = _typed_getter(value, list)
    return Sample(
        key=text("key"),
        jpeg=jpeg,
        caption=caption,
        texts=tuple(map(parse_text, items("texts"))),
        regions=tuple(_region(item) for item in items("regions")),
        width=number("width"),
        height=number("height"),
        sha256=text("sha256"),
        phash=int(text("phash"), 16),
        pdq=bytes.fromhex(text("pdq")),
        image_url=text("image_url"),
        page_url=text("page_url"),
        source=text("source"),
        licence=text("licence"),
        author=text("author"),
        opt_out=tuple(text("opt_out").splitlines()),
        detector=text("detector"),
        tokens=tuple(text("tokens").split()),
        caption_type=text("caption_type"),
    )


def _region(item: dict[str, Any]) -> Region:
    x1, y1, x2, y2 = (int(side) for side in item["box"])
    return Region(
        box_xyxy=(x1, y1, x2, y2),
        label=str(item["label"]),
        score=float(item["score"]),
    )


def _typed_getter(value: dict[str, object], kind: type[ValueT]) -> Callable[[str], ValueT]:
    def get(name: str) -> ValueT:
        found = value[name]
        if not isinstance(found, kind):
            raise TypeError(f"{name}: {kind.__name__} expected")
        return found

    return get


def json_fields(data: bytes) -> dict[str, object]:
    """Parses the JSON object of a sample; empty where there is none."""
    try:
        value = parse_json(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
