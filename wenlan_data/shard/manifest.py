"""`manifest.json`: what a corpus consists of, written last and by one rename: the only truth."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wenlan_data.errors import DamageError, RecipeError, os_errors
from wenlan_data.files import write_atomic
from wenlan_data.shard.format import FORMAT, FORMAT_VERSION

MANIFEST = "manifest.json"
TIMES_NOTE = "Every value under times differs between equal builds; nothing else in this file does."


FileName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$", max_length=200)
]
"""A name without a folder: what a manifest says can never lead out of its corpus."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileEntry(_Entry):
    """A file of the corpus."""

    name: FileName
    """Without a folder: `shards/`, `metadata/` or `drops/`, by the list it stands in."""
    bytes: Count
    sha256: Digest


class MetadataName(_Entry):
    """The metadata table of a shard; its digest stands under `times`, since it holds times of fetching."""

    name: FileName


class ShardEntry(FileEntry):
    """One tar and what belongs to it."""

    samples: Count
    generation: Count
    offsets: FileEntry
    metadata: MetadataName


class DropsEntry(FileEntry):
    """One table of `drops/`."""

    rows: Count


class Generation(_Entry):
    """One published step of growth: candidates = samples + drops."""

    generation: Count
    candidates: Count
    samples: Count
    drops: Count
    first_shard: Count
    shards: Count


class Funnel(_Entry):
    """What became of every candidate."""

    candidates: Count = 0
    samples: Count = 0
    dropped: dict[str, dict[str, Count]] = {}
    """Step to reason to candidates."""
    known: Count = 0
    """Candidates that an earlier build had seen; not among `candidates`."""
    rejected_texts: dict[str, Count] = {}
    """Texts rejected of candidates that survived, by reason."""
    pages: dict[str, Count] = {}
    """Of crawls: `read`, or why a page was not, to pages. They are no candidates; their pictures are."""
    remarks: dict[str, dict[str, Count]] = {}
    """What the text rules saw of candidates that survived: characters `removed` by class, texts by `script`, by
    `flag`, and those that `repeats` the page's title."""


class Published(_Entry):
    """When a generation was published, ISO 8601 in UTC."""

    generation: Count
    at: str


class Times(_Entry):
    """All that differs between equal builds."""

    note: str = TIMES_NOTE
    published: list[Published] = []
    metadata: list[FileEntry] = []


class Manifest(_Entry):
    """The whole of `manifest.json`."""

    format: Literal["wenlan-corpus"] = "wenlan-corpus"
    format_version: int = FORMAT_VERSION
    code_version: str
    step_versions: dict[str, int]
    hash_version: int
    library_versions: dict[str, str]
    """Of the libraries that can change a byte."""
    recipe: dict[str, object]
    """Resolved."""
    recipe_digest: str
    sources: list[dict[str, object]]
    """Each with its `kind` and parameters, paths as the operator wrote them."""
    funnel: Funnel
    generations: list[Generation]
    shards: list[ShardEntry]
    drops: list[DropsEntry]
    times: Times = Times()

    def check_counts(self) -> None:
        """Raise `DamageError` unless every candidate is a sample or a drop, in each generation and in all."""
        dropped = sum(sum(reasons.values()) for reasons in self.funnel.dropped.values())
        _same("funnel: samples + drops", self.funnel.samples + dropped, self.funnel.candidates)
        for one in self.generations:
            _same(
                f"generation {one.generation}: samples + drops",
                one.samples + one.drops,
                one.candidates,
            )
        _same(
            "candidates of all generations",
            sum(one.candidates for one in self.generations),
            self.funnel.candidates,
        )
        _same(
            "samples of all shards",
            sum(shard.samples for shard in self.shards),
            self.funnel.samples,
        )
        _same("rows of all drops files", sum(table.rows for table in self.drops), dropped)


def load_manifest(corpus: Path) -> Manifest:
    """The manifest of `corpus`.

    Raises `DamageError` where it cannot be read or is none, `RecipeError` where a newer release wrote it.
    """
    path = corpus / MANIFEST
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DamageError(
            f"{path}: {error.strerror}: this is no corpus, or its build has published nothing"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DamageError(
            f"{path}: not valid JSON ({error}): restore the file from a copy"
        ) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DamageError(f"{path}: not a manifest of format {FORMAT}")
    version = value.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise RecipeError(
            f"{path}: format version {version} is newer than {FORMAT_VERSION}: upgrade wenlan-data"
        )
    try:
        return Manifest.model_validate(value)
    except ValidationError as error:
        raise DamageError(f"{path}: {_first(error)}") from error


def save_manifest(corpus: Path, manifest: Manifest) -> None:
    """Put `manifest` in place of the one that is there, at once or not at all, and durably."""
    path = corpus / MANIFEST
    text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
    with os_errors(path):
        write_atomic(path, text.encode())


def _same(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise DamageError(
            f"{MANIFEST}: {what} make {found}, not {expected}: candidates were lost or doubled"
        )


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).lstrip(".")
    return f"{path or 'the whole'}: {first['msg']}"
