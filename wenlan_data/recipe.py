"""Loads, validates and digests recipes: what to build. The command line sets where and how."""

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
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from wenlan_data import plugins
from wenlan_data.detect.loading import load_detector, resolved_detector, with_absolute_weights
from wenlan_data.errors import RecipeError
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import Detector, Rule
from wenlan_data.records import MAX_LIST_ITEMS, TEXT_TYPES, Variant
from wenlan_data.settings import describe, names_in, origin_of, pipelines_folder, read_named

MAX_RADIUS_BITS = 8
MAX_SHARD_SAMPLES = 250_000
"""Readers refuse tables with a footer above 4 MiB; that of the metadata has 7 kB for 512 rows."""

TitleRepeats = Literal["title", "keep"]


class _RecipeModel(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True
    )


class RuleSpec(_RecipeModel):
    """A text rule by name, with its parameters as further keys."""

    model_config = ConfigDict(extra="allow", frozen=True)
    rule: str
    _loaded: Rule = PrivateAttr()

    @model_validator(mode="after")
    def _parameters_fit(self) -> "RuleSpec":
        try:
            # Kept, and pickled with the spec by the name of its class: a worker then needs neither
            # the modules that the operator named nor a look-up.
            self._loaded = cast(
                "Rule", plugins.build(plugins.RULES, self.rule, self.model_extra or {})
            )
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def load(self) -> Rule:
        """Returns the rule, ready to call."""
        return self._loaded

    def resolved(self) -> dict[str, object]:
        """Returns the rule with all its parameters, defaults included."""
        return {"rule": self.rule, **asdict(self.load())}  # type: ignore[call-overload]


class TextRules(_RecipeModel):
    """Rules for texts, and the choice of the caption."""

    rules: tuple[RuleSpec, ...] = ()
    caption: tuple[str, ...] = ("caption", "figcaption", "alt", "surrounding", "title")
    """Text types in order of preference: the first that passes the rules is the caption. All texts
    that pass are published."""
    min_confidence: float = Field(default=0.0, ge=0, le=1)
    """A text is dropped if the confidence that it belongs to its image is lower; 0: never. A text
    below 0.5 never becomes the caption, whatever this value is."""
    max_same_text: int = Field(default=10, ge=1)
    """A text is dropped if more images than this in the whole corpus have it."""
    title_repeats: TitleRepeats = "title"
    """Treatment of an alt text that repeats the page's title: `title` counts it as a title, `keep`
    leaves it an alt text."""
    variants: tuple[Variant, ...] = ()
    """Shorter forms of the surrounding text to publish with it: `easy` (128 characters), `first`
    (one sentence)."""
    tokens: bool = True
    """Whether samples hold the words of their caption, segmented by jieba, and their count."""

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
    """Rules for duplicate images and texts."""

    radius_bits: RadiusBits = 4
    """Two images are neighbours if at most this many of the 64 pHash bits differ; `off`: only equal
    bytes count."""
    verify: Literal["pdq", "none"] = "pdq"
    """Second hash in which neighbours must agree as well, since smooth images collide in pHash."""
    colour_levels: int = Field(default=12, ge=0, le=255)
    """With `verify: pdq`: largest difference, of 255, between the mean colours (Cb, Cr) of the
    quarters of neighbours; 255: colours are not compared."""
    keep: Literal["largest"] = "largest"
    merge_texts: bool = True
    against: tuple[str, ...] = ()
    """Benchmarks to decontaminate against: folders of images, tables or corpora, read once. A
    candidate near one of their images or texts is dropped."""
    placeholder_urls: int = Field(default=200, ge=0)
    """Images with equal bytes at this many URLs are all dropped as placeholders ("hotlink
    forbidden"); 0: never."""
    max_site_pages: int = Field(default=0, ge=0)
    """An image on more pages of one registrable domain than this is dropped everywhere as furniture
    (logos, QR codes, advertisements); 0: never."""
    min_site_share: float = Field(default=0.0, ge=0, le=1)
    """Up to ten times `max_site_pages`, an image is furniture only on more than this share of the
    pages of that domain that were read; 0: the number alone decides."""
    text_similarity: float = Field(default=0.0, ge=0, le=1)
    """Of two samples whose captions have at least this Jaccard similarity, one is kept; 0: texts
    are not compared."""
    max_domain_share: float = Field(default=1.0, gt=0, le=1)
    """Largest share of the corpus from one registrable domain; 1: no limit."""


