"""Pictures and texts of benchmarks that a corpus must not hold: read once, and looked for in every generation."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wenlan_data.crawl.facts import NO_COLOURS
from wenlan_data.crawl.sources.folder import Folder
from wenlan_data.crawl.sources.table import Table
from wenlan_data.crawl.urls import url_key
from wenlan_data.dedupe.arrays import load_array, save_array
from wenlan_data.dedupe.codes import Prints, Run, url_hashes
from wenlan_data.dedupe.counts import hashes_of
from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.image.examine import examine
from wenlan_data.protocols import Receipt, Rule, SourcePart
from wenlan_data.recipe import ImageRules, Recipe, RuleSpec
from wenlan_data.records import Candidate, Drop, ImageFacts
from wenlan_data.shard.manifest import MANIFEST, load_manifest

MAX_ROWS = 2000
"""Pictures that one task looks at: some ten seconds."""
IMAGES, TEXTS, URLS = "images.parquet", "texts.parquet", "url-hashes.npy"
_IMAGES = pa.schema(
    [
        ("name", pa.string()),
        ("phash", pa.uint64()),
        ("pdq", pa.binary(32)),
        ("colours", pa.binary(8)),
        ("sha256", pa.string()),
    ]
)
_TEXTS = pa.schema([("name", pa.string()), ("hash", pa.uint64())])
_WEB = re.compile(r"https?://", re.IGNORECASE)


def any_image(max_side_px: int) -> ImageRules:
    """Rules for pictures of people who know them, hashed as a corpus hashes its own that stores them so long."""
    return ImageRules(min_side_px=1, min_bytes=0, max_aspect=1e6, max_side_px=max_side_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgainst:
    """Reads a part of one benchmark: a folder's pictures, a table's rows, or the metadata of a corpus.

    Writes `images.parquet` (name, hashes), `texts.parquet` (name, hash of the text as the recipe's rules leave it),
    `url-hashes.npy`. Details: pictures that were `unreadable`, and rows whose pictures are `not_at_hand`.
    """

    path: str
    """As the recipe names it."""
    part: SourcePart
    kind: str
    """`folder`, `table` or `corpus`."""
    rules: tuple[RuleSpec, ...]
    max_side_px: int
    """Of the recipe: hashes depend on it."""

    def __call__(self, out: Path) -> Receipt:
        """Read."""
        rules = [spec.load() for spec in self.rules]
        found = _Read(rules, any_image(self.max_side_px))
        if self.kind == "corpus":
            _read_metadata(Path(self.part.path), found)
        else:
            source = Folder(self.path) if self.kind == "folder" else Table(self.path)
            for one in source.read(self.part):
                found.add(one, Path(self.part.path).parent if self.kind == "table" else Path(self.part.path))
        found.save(out)
        return Receipt(
            rows_in=found.rows,
            rows_out=len(found.images),
            details={"unreadable": found.unreadable, "not_at_hand": found.not_at_hand, "texts": len(found.texts)},
        )


def against_parts(recipe: Recipe) -> list[ReadAgainst]:
    """The tasks that read the benchmarks of a recipe. Raises `UsageError` for a path that holds none."""
    return [
        ReadAgainst(
            path=os.path.abspath(path),  # noqa: PTH100 - keeps links
            part=part,
            kind=kind,
            rules=recipe.text.rules,
            max_side_px=recipe.image.max_side_px,
        )
        for path in recipe.dedupe.against
        for kind, part in _parts(path)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """All that must not be in the corpus."""

    run: Run
    """Its keys are row numbers, big-endian."""
    names: Sequence[str]
    text_hashes: NDArray[np.uint64]
    """Sorted."""
    text_names: Sequence[str]
    url_hashes: NDArray[np.bytes_]
    """Sorted."""

    def name_of(self, key: bytes) -> str:
        """Which picture a key of `run` is."""
        return self.names[int.from_bytes(key.ljust(16, b"\0"), "big")]


def load_benchmarks(folders: Sequence[str]) -> Benchmarks:
    """What the parts wrote. Raises `DamageError` where one is not whole."""
    images = _tables(folders, IMAGES, _IMAGES)
    texts = _tables(folders, TEXTS, _TEXTS)
    order = np.argsort(images["phash"].to_numpy(), kind="stable")
    images = images.take(pa.array(order))
    pdq, sha256 = (b"".join(images["pdq"].to_pylist()), bytes.fromhex("".join(images["sha256"].to_pylist())))
    count = len(order)
    prints = Prints(
        phash=images["phash"].to_numpy(),
        pdq=np.frombuffer(pdq, np.uint64).reshape(count, 4),
        colours=np.frombuffer(b"".join(images["colours"].to_pylist()), np.uint64),
        sha256=np.frombuffer(sha256, "S32"),
        keys=np.frombuffer(b"".join(n.to_bytes(16, "big") for n in range(count)), "S16"),
    )
    hashes = texts["hash"].to_numpy()
    order = np.argsort(hashes, kind="stable")
    urls = [load_array(Path(folder) / URLS, np.bytes_) for folder in folders]
    return Benchmarks(
        run=Run(prints, np.zeros(count, np.uint32)),
        names=cast("list[str]", images["name"].to_pylist()),
        text_hashes=hashes[order],
        text_names=cast("list[str]", texts["name"].take(pa.array(order)).to_pylist()),
        url_hashes=np.unique(np.concatenate([np.empty(0, "S16"), *urls])),
    )


def plain(text: str) -> str:
    """What a text is compared by: letters and digits only, case folded."""
    return "".join(one for one in text.casefold() if unicodedata.category(one)[0] in "LNM")


def plain_hashes(texts: pa.StringArray) -> NDArray[np.uint64]:
    """uint64 (N,): what texts are compared by, hashed."""
    return hashes_of([plain(one) for one in cast("list[str]", texts.to_pylist())])


class _Read:
    """What was read so far."""

    def __init__(self, rules: Sequence[Rule], image: ImageRules) -> None:
        self._rules = rules
        self._image = image
        self.images: list[dict[str, object]] = []
        self.texts: list[dict[str, object]] = []
        self.urls: list[str] = []
        self.rows = self.unreadable = self.not_at_hand = 0

    def add(self, one: Candidate | Drop, folder: Path) -> None:
        """A row of a folder or table; a table's picture may lie beside it."""
        self.rows += 1
        if isinstance(one, Drop):
            self.unreadable += 1
            return
        self.add_texts(one.url, [text.text for text in one.texts])
        if _WEB.match(one.url):
            self.urls.append(url_key(one.url))
            self.not_at_hand += 1
            return
        path = Path(one.stored.path) if one.stored else folder / one.url
        try:
            found = examine(path.read_bytes(), self._image)
        except OSError:
            self.not_at_hand += 1
            return
        if isinstance(found, ImageFacts):
            self.add_image(one.url, found.phash, found.pdq, found.colours, found.sha256)
        else:
            self.unreadable += 1

    def add_image(self, name: str, phash: int, pdq: bytes, colours: bytes, sha256: str) -> None:
        """A picture by its hashes."""
        self.images.append({"name": name, "phash": phash, "pdq": pdq, "colours": colours, "sha256": sha256})

    def add_texts(self, name: str, texts: Sequence[str]) -> None:
        """Texts as they stand, and as the recipe's rules leave them: the corpus holds the latter."""
        forms = {plain(form) for text in texts for form in (text, self._cleaned(text))} - {""}
        self.texts += [{"name": name, "hash": int(one)} for one in hashes_of(sorted(forms))]

    def save(self, out: Path) -> None:
        """Write the tables."""
        with os_errors(out):
            pq.write_table(pa.Table.from_pylist(self.images, _IMAGES), out / IMAGES)
            pq.write_table(pa.Table.from_pylist(self.texts, _TEXTS), out / TEXTS)
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
        for table in sorted((absolute / "metadata").glob("*.parquet")):
            yield "corpus", SourcePart(source=0, path=str(table))
    elif absolute.is_dir():
        for part in Folder(str(absolute)).parts(source=0, max_rows=MAX_ROWS):
            yield "folder", part
    elif absolute.is_file():
        for part in Table(str(absolute)).parts(source=0, max_rows=MAX_ROWS):
            yield "table", part
    else:
        raise UsageError(f"dedupe.against: {path}: there is no such folder, table or corpus")


def _read_metadata(path: Path, found: _Read) -> None:
    columns = ["key", "phash", "pdq", "sha256", "texts", "image_url"]
    try:
        rows = cast("list[dict[str, str]]", pq.read_table(path, columns=columns).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise DamageError(f"{path}: the metadata of a corpus cannot be read ({error})") from error
    for row in rows:
        found.rows += 1
        # A corpus does not tell its colours: its pictures are compared without them.
        found.add_image(row["key"], int(row["phash"], 16), bytes.fromhex(row["pdq"]), NO_COLOURS, row["sha256"])
        found.add_texts(row["key"], [one["text"] for one in cast("list[dict[str, str]]", row["texts"])])
        found.urls.append(url_key(row["image_url"]))


def _tables(folders: Sequence[str], name: str, schema: pa.Schema) -> pa.Table:
    try:
        return pa.concat_tables([schema.empty_table(), *(pq.read_table(Path(one) / name) for one in folders)])
    except (OSError, pa.ArrowException) as error:
        raise DamageError(f"{folders[0]} and its like: cannot be read ({error}): build anew") from error
