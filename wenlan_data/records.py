"""Immutable values that the steps of a build exchange.

Invalid data is a `Drop`, not an exception.
"""

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from wenlan_data.reasons import is_transient, known_reason

Variant = Literal["easy", "first"]

TEXT_TYPES = (
    "caption",
    "figcaption",
    "alt",
    "title",
    "surrounding",
    "heading",
    "page_title",
    "keywords",
    "easy",
    "first",
)
"""Text types, unordered; the recipe's `text.caption` sets the order of preference."""

Relation = Literal[
    "given", "attribute", "figcaption", "container", "above", "below", "shared", "page"
]
"""How a text was found: `given` by a source of ready pairs; in an `attribute` of the image, in
JSON-LD about it, or in a link to it; in the `figcaption` or the like of its figure; in the
`container` that holds this image alone (a card, a table row, a post, a section, an object of JSON
state); in the block `above` or `below` it, where
images and texts alternate; `shared` by several images; on the `page`, which all its images share
(title, keywords)."""

MAX_FALLBACK_URLS = 3

MAX_LIST_ITEMS = 4096
"""Of a list in a sample or table: texts, regions, words. Readers refuse longer ones."""
MAX_TEXT_CHARACTERS = 1 << 20
"""Of all texts of a candidate, or of a sample."""

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels."""


MIN_CAPTION_CONFIDENCE = 0.5
"""A text of lower confidence is doubtful: more likely than not it belongs to another image. It is
published with its type, but never becomes the caption, since the text of another image is worse
than no text."""

CONFIDENCE_DIGITS = 2
"""Decimals of a confidence. It is rounded once, so that it has the same value in every table and in
JSON, and a build from recordings compares the same numbers as the build that recorded them."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of an image, with its place in the page.

    Raises `ValueError` for a confidence outside [0, 1].

    >>> text = Text("figcaption", "雨后的黄山云海", "below", 0.4321)
    >>> text.confidence, text.is_doubtful
    (0.43, True)
    """

    type: str
    """One of `TEXT_TYPES`; `caption` for the text of a ready pair."""
    text: str
    relation: Relation = field(default="given", compare=False)
    confidence: float = field(default=1.0, compare=False)
    """In [0, 1], rounded to hundredths: how certain it is that the text belongs to this image and to
    no other. Texts that differ only in relation or confidence are equal."""

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence {self.confidence!r}: a number from 0 to 1 is expected")
        rounded = round(self.confidence, CONFIDENCE_DIGITS)
        if rounded != self.confidence:
            object.__setattr__(self, "confidence", rounded)

    @property
    def is_doubtful(self) -> bool:
        """Whether the confidence is too low for a caption."""
        return self.confidence < MIN_CAPTION_CONFIDENCE


def parse_text(fields: Mapping[str, Any]) -> Text:
    """Returns the text of a table row or JSON object.

    Rows and samples before format 1.1 lack `relation` and `confidence`, and get the defaults.
    Raises `KeyError`, `TypeError` or `ValueError` for fields that do not fit.

    >>> parse_text({"type": "alt", "text": "灯塔"}).relation
    'given'
    """
    kind, text = str(fields["type"]), str(fields["text"])
    relation, confidence = fields.get("relation"), fields.get("confidence")
    return Text(
        kind,
        text,
        "given" if relation is None else cast("Relation", str(relation)),
        1.0 if confidence is None else float(confidence),
    )


def merge_equal_texts(texts: Iterable[Text]) -> tuple[Text, ...]:
    """Returns each text once, by type and text, in order of its first occurrence.

    Of equal texts the one with the highest confidence stays, with its relation.

    >>> seen_twice = [Text("alt", "灯塔", "shared", 0.3), Text("alt", "灯塔", "attribute", 0.9)]
    >>> [(text.relation, text.confidence) for text in merge_equal_texts(seen_twice)]
    [('attribute', 0.9)]
    """
    best: dict[Text, Text] = {}
    for text in texts:
        known = best.get(text)
        if known is None or text.confidence > known.confidence:
            best[text] = text
    return tuple(best.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Place of an image whose bytes are stored already, so that they are not fetched."""

    kind: str
    """`file` (the whole file at `path`), `warc` (the record at byte `offset` of the WARC `path`) or
    `inline` (a `data:` URI inside the page that is recorded there)."""
    path: str
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResponse:
    """A response that a source holds: its URL is not requested."""

    url: str
    offset: int
    """Of its record, bytes from the start of the part's file."""
    sha256: str = ""
    """Of the payload, up to the limit of a WARC reader: a record with another one is refused when
    it is read again. Empty: not checked."""
    is_image: bool = True
    """Whether the payload begins like an image."""
    transient: bool = False
    """Whether it is a failure that `--retry-failed` requests again."""
    redirect: str = ""
    """URL that the response redirects to; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An image-text pair before its image is fetched."""

    url: str
    """URL of the image as the source gives it or, for a file, its path as the operator wrote it."""
    texts: tuple[Text, ...]
    page_url: str = ""
    source: str = ""
    """Name of the source, such as `table:urls.csv`."""
    licence: str = ""
    author: str = ""
    opt_out: tuple[str, ...] = ()
    """Opt-out signals, such as `X-Robots-Tag: noai`."""
    origin: Origin | None = None
    """Place of stored bytes; None for an image to fetch over HTTP."""
    no_content: "Drop | None" = None
    """Why the image is no content of its page, such as an avatar; it is then not fetched."""
    boxes: tuple[Box, ...] = ()
    """Boxes that the source gives, in pixels of the upright image; for the detector `boxes`."""
    fallback_urls: tuple[str, ...] = ()
    """Addresses of other copies of the image, the best first, at most `MAX_FALLBACK_URLS`. One is
    requested where `url` and those before it give no image, if it is on the host of `url`."""