class DetectRules(_RecipeModel):
    """Detector of regions, with its parameters as further keys."""

    model_config = ConfigDict(extra="allow", frozen=True)
    detector: str = "grid"
    max_regions: int = Field(default=36, ge=0, le=MAX_LIST_ITEMS - 1)
    """Largest number of regions of an image, without the whole image, which is always added."""
    device: str = "cpu"
    _loaded: Detector = PrivateAttr()

    @model_validator(mode="after")
    def _parameters_fit(self) -> "DetectRules":
        try:
            self._loaded = load_detector(self.detector, self.model_extra or {}, self.device)
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def load(self) -> Detector:
        """Returns the detector, without loading its weights."""
        return self._loaded

    def prepare(self) -> None:
        """Finds or downloads what the detector needs.

        Raises `RecipeError` that states what to install or to pass.
        """
        self.load().prepare()

    def located(self) -> "DetectRules":
        """Returns these rules with absolute paths of weights, for workers in another folder."""
        return DetectRules.model_validate(with_absolute_weights(self.model_dump()))

    def resolved(self) -> dict[str, object]:
        """Returns the detector with all its parameters, and the digest of weights that exist
        here."""
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
    """Size of shards and quality of stored JPEGs."""

    max_samples: int = Field(default=10_000, ge=1, le=MAX_SHARD_SAMPLES)
    max_bytes: int = Field(default=1 << 30, ge=1 << 12)
    """A number of bytes, or a text such as `512MiB`. Estimated from the sizes of the stored JPEGs."""
    jpeg_quality: int = Field(default=92, ge=1, le=100)

    @field_validator("max_bytes", mode="before")
    @classmethod
    def _read_unit(cls, value: object) -> object:
        match = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", value) if isinstance(value, str) else None
        if match and match[2] in _UNITS:
            return int(match[1]) * _UNITS[match[2]]
        return value


class Recipe(_RecipeModel):
    """A recipe: what to build."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    image: ImageRules = ImageRules()
    text: TextRules = TextRules()
    dedupe: DedupeRules = DedupeRules()
    detect: DetectRules = Field(default_factory=DetectRules)
    shard: ShardRules = ShardRules()

    def resolved(self) -> dict[str, object]:
        """Returns all values, defaults included, as JSON types.

        The manifest holds them and the digest covers them.
        """
        value = self.model_dump(mode="json")
        value["text"]["rules"] = [spec.resolved() for spec in self.text.rules]
        value["detect"] = self.detect.resolved()
        resolved: dict[str, object] = json.loads(json.dumps(value))
        return resolved

    def digest(self) -> str:
        """Returns the SHA-256 of the resolved recipe, 64 hex digits."""
        text = json.dumps(
            self.resolved(), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()


def recipe_names() -> list[str]:
    """Returns the names of the recipes in `pipelines/`."""
    return names_in(pipelines_folder())


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Loads the recipe of that name or file, with `key.path=value` overrides (values are YAML).

    Raises `RecipeError` that names the key and the valid values.
    """
    value, path = read_named(name_or_path, pipelines_folder(), "recipe", overrides)
    return parse_recipe(value, path, overrides)


def parse_recipe(value: object, where: str, overrides: Sequence[str] = ()) -> Recipe:
    """Validates a recipe read from YAML or JSON; `where` names it in errors, unless one of the
    overrides in it is wrong."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        where = origin_of(error, where, overrides)
        raise RecipeError(f"{where}: {describe(error, Recipe)}") from error
