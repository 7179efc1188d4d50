"""Search for the samples of a corpus that are near one image: a pass over the hashes in its
metadata."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.bounded_tables import VERIFY, read_batches
from wenlan_data.dedupe.decontamination import any_image
from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.image.hash import HASH_VERSION
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import MANIFEST, METADATA
from wenlan_data.recipe import parse_recipe
from wenlan_data.records import Drop
from wenlan_data.sandbox.client import check_image
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.tables import METADATA as METADATA_SCHEMA
from wenlan_data.web.limits import DEFAULTS

_NAMES = ("key", "phash", "pdq", "shard", "image_url", "caption")
COLUMNS = pa.schema([METADATA_SCHEMA.field(name) for name in _NAMES])
_HASHES = pa.schema([METADATA_SCHEMA.field(name) for name in ("key", "phash", "pdq")])
_HASH_HEX, _PDQ_HEX = r"^[0-9a-f]{16}$", r"^[0-9a-f]{64}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearSample:
    """A sample near the requested image."""

    key: str
    distance: int
    """Bits of 64 in which the pHashes differ."""
    pdq_distance: int
    """Bits of 256 in which the PDQ hashes differ; up to 31 a build takes the two for one image."""
    shard: str
    image_url: str
    caption: str


def find_near(corpus: Path, image_or_key: str, radius_bits: int) -> list[NearSample]:
    """Every sample whose pHash is at most `radius_bits` (0 to 64) away, nearest first, then by key.

    A sample given by its key is among them, at distance 0. Raises `UsageError` for what is neither
    an image file nor a key of the corpus, and for a file where the corpus was hashed by another
    version.
    """
    if not (corpus / MANIFEST).is_file():
        raise UsageError(f"{corpus}: holds no {MANIFEST}: near looks into a corpus")
    manifest = load_manifest(corpus)
    tables = [corpus_file(corpus, METADATA, shard.metadata.name) for shard in manifest.shards]
    path = Path(image_or_key)
    if path.is_file():
        # Only a file is hashed here; the hashes of a key are those of the corpus, of any version.
        if manifest.hash_version != HASH_VERSION:
            raise UsageError(
                f"{corpus}: its hashes are of version {manifest.hash_version}, a file's would be of {HASH_VERSION}: "
                "give the key of a sample"
            )
        # With the `max_side_px` of the corpus: hashes are made of the stored pixels; of pixels at
        # another size they were up to 4 bits (pHash) and 18 bits (PDQ) apart, see `image.hash`.
        # Its part about images alone: the rules of a corpus may be plug-ins that are not here.
        image = {key: manifest.recipe[key] for key in ("name", "image") if key in manifest.recipe}
        recipe = parse_recipe(image, str(corpus))
        phash, pdq = _hashes_of(path, any_image(recipe.image.max_side_px))
    else:
        phash, pdq = _hashes_in(tables, image_or_key, corpus)
    found = [one for table in tables for one in _near_in(table, phash, pdq, radius_bits)]
    return sorted(found, key=lambda one: (one.distance, one.pdq_distance, one.key))


def _hashes_of(path: Path, rules: ImageRules) -> tuple[int, int]:
    with os_errors(path):
        found = check_image(read_bounded(path, DEFAULTS.max_image_bytes), rules)
    if isinstance(found, Drop):
        raise UsageError(
            f"{path}: no image that can be searched for ({found.in_words}): "
            "give an image file or the key of a sample"
        )
    return found.phash, int.from_bytes(found.pdq, "big")


def _hashes_in(tables: list[Path], key: str, corpus: Path) -> tuple[int, int]:
    for path in tables:
        for rows in read_batches(path, _HASHES):
            rows = rows.filter(pc.equal(rows["key"], pa.scalar(key)))
            if rows.num_rows:
                _check_hashes(path, rows)
                return int(rows["phash"][0].as_py(), 16), int(rows["pdq"][0].as_py(), 16)
    raise UsageError(
        f"{key!r}: neither a file nor the key of a sample of {corpus}: `shards ls --samples` shows keys"
    )


def _near_in(path: Path, phash: int, pdq: int, radius_bits: int) -> Iterator[NearSample]:
    for rows in read_batches(path, COLUMNS):
        _check_hashes(path, rows)
        # One `fromhex` for the batch, and big-endian, as hexadecimal digits are written.
        digits = "".join(rows["phash"].to_pylist())
        hashes = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
        far = np.bitwise_count(hashes ^ np.uint64(phash))
        hits = np.flatnonzero(far <= radius_bits)
        found: list[dict[str, str]] = rows.take(pa.array(hits)).to_pylist()
        for row, distance in zip(found, far[hits].tolist(), strict=True):
            yield NearSample(
                key=row["key"],
                distance=int(distance),
                pdq_distance=(int(row["pdq"], 16) ^ pdq).bit_count(),
                shard=row["shard"],
                image_url=row["image_url"],
                caption=row["caption"],
            )


def _check_hashes(path: Path, rows: pa.RecordBatch) -> None:
    for name, pattern in (("phash", _HASH_HEX), ("pdq", _PDQ_HEX)):
        if not pc.all(pc.match_substring_regex(rows[name], pattern)).as_py():
            raise DamageError(f"{path}: column {name!r} holds a value that is not a hash: {VERIFY}")
