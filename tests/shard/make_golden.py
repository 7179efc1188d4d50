"""Makes a small corpus from drawn images by the real shard step; as a script: `shards/golden-1.1/`."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from numpy.typing import NDArray

from wenlan_data.image.hash import (
    HASH_VERSION,
    colour_thumbnail,
    grey_thumbnail,
    perceptual_hashes,
    quarter_colours,
)
from wenlan_data.layout import PART_DROPS
from wenlan_data.recipe import Recipe
from wenlan_data.records import Text
from wenlan_data.run.versions import library_versions
from wenlan_data.shard.format import sample_key
from wenlan_data.shard.manifest import (
    DropsEntry,
    FileEntry,
    Funnel,
    Generation,
    Manifest,
    MetadataName,
    Published,
    ShardEntry,
    Times,
    save_manifest,
)
from wenlan_data.shard.step import ShardPart
from wenlan_data.tables import DROPS, KEPT

GOLDEN = Path(__file__).parents[2] / "shards" / "golden-1.1"
GOLDEN_1_0 = GOLDEN.with_name("golden")
"""The golden corpus of format 1.0, whose texts have neither relation nor confidence."""
FETCHED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Pair:
    """Number of a drawn image, with its texts."""

    number: int
    caption: str
    texts: tuple[Text, ...]
    opt_out: tuple[str, ...] = ()


PAIRS = (
    Pair(0, "雨后的山谷里有一道彩虹", (Text("caption", "雨后的山谷里有一道彩虹"),)),
    Pair(
        1,
        "厨师把面团拉成细细的面条",
        (
            Text("alt", "厨师把面团拉成细细的面条", "attribute", 0.9),
            Text("title", "兰州拉面", "page", 0.3),
        ),
    ),
    Pair(
        2,
        "“青花瓷”花瓶,高30厘米",
        (
            Text("figcaption", "“青花瓷”花瓶,高30厘米", "figcaption", 0.95),
            Text("surrounding", "馆藏・明代", "below", 0.45),
        ),
    ),
    Pair(3, "小猫趴在窗台上晒太阳🐱", (Text("caption", "小猫趴在窗台上晒太阳🐱"),)),
    Pair(
        4,
        "𠮷野家门口排队的人",
        (Text("caption", "𠮷野家门口排队的人"),),
        ("X-Robots-Tag: noai",),
    ),
)


def draw(number: int, *, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Draws stripes and a square in colours of `number`: uint8 (height, width, 3), integers
    only."""
    y, x = np.mgrid[0:height, 0:width]
    stripes = (x * (number + 2) + y * (2 * number + 1)) // 24 * 24
    pixels = (
        np.stack([stripes * 3, stripes * 5 + number * 40, stripes * 7 + number * 90], axis=2) % 256
    )
    left = 4 + 7 * number
    pixels[12:36, left : left + 24] = (200 - 30 * number, 40 * number, 90)
    return pixels.astype(np.uint8)


