"""Models of `manifest.json`, which lists all that belongs to a corpus.

It is written last and replaced by one rename: a file that it does not name is not published.
"""

import json
import operator
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import DamageError, RecipeError, in_short, os_errors
from wenlan_data.files import read_bounded, write_atomic
from wenlan_data.layout import MANIFEST
from wenlan_data.shard.format import FORMAT, FORMAT_VERSION

TIMES_NOTE = "Every value under times differs between equal builds; nothing else in this file does."


FileName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", max_length=200)
]
"""A name without a folder, so that no manifest can refer to a file outside its corpus."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MAX_TEXT_CHARS, MAX_KEYS, MAX_COUNT = 1000, 1000, 1 << 63


def _bounded(value: object) -> object:
    """Raises `ValueError` for a text, a mapping or a number larger than any that a build writes.

    No constraint of a field, since those would be part of the JSON Schema.
    """
    is_large = (
        value >= MAX_COUNT
        if isinstance(value, int)
        else len(value) > (MAX_TEXT_CHARS if isinstance(value, str) else MAX_KEYS)
        if isinstance(value, str | dict)
        else False
    )
    if is_large:
        raise ValueError("too large")
    return value


_Bounded = BeforeValidator(_bounded)
Count = Annotated[int, Field(ge=0), _Bounded]
Word = Annotated[str, _Bounded]
Counts = Annotated[dict[Word, Count], _Bounded]
"""Reason or another word to number."""
Item = TypeVar("Item")
# After its first bad item: each would be an error with a text.
Items = Annotated[list[Item], FailFast()]

MAX_BYTES = 1 << 25
MAX_VALUES = 1_000_000
"""About 20 are those of a shard, so this is a corpus of some 50,000 shards."""


class _ManifestModel(BaseModel):
    # A later version of this package adds keys without another format version.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class FileEntry(_ManifestModel):
    """A file of the corpus."""

    name: FileName
    """Without its folder: `shards/`, `metadata/` or `drops/`, depending on the list."""
    bytes: Count
    sha256: Digest


class MetadataName(_ManifestModel):
    """The metadata table of a shard; its digest is under `times`, since it holds fetch times."""

    name: FileName


class ShardEntry(FileEntry):
    """One tar with its offsets and metadata tables."""

    samples: Count
    generation: Count
    offsets: FileEntry
    metadata: MetadataName


class DropsEntry(FileEntry):
    """One table of `drops/`."""

    rows: Count


class Generation(_ManifestModel):
    """One published generation: candidates = samples + drops."""

    generation: Count
    candidates: Count
    samples: Count
    drops: Count
    first_shard: Count
    shards: Count


class Funnel(_ManifestModel):
    """Counts of candidates by outcome."""

    candidates: Count = 0
    samples: Count = 0
    dropped: Annotated[dict[Word, Counts], _Bounded] = {}
    """Step to reason to candidates."""
    known: Count = 0
    """Candidates of earlier generations; not among `candidates`."""
    rejected_texts: Counts = {}
    """Rejected texts of candidates that kept another text, by reason."""
    pages: Counts = {}
    """Crawled pages by outcome: `read`, or the drop reason. Pages are not candidates; their images
    are."""
    remarks: Annotated[dict[Word, Counts], _Bounded] = {}
    """Remarks of the text rules about candidates that kept a text: characters `removed` by class,
    texts by `script` and by `flag`, and texts that are `repeats` of the page's title."""
    retried: Annotated[dict[Word, Counts], _Bounded] = Field(default={}, exclude_if=operator.not_)
    """Step to reason to drops of candidates that a later generation fetched again, where they are
    counted a second time; absent if there are none."""

    @property
    def retried_candidates(self) -> int:
        """Number of drops that a later outcome of the same candidate replaces."""
        return sum(sum(reasons.values()) for reasons in self.retried.values())

    def last_outcomes(self) -> "Funnel":
        """Returns the funnel that counts each candidate once, by its last outcome."""
        dropped = {
            step: {
                reason: left
                for reason, count in reasons.items()
                if (left := count - self.retried.get(step, {}).get(reason, 0)) > 0
            }
            for step, reasons in self.dropped.items()
        }
        return self.model_copy(
            update={
                "candidates": self.candidates - self.retried_candidates,
                "dropped": {step: reasons for step, reasons in dropped.items() if reasons},
                "retried": {},
            }
        )


class Published(_ManifestModel):
    """Time at which a generation was published, ISO 8601 in UTC."""

    generation: Count
    at: Word
    sandbox: Items[Word] = Field(default=[], exclude_if=operator.not_)
    """What confined the decoders of its images, on each kind of machine that took part."""