@dataclass(frozen=True, slots=True, init=False)
class Drop:
    """Record of why a row, page, image or text was left out.

    >>> from wenlan_data.reasons import Reason
    >>> Drop(Reason.TIMEOUT, "headers").retryable
    True
    """

    reason: str
    """A `Reason`, or the word of another package's plug-in; the funnel counts by it."""
    detail: str
    """Observed value, such as `64x64`. A function of the data alone: no times, no worker
    addresses."""
    retryable: bool
    """Whether `--retry-failed` repeats the request."""
    page_url: str
    """The page that was not read, or not whole; empty for what a row or image names itself."""

    def __init__(
        self, reason: str, detail: str = "", retryable: bool | None = None, page_url: str = ""
    ) -> None:
        """`retryable` defaults to whether the reason is transient."""
        object.__setattr__(self, "reason", reason)
        # No table holds a lone surrogate, which stands for a byte of a header that is not UTF-8.
        written = detail if detail.isascii() else detail.encode("utf-8", "replace").decode()
        object.__setattr__(self, "detail", written)
        object.__setattr__(
            self, "retryable", is_transient(reason) if retryable is None else retryable
        )
        object.__setattr__(self, "page_url", page_url)

    @property
    def in_words(self) -> str:
        """The meaning of the reason and the detail, for a message.

        >>> Drop("too_small", "40x40").in_words
        "smaller than the recipe's minimum side: 40x40"
        """
        known = known_reason(self.reason)
        meaning = known.meaning if known else self.reason
        # What sniffing could not name is no news.
        return meaning if self.detail in {"", "unknown"} else f"{meaning}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Remark:
    """Observation of a rule about a text that passed, or the reason why another text was
    rejected."""

    kind: str
    """`script` (hans, hant, mixed), `removed` (a class of characters), `author`, `flag`, `rejected`
    (the reason), `repeats` (title)."""
    value: str
    count: int = 1
    """Number of characters, for `removed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Properties of a fetched image that was decoded."""

    sha256: str
    """64 lower-case hex digits, over the fetched bytes."""
    bytes: int
    format: str
    """`jpeg`, `png`, `webp`, `gif` or `avif`, by magic number."""
    width: int
    """Pixels, upright (after EXIF orientation)."""
    height: int
    phash: int
    """64-bit DCT hash of the normalised thumbnail, see `image.hash`."""
    pdq: builtins.bytes
    """32 bytes, the PDQ hash of the same thumbnail."""
    colours: builtins.bytes
    """8 bytes, the mean Cb and Cr of its quarters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle of an image."""

    box_xyxy: Box
    """x1, y1, x2, y2 in pixels of the stored JPEG, 0 <= x1 < x2 <= width."""
    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A published image-text pair, as a shard holds it."""

    key: str
    """32 lower-case hex digits, unique in the corpus."""
    jpeg: bytes
    caption: str
    texts: tuple[Text, ...]
    regions: tuple[Region, ...]
    """The whole image comes last, with the label `image`."""
    width: int
    height: int
    sha256: str
    """Of the fetched bytes."""
    phash: int
    pdq: bytes
    image_url: str
    page_url: str = ""
    source: str = ""
    licence: str = ""
    author: str = ""
    opt_out: tuple[str, ...] = ()
    detector: str = "grid"
    tokens: tuple[str, ...] = ()
    """Words of the caption, segmented by jieba."""
    caption_type: str = "caption"
    """Type of the caption, one of `TEXT_TYPES`."""
