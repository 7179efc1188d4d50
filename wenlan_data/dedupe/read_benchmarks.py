"""Reads the benchmarks of `dedupe.against` and hashes their images and texts.

The step `against`, which only the first generation of a corpus has; `decontamination` loads its
files in every generation.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.bounded_tables import VERIFY, read_batches
from wenlan_data.dedupe.decontamination import (
    IMAGES,
    IMAGES_SCHEMA,
    MAX_ROWS,
    TEXTS,
    TEXTS_SCHEMA,
    URLS,
    any_image,
)
from wenlan_data.dedupe.text_hashes import hashes_of, plain
from wenlan_data.errors import DamageError, UsageError, in_short, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.image.hash import NO_COLOURS
from wenlan_data.image.rules import ImageRules
from wenlan_data.index.published import url_hashes
from wenlan_data.layout import MANIFEST, METADATA
from wenlan_data.npy import save_array
from wenlan_data.protocols import NoDetails, Receipt, Rule, Source, SourcePart
from wenlan_data.recipe import Recipe, RuleSpec
from wenlan_data.records import Candidate, Drop, ImageFacts
from wenlan_data.sandbox.client import check_image
from wenlan_data.shard.corpus_files import corpus_file, is_inside
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.source_config import SourceSpec
from wenlan_data.tables import METADATA as METADATA_SCHEMA
from wenlan_data.web.limits import DEFAULTS
from wenlan_data.web.urls import url_key

_METADATA_COLUMNS = pa.schema(
    [
        METADATA_SCHEMA.field(name)
        for name in ("key", "phash", "pdq", "sha256", "texts", "image_url")
    ]
)
_WEB = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPart:
    """Reads a part of one benchmark: the images of a folder, the rows of a table, or the metadata
    of a corpus.

    Writes `images.parquet` (name, hashes), `texts.parquet` (name, hash of the text) and
    `url-hashes.npy`. The receipt counts rows, and images that were hashed. Of an image that lies on
    the web or outside of the folder, is missing, too large or cannot be decoded, only the URL and
    the texts are compared.
    """

    path: str
    """Absolute path of the folder, table or corpus."""
    part: SourcePart
    kind: str
    """`folder`, `table` or `corpus`."""
    rules: tuple[RuleSpec, ...]
    max_side_px: int
    """The side to which the recipe scales images: hashes depend on it."""

    def __call__(self, out: Path) -> Receipt[NoDetails]:
        """Reads the part and writes its hashes."""
        path = Path(self.part.path)
        found = _Hashes([spec.load() for spec in self.rules], any_image(self.max_side_px))
        if self.kind == "corpus":
            _add_metadata(path, found)
        else:
            # The paths in a table start from its folder.
            folder = path.parent if self.kind == "table" else path
            for row in _source(self.kind, self.path).read(self.part):
                found.add(row, folder)
        found.save(out)
        return Receipt(rows_in=found.rows, rows_out=len(found.images), details=NoDetails())


def benchmark_parts(recipe: Recipe) -> list[BenchmarkPart]:
    """The parts of all benchmarks of a recipe. Raises `UsageError` for a path that holds none."""
    return [
        BenchmarkPart(
            path=os.path.abspath(path),  # noqa: PTH100 - keeps links
            part=part,
            kind=kind,
            rules=recipe.text.rules,
            max_side_px=recipe.image.max_side_px,
        )
        for path in recipe.dedupe.against
        for kind, part in _parts(path)
    ]


class _Hashes:
    """The hashes of the images, texts and URLs read so far."""

    def __init__(self, rules: Sequence[Rule], image: ImageRules) -> None:
        self._rules = rules
        self._image = image
        self.images: list[dict[str, object]] = []
        self.texts: list[dict[str, object]] = []
        self.urls: list[str] = []
        self.rows = 0

    def add(self, row: Candidate | Drop, folder: Path) -> None:
        """Adds a row of a folder or table; a relative image path of a table starts from
        `folder`."""
        self.rows += 1
        if isinstance(row, Drop):
            return
        self.add_texts(row.url, [text.text for text in row.texts])
        if _WEB.match(row.url):
            # Nothing is fetched for a benchmark: its URLs are compared as URLs.
            self.urls.append(url_key(row.url))
            return
        path = Path(row.origin.path) if row.origin else folder / row.url
        # A stranger's table may name any file of this machine.
        if not is_inside(path, folder):
            return
        try:
            data = read_bounded(path, DEFAULTS.max_image_bytes)
        except (OSError, ValueError, DamageError):
            return
        found = check_image(data, self._image)
        if isinstance(found, ImageFacts):
            self.add_image(row.url, found.phash, found.pdq, found.colours, found.sha256)

    def add_image(self, name: str, phash: int, pdq: bytes, colours: bytes, sha256: str) -> None:
        """Adds an image by its hashes."""
        self.images.append(
            {"name": name, "phash": phash, "pdq": pdq, "colours": colours, "sha256": sha256}
        )

    def add_texts(self, name: str, texts: Sequence[str]) -> None:
        """Adds texts as they stand, and as the recipe's rules leave them: the corpus holds the
        latter."""
        forms = {plain(form) for text in texts for form in (text, self._cleaned(text))} - {""}
        # Sorted: the order of a set of strings differs between processes, and the files would as
        # well.
        self.texts += [{"name": name, "hash": int(one)} for one in hashes_of(sorted(forms))]

    def save(self, out: Path) -> None:
        """Writes the tables."""
        with os_errors(out):
            pq.write_table(pa.Table.from_pylist(self.images, IMAGES_SCHEMA), out / IMAGES)
            pq.write_table(pa.Table.from_pylist(self.texts, TEXTS_SCHEMA), out / TEXTS)
        save_array(out / URLS, np.unique(url_hashes(self.urls)))

    def _cleaned(self, text: str) -> str:
        for rule in self._rules:
            after = rule(text)
            if isinstance(after, Drop):
                return text
            text = after
        return text


def _parts(path: str) -> Iterator[tuple[str, SourcePart]]:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - keeps links
    if (absolute / MANIFEST).is_file():
        load_manifest(absolute)
        for table in sorted((absolute / METADATA).glob("*.parquet")):
            inside = corpus_file(absolute, METADATA, table.name)
            yield "corpus", SourcePart(source=0, path=str(inside))
    elif absolute.is_dir():
        for part in _source("folder", str(absolute)).parts(source=0, max_rows=MAX_ROWS):
            yield "folder", part
    elif absolute.is_file():
        for part in _source("table", str(absolute)).parts(source=0, max_rows=MAX_ROWS):
            yield "table", part
    else:
        raise UsageError(f"dedupe.against: {path}: there is no such folder, table or corpus")


def _source(kind: str, path: str) -> Source:
    return SourceSpec.model_validate({"kind": kind, "path": path}).load()


def _add_metadata(path: Path, found: _Hashes) -> None:
    for batch in read_batches(path, _METADATA_COLUMNS):
        for row in batch.to_pylist():
            found.rows += 1
            try:
                phash, pdq = int(row["phash"], 16), bytes.fromhex(row["pdq"])
            except ValueError as error:
                raise DamageError(f"{path}: {in_short(error)} is no hash: {VERIFY}") from error
            # The metadata of a corpus hold no colours: its images are compared without them.
            found.add_image(row["key"], phash, pdq, NO_COLOURS, row["sha256"])
            found.add_texts(row["key"], [one["text"] for one in row["texts"]])
            found.urls.append(url_key(row["image_url"]))