class Times(_ManifestModel):
    """All that differs between equal builds."""

    note: str = TIMES_NOTE
    published: Items[Published] = []
    metadata: Items[FileEntry] = []


class Manifest(_ManifestModel):
    """Content of `manifest.json`."""

    format: Literal["wenlan-corpus"] = "wenlan-corpus"
    format_version: int = FORMAT_VERSION
    code_version: Word
    step_versions: dict[str, int]
    hash_version: int
    library_versions: dict[str, str]
    """Versions of the libraries that decide about bytes of the corpus."""
    recipe: dict[str, object]
    """The recipe with all defaults filled in."""
    recipe_digest: Word
    sources: Items[dict[str, object]]
    """Each with its `kind` and parameters, paths as the operator wrote them."""
    funnel: Funnel
    generations: Items[Generation]
    shards: Items[ShardEntry]
    drops: Items[DropsEntry]
    times: Times = Times()

    @model_validator(mode="after")
    def _has_all_shards(self) -> Self:
        for one in self.generations:
            if one.first_shard + one.shards > len(self.shards):
                raise ValueError(
                    f"generation {one.generation} has shards {one.first_shard} to "
                    f"{one.first_shard + one.shards - 1}, and {len(self.shards)} are listed"
                )
        return self

    def check_counts(self) -> None:
        """Raises `DamageError` unless each generation's candidates are all samples or drops."""
        dropped = sum(sum(reasons.values()) for reasons in self.funnel.dropped.values())
        _check_equal(
            "funnel: samples + drops", self.funnel.samples + dropped, self.funnel.candidates
        )
        for one in self.generations:
            _check_equal(
                f"generation {one.generation}: samples + drops",
                one.samples + one.drops,
                one.candidates,
            )
        _check_equal(
            "candidates of all generations",
            sum(one.candidates for one in self.generations),
            self.funnel.candidates,
        )
        _check_equal(
            "samples of all shards",
            sum(shard.samples for shard in self.shards),
            self.funnel.samples,
        )
        _check_equal("rows of all drops files", sum(table.rows for table in self.drops), dropped)


def load_manifest(corpus: Path, *, to_extend: bool = False) -> Manifest:
    """Reads and validates the manifest of `corpus`; keys that are not known are ignored.

    A corpus `to_extend` must not have such keys, since they would be lost or no longer true.

    Raises `DamageError` if it is missing or invalid, `RecipeError` if its format is newer, or its
    keys where they may not be.
    """
    path = corpus / MANIFEST
    try:
        data = read_bounded(path, MAX_BYTES)
        if data.count(b",") + data.count(b"{") + data.count(b"[") > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values")
        value = parse_json(data, max_bytes=MAX_BYTES)
    except OSError as error:
        raise DamageError(
            f"{path}: {error.strerror}: this is no corpus, or its build has published nothing"
        ) from error
    except ValueError as error:
        reason = in_short(error)
        raise DamageError(
            f"{path}: not valid JSON ({reason}): restore the file from a copy"
        ) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DamageError(f"{path}: not a manifest of format {FORMAT}")
    version = value.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise RecipeError(
            f"{path}: format version {str(version)[:20]} is newer than {FORMAT_VERSION}: "
            "upgrade wenlan-data"
        )
    if isinstance(version, int) and version < 1:
        raise DamageError(f"{path}: format_version: there is no version below 1")
    try:
        manifest = Manifest.model_validate(value)
    except ValidationError as error:
        raise DamageError(f"{path}: {_first_error(error)}") from error
    if to_extend:
        try:
            Manifest.model_validate(value, extra="forbid")
        except ValidationError as error:
            raise RecipeError(
                f"{path}: has a key that this version does not know ({_first_error(error)}): "
                "upgrade wenlan-data to extend this corpus"
            ) from error
    return manifest


def save_manifest(corpus: Path, manifest: Manifest) -> None:
    """Replaces the manifest of `corpus` atomically, flushed to the disk."""
    path = corpus / MANIFEST
    text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
    with os_errors(path):
        write_atomic(path, text.encode())


def _check_equal(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise DamageError(
            f"{MANIFEST}: {what} make {found}, not {expected}: candidates were lost or doubled"
        )


def _first_error(error: ValidationError) -> str:
    if error.error_count() > MAX_KEYS:  # a list of them would take 1 kB each
        return f"{error.error_count()} keys and values do not fit the format"
    first = error.errors(include_url=False)[0]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).lstrip(".")
    return f"{path[:200] or 'the whole'}: {first['msg']}"