def encode(pixels: NDArray[np.uint8], quality: int = 30) -> bytes:
    """Encodes uint8 (H, W, 3) as a JPEG."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality))


def make_corpus(corpus: Path, pairs: Sequence[Pair] = PAIRS, *, per_shard: int = 3) -> Manifest:
    """Writes a valid corpus with one drop and shards of `per_shard` samples."""
    for folder in ("shards", "metadata", "drops"):
        (corpus / folder).mkdir(parents=True, exist_ok=True)
    recipe = Recipe.model_validate({"name": "golden", "detect": {"max_regions": 4}})
    with TemporaryDirectory() as work:
        rows = write_warc(Path(work) / "images.warc", pairs)
        cuts = [rows[at : at + per_shard] for at in range(0, len(rows), per_shard)]
        made = [
            _make_shard(corpus, Path(work), number, cut, recipe) for number, cut in enumerate(cuts)
        ]
    manifest = _manifest(recipe, len(pairs), made, _make_drops(corpus))
    manifest.check_counts()
    save_manifest(corpus, manifest)
    return manifest


def write_warc(path: Path, pairs: Sequence[Pair]) -> list[dict[str, object]]:
    """Writes the images one after the other; returns their rows of `tables.KEPT`, sorted by key."""
    rows, blob = [], b"WARC/1.1\r\n\r\n"
    for pair in pairs:
        pixels = draw(pair.number)
        data = encode(pixels)
        rows.append(kept_row(pair, data, pixels, warc_offset=len(blob)))
        blob += data
    path.write_bytes(blob)
    return sorted(rows, key=lambda row: str(row["key"]))


def kept_row(
    pair: Pair, data: bytes, pixels: NDArray[np.uint8], *, warc_offset: int
) -> dict[str, object]:
    """Returns a row of `tables.KEPT`."""
    url = f"https://example.org/{pair.number}.jpg"
    sha256 = hashlib.sha256(data).hexdigest()
    phash, pdq = perceptual_hashes(grey_thumbnail(pixels))
    facts = {
        "bytes": len(data),
        "format": "jpeg",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
    }
    fetched = {
        "fetch_part": 0,
        "warc_offset": warc_offset,
        "final_url": url,
        "fetched_at": FETCHED_AT,
    }
    fetched |= {"encoded_offset": -1, "encoded_bytes": 0, "encoded_crc32c": 0}
    return {
        "key": sample_key(url, sha256),
        "ordinal": pair.number,
        "candidate_id": pair.number.to_bytes(16, "big"),
        "url": url,
        "page_url": "https://example.org/",
        "source": "table:golden.csv",
        "licence": "CC0-1.0",
        "author": "",
        "opt_out": list(pair.opt_out),
        "texts": [asdict(text) for text in pair.texts],
        "caption": pair.caption,
        "caption_type": pair.texts[0].type,
        "sha256": sha256,
        "phash": phash,
        "pdq": pdq,
        "ip": "192.0.2.1",
        **facts,
        **fetched,
    }


def shard_part(
    work: Path, number: int, rows: Sequence[dict[str, object]], recipe: Recipe
) -> ShardPart:
    """Returns the part of the shard step for these rows, with their images in
    `work/images.warc`."""
    kept = work / f"kept-{number}.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=KEPT), kept)
    return ShardPart(
        shard_number=number,
        kept=str(kept),
        warcs={0: str(work / "images.warc")},
        image=recipe.image,
        detect=recipe.detect,
        shard=recipe.shard,
    )


def _make_shard(
    corpus: Path, work: Path, number: int, rows: Sequence[dict[str, object]], recipe: Recipe
) -> tuple[ShardEntry, FileEntry]:
    out = work / f"out-{number}"
    out.mkdir()
    made = shard_part(work, number, rows, recipe)(out).details
    metadata = FileEntry(
        name=f"{number:06d}.parquet", bytes=made.metadata.bytes, sha256=made.metadata.sha256
    )
    (out / "metadata.parquet").rename(corpus / "metadata" / metadata.name)
    (out / PART_DROPS).unlink()
    for path in out.iterdir():
        path.rename(corpus / "shards" / path.name)
    entry = ShardEntry(
        name=made.name,
        bytes=made.bytes,
        sha256=made.sha256,
        samples=made.samples,
        generation=0,
        offsets=FileEntry.model_validate(asdict(made.offsets)),
        metadata=MetadataName(name=metadata.name),
    )
    return entry, metadata


def _make_drops(corpus: Path) -> DropsEntry:
    path = corpus / "drops" / "000000.parquet"
    row = {
        "step": "fetch",
        "key": "",
        "url": "https://example.org/gone.jpg",
        "page_url": "",
        "source": "table:golden.csv",
    }
    reason = {"reason": "http_status", "detail": "404", "retryable": False, "duplicate_of": ""}
    rest = {
        "phash_distance": -1,
        "pdq_distance": -1,
        "texts": [asdict(Text("caption", "已删除的图片"))],
    }
    pq.write_table(pa.Table.from_pylist([{**row, **reason, **rest}], schema=DROPS), path)
    data = path.read_bytes()
    return DropsEntry(
        name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), rows=1
    )


def _manifest(
    recipe: Recipe, samples: int, made: Sequence[tuple[ShardEntry, FileEntry]], drops: DropsEntry
) -> Manifest:
    funnel = Funnel(candidates=samples + 1, samples=samples, dropped={"fetch": {"http_status": 1}})
    counts = {"candidates": samples + 1, "samples": samples, "drops": 1}
    return Manifest(
        code_version="0.1.0",
        step_versions={"shard": 1},
        hash_version=HASH_VERSION,
        library_versions=library_versions(),
        recipe=recipe.resolved(),
        recipe_digest=recipe.digest(),
        sources=[{"kind": "table", "path": "golden.csv"}],
        funnel=funnel,
        generations=[Generation(generation=0, first_shard=0, shards=len(made), **counts)],
        shards=[shard for shard, _ in made],
        drops=[drops],
        times=Times(
            published=[Published(generation=0, at="2026-01-02T03:04:05+00:00")],
            metadata=[metadata for _, metadata in made],
        ),
    )


def expected() -> dict[str, object]:
    """Returns what every reader must find in the golden corpus."""
    samples = []
    for pair in PAIRS:
        pixels = draw(pair.number)
        row = kept_row(pair, encode(pixels), pixels, warc_offset=0)
        phash, pdq = perceptual_hashes(grey_thumbnail(pixels))
        samples.append(
            {
                "key": row["key"],
                "number": pair.number,
                "caption": pair.caption,
                "texts": [asdict(text) for text in pair.texts],
                "opt_out": "\n".join(pair.opt_out),
                "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "phash": f"{phash:016x}",
                "pdq": pdq.hex(),
                "colours": quarter_colours(colour_thumbnail(pixels)).hex(),
            }
        )
    return {
        "hash_version": HASH_VERSION,
        "samples": sorted(samples, key=lambda one: str(one["key"])),
    }


if __name__ == "__main__":
    if GOLDEN.joinpath("manifest.json").exists():
        sys.exit(
            f"{GOLDEN} is there: the golden corpus stays as it is for as long as format version 1 lives"
        )
    make_corpus(GOLDEN)
    text = json.dumps(expected(), ensure_ascii=False, indent=1) + "\n"
    GOLDEN.joinpath("expected.json").write_text(text, encoding="utf-8")
