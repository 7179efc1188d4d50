"""What to build: the recipe, loaded, validated and digested. Where and how is on the command line."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from wenlan_data import plugins
from wenlan_data.detect.loading import load_detector, resolved_detector, with_absolute_weights
from wenlan_data.errors import RecipeError
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import Detector, Rule
from wenlan_data.records import TEXT_TYPES, Variant
from wenlan_data.settings import describe, names_in, pipelines_folder, read_named

RULES = "wenlan_data.clean.rules"
MAX_RADIUS_BITS = 8

TitleRepeats = Literal["title", "keep"]


class _RecipeModel(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True
    )


class RuleSpec(_RecipeModel):
    """One text rule by name, its parameters beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    rule: str

    @model_validator(mode="after")
    def _parameters_fit(self) -> "RuleSpec":
        try:
            self.load()
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def load(self) -> Rule:
        """The working rule."""
        return cast("Rule", plugins.build(RULES, self.rule, self.model_extra or {}))

    def resolved(self) -> dict[str, object]:
        """The rule with every parameter, those left at their default too."""
        return {"rule": self.rule, **asdict(self.load())}  # type: ignore[call-overload]


class TextRules(_RecipeModel):
    """Which texts are taken, and which one becomes the caption."""

    rules: tuple[RuleSpec, ...] = ()
    caption: tuple[str, ...] = ("caption", "figcaption", "alt", "surrounding", "title")
    """The first of these types that survives is the caption; all survivors are kept."""
    max_same_text: int = Field(default=10, ge=1)
    """A text seen with more pictures than this, in the whole corpus, is left out."""
    title_repeats: TitleRepeats = "title"
    """What becomes of an alt text that most pictures of a page share, and that only repeats the page's title:
    `title` counts it as a title from then on."""
    variants: tuple[Variant, ...] = ()
    """Shorter forms of the surrounding text that are kept beside it: `easy` (128 characters), `first` (a sentence)."""
    tokens: bool = True
    """Whether each sample holds its caption's words by jieba, and their count."""

    @field_validator("caption")
    @classmethod
    def _types_exist(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if name not in TEXT_TYPES]
        if wrong or not value:
            raise ValueError(f"unknown text type {wrong}: choose from {', '.join(TEXT_TYPES)}")
        return value


def _radius(value: object) -> object:
    # YAML reads a bare `off` as false, and true would count as 1.
    if value is False or value == "off":
        return "off"
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_RADIUS_BITS:
        raise ValueError(f"0 to {MAX_RADIUS_BITS} bits are expected, or off")
    return value


RadiusBits = Annotated[
    Annotated[int, Field(ge=0, le=MAX_RADIUS_BITS)] | Literal["off"], BeforeValidator(_radius)
]


class DedupeRules(_RecipeModel):
    """What counts as the same picture."""

    radius_bits: RadiusBits = 4
    """Two pictures are neighbours when at most this many of the 64 pHash bits differ; `off`: only equal bytes count."""
    verify: Literal["pdq", "none"] = "pdq"
    """A second hash that neighbours must agree in as well: smooth pictures collide in pHash."""
    colour_levels: int = Field(default=12, ge=0, le=255)
    """With `verify: pdq`: of 255, how far the mean colours (Cb, Cr) of neighbours' quarters may differ; 255: colour
    is not looked at."""
    keep: Literal["largest"] = "largest"
    merge_texts: bool = True
    against: tuple[str, ...] = ()
    """Folders of pictures, tables or corpora: what is near one of theirs is left out, texts too. Read once."""
    placeholder_urls: int = Field(default=200, ge=0)
    """A picture whose very bytes so many URLs serve is left out whole ("hotlink forbidden"); 0: none is."""
    text_similarity: float = Field(default=0.0, ge=0, le=1)
    """Of two samples whose captions have at least this Jaccard similarity one stays; 0: texts are not compared."""
    max_domain_share: float = Field(default=1.0, gt=0, le=1)
    """Of the corpus that may come from one registrable domain; 1: no limit."""


class DetectRules(_RecipeModel):
    """How regions are found."""

    model_config = ConfigDict(extra="allow", frozen=True)
    detector: str = "grid"
    max_regions: int = Field(default=36, ge=0)
    """Besides the whole image, which is always there and not counted."""
    device: str = "cpu"

    @model_validator(mode="after")
    def _parameters_fit(self) -> "DetectRules":
        try:
            self.load()
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def load(self) -> Detector:
        """The detector, not yet loaded with its weights."""
        return load_detector(self.detector, self.model_extra or {}, self.device)

    def prepare(self) -> None:
        """Finds or downloads what the detector needs. Raises `RecipeError` that states what to install or to pass."""
        self.load().prepare()

    def located(self) -> "DetectRules":
        """The same with absolute paths of weights, for a worker that does not run in the operator's folder."""
        return DetectRules.model_validate(with_absolute_weights(self.model_dump()))

    def resolved(self) -> dict[str, object]:
        """The detector with every parameter; of weights that are at hand, the digest too."""
        own = {"detector": self.detector, "max_regions": self.max_regions, "device": self.device}
        return {**own, **resolved_detector(self.load())}


_UNITS = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}


class ShardRules(_RecipeModel):
    """How samples are packed."""

    max_samples: int = Field(default=10_000, ge=1)
    max_bytes: int = Field(default=1 << 30, ge=1 << 12)
    """A number of bytes, or a text such as `512MiB`. Reckoned from the fetched sizes."""
    jpeg_quality: int = Field(default=92, ge=1, le=100)

    @field_validator("max_bytes", mode="before")
    @classmethod
    def _read_unit(cls, value: object) -> object:
        match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", value) if isinstance(value, str) else None
        if match and match[2] in _UNITS:
            return int(match[1]) * _UNITS[match[2]]
        return value


class Recipe(_RecipeModel):
    """What to build."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    image: ImageRules = ImageRules()
    text: TextRules = TextRules()
    dedupe: DedupeRules = DedupeRules()
    detect: DetectRules = Field(default_factory=DetectRules)
    shard: ShardRules = ShardRules()

    def resolved(self) -> dict[str, object]:
        """Every value in force, as JSON types; what the manifest holds and the digest covers."""
        value = self.model_dump(mode="json")
        value["text"]["rules"] = [spec.resolved() for spec in self.text.rules]
        value["detect"] = self.detect.resolved()
        return cast("dict[str, object]", json.loads(json.dumps(value)))

    def digest(self) -> str:
        """SHA-256 over the resolved recipe, 64 hex digits."""
        text = json.dumps(
            self.resolved(), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()


def recipe_names() -> list[str]:
    """The names that `--recipe` takes."""
    return names_in(pipelines_folder())


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of that name or file, with `key.path=value` overrides (values are YAML).

    Raises `RecipeError` that names the key and what would be valid.
    """
    return parse_recipe(*read_named(name_or_path, pipelines_folder(), "recipe", overrides))


def parse_recipe(value: object, where: str) -> Recipe:
    """The recipe in a value read from YAML or JSON; `where` names it in errors."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        raise RecipeError(f"{where}: {describe(error, Recipe)}") from error
