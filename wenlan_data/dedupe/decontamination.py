"""Decontamination: images, texts and URLs of benchmarks, read once and dropped from every
generation.

The step `against` (`read_benchmarks`) has hashed the benchmarks. Their texts are removed by
`text_filter`; images and URLs are compared here, after `groups` and before `matching`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from wenlan_data.arrow import read_table, strings, to_strings
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.groups import Images
from wenlan_data.dedupe.matching import Matches, match_segment
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.image.rules import ImageRules
from wenlan_data.index.published import Segment, Signatures, url_hashes
from wenlan_data.npy import Codes, FixedBytes, load_array, members

MAX_ROWS = 2000
"""Images that one task hashes: some ten seconds."""
IMAGES, TEXTS, URLS = "images.parquet", "texts.parquet", "url-hashes.npy"
IMAGES_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("phash", pa.uint64()),
        ("pdq", pa.binary(32)),
        ("colours", pa.binary(8)),
        ("sha256", pa.string()),
    ]
)
TEXTS_SCHEMA = pa.schema([("name", pa.string()), ("hash", pa.uint64())])


def any_image(max_side_px: int) -> ImageRules:
    """Rules that accept any image, scaled as a corpus with this `max_side_px` scales its own before
    hashing."""
    return ImageRules(min_side_px=1, min_bytes=0, max_aspect=1e6, max_side_px=max_side_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """The images, texts and URLs that must not be in the corpus."""

    segment: Segment
    """The images; their keys are row numbers, big-endian."""
    names: Sequence[str]
    text_hashes: Codes
    """Sorted."""
    text_names: Sequence[str]
    url_hashes: FixedBytes
    """Sorted."""

    def name_of(self, key: bytes) -> str:
        """The name of the image with this key of `segment`."""
        # NumPy drops trailing zero bytes of an item: without them row 256 would read as row 1.
        return self.names[int.from_bytes(key.ljust(16, b"\0"), "big")]


def load_benchmarks(folders: Sequence[str]) -> Benchmarks:
    """Loads what the benchmark parts wrote; nothing, if there are none. Raises `DamageError` for a
    file that cannot be read."""
    images = _tables(folders, IMAGES, IMAGES_SCHEMA)
    texts = _tables(folders, TEXTS, TEXTS_SCHEMA)
    # The cross join needs rows ordered by pHash. Stable, so that among equal pHashes the reading
    # order stays, and with it the image that `detail` names.
    order = np.argsort(images["phash"].to_numpy(), kind="stable")
    images = images.take(pa.array(order))
    pdq = b"".join(images["pdq"].to_pylist())
    sha256 = bytes.fromhex("".join(images["sha256"].to_pylist()))
    count = len(order)
    signatures = Signatures(
        phash=images["phash"].to_numpy(),
        pdq=np.frombuffer(pdq, np.uint64).reshape(count, 4),
        colours=np.frombuffer(b"".join(images["colours"].to_pylist()), np.uint64),
        sha256=np.frombuffer(sha256, "S32"),
        # Big-endian, so that keys sort like row numbers: of several matches the first row is named.
        keys=np.frombuffer(b"".join(n.to_bytes(16, "big") for n in range(count)), "S16"),
    )
    hashes = texts["hash"].to_numpy()
    order = np.argsort(hashes, kind="stable")
    urls = [load_array(Path(folder) / URLS, np.bytes_) for folder in folders]
    return Benchmarks(
        # One generation for all rows: matches are then ranked by equal bytes and by key alone.
        segment=Segment(signatures, np.zeros(count, np.uint32)),
        names=to_strings(images["name"]),
        text_hashes=hashes[order],
        text_names=to_strings(texts["name"].take(pa.array(order))),
        url_hashes=np.unique(np.concatenate([np.empty(0, "S16"), *urls])),
    )


def drop_contaminated(
    table: CandidateTable, images: Images, benchmarks: Benchmarks, decisions: Decisions
) -> None:
    """Drops images that equal one of a benchmark in bytes, are its neighbours by hash, or come from
    one of its URLs; the details name which."""
    matches = Matches.none(len(images.primary))
    match_segment(images.groups, benchmarks.segment, matches)
    names = {
        image: benchmarks.name_of(matches.key[image])
        for image in np.flatnonzero(matches.found).tolist()
    }
    hashes = url_hashes(strings(table.results, "url_key", table.result[images.rows]))
    for place in np.flatnonzero(members(benchmarks.url_hashes, hashes)[1]).tolist():
        # A match by image stays: it names the image of the benchmark, a URL only itself.
        names.setdefault(int(images.image[place]), "its URL")
    found = np.fromiter(names, np.int64)
    rows, at = images.candidates_of(found)
    # All these rows are open, since no check runs between `group_exact` and this one: no detail of
    # a row that was dropped before is overwritten.
    decisions.drop(rows, Decision.CONTAMINATION)
    decisions.details.update(
        zip(rows.tolist(), (names[image] for image in found[at].tolist()), strict=True)
    )


def _tables(folders: Sequence[str], name: str, schema: pa.Schema) -> pa.Table:
    tables = [read_table(Path(folder) / name, schema.names) for folder in folders]
    return pa.concat_tables([schema.empty_table(), *tables])
