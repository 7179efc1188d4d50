"""The nouns that flow through a build. Immutable; bad data is a `Drop`, never an exception."""

import builtins
from dataclasses import dataclass
from typing import Literal

from wenlan_data.reasons import is_transient

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
"""The types that a text can have, in no order of preference (the recipe's `text.caption` orders them)."""


Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text that stands by a picture, with where it stood."""

    type: str
    """One of `TEXT_TYPES`; a ready pair's text has the type `caption`."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the bytes of a picture already lie, so that nobody needs to ask the web for them."""

    kind: str
    """`file` (the whole file at `path`), `warc` (the record at `offset` bytes of the WARC `path`) or `inline` (a
    `data:` URI inside the page that is recorded there)."""
    path: str
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pair whose picture is not fetched yet."""

    url: str
    """The picture's URL as the source gives it or, for a file, its path as the operator wrote it."""
    texts: tuple[Text, ...]
    page_url: str = ""
    source: str = ""
    """The name of the source that gave it, such as `table:urls.csv`."""
    licence: str = ""
    author: str = ""
    opt_out: tuple[str, ...] = ()
    """Signals seen, such as `X-Robots-Tag: noai`."""
    origin: Origin | None = None
    """Where the bytes of the image already lie; None: they are fetched over HTTP."""
    boxes: tuple[Box, ...] = ()
    """Regions that the source knows already, in pixels of the upright picture; for the detector `boxes`."""


@dataclass(frozen=True, slots=True, init=False)
class Drop:
    """Record of why a row, page, image or text was left out.

    >>> Drop(Reason.TIMEOUT, "headers").retryable
    True
    """

    reason: str
    """A `Reason`, or the word of another package's plug-in; the funnel counts by it."""
    detail: str
    """Observed value, such as `64x64`. A function of the data alone: no times, no worker addresses."""
    retryable: bool
    """Whether `--retry-failed` repeats the request."""

    def __init__(self, reason: str, detail: str = "", retryable: bool | None = None) -> None:
        """`retryable` defaults to whether the reason is transient."""
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "detail", detail)
        object.__setattr__(
            self, "retryable", is_transient(reason) if retryable is None else retryable
        )


@dataclass(frozen=True, slots=True)
class Remark:
    """What a rule saw in a text that it let pass, or why a text beside the caption was left out."""

    kind: str
    """`script` (hans, hant, mixed), `removed` (a class of characters), `author`, `flag`, `rejected` (the reason),
    `repeats` (title)."""
    value: str
    count: int = 1
    """How many characters, for `removed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of a picture's fetched bytes once they were decoded."""

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
    """A rectangle of a picture."""

    box_xyxy: Box
    """x1, y1, x2, y2 in pixels of the stored JPEG, 0 <= x1 < x2 <= width."""
    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One published pair, as a shard holds it."""

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
    """The caption's words by jieba."""
    caption_type: str = "caption"
    """Which of `TEXT_TYPES` the caption is."""
