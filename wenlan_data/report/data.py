"""What the report is made of, as values: counts, and the few samples and drops that are shown."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from wenlan_data.records import Region, Text
from wenlan_data.shard.manifest import Manifest

MAX_DISTINCT = 1_000_000
"""Captions and words beyond so many different ones are no longer told apart, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a picture lie: a member of a tar, or a payload of a WARC."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A sample or a drop, as one card of the page. What is not known is empty, or 0."""

    key: str = ""
    caption: str = ""
    caption_type: str = ""
    texts: tuple[Text, ...] = ()
    width: int = 0
    """Pixels of the stored picture."""
    height: int = 0
    regions: tuple[Region, ...] = ()
    image_url: str = ""
    page_url: str = ""
    source: str = ""
    licence: str = ""
    author: str = ""
    opt_out: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    shard: str = ""
    file_name: str = ""
    """Of the picture's member, where a stranger's tar gives it a name of its own."""
    reason: str = ""
    """Of a drop."""
    detail: str = ""
    duplicate_of: str = ""
    phash_distance: int = -1
    """Bits of 64; -1 where nothing was compared."""
    pdq_distance: int = -1
    """Bits of 256."""
    generation: int = 0
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A kept sample and copies of it that were left out."""

    key: str
    kept: Shown | None
    """None where no shard of the corpus holds it (a picture of a test set, say)."""
    copies: tuple[Shown, ...]
    left: int = 0
    """Further copies that are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why candidates were left out, how many, and some of them."""

    step: str
    reason: str
    count: int
    examples: tuple[Shown, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts by value over all samples, whatever is shown of them."""

    shards: int = 0
    samples: int = 0
    tar_bytes: int = 0
    short_side_px: Counter[int] = field(default_factory=Counter)
    long_side_px: Counter[int] = field(default_factory=Counter)
    picture_kib: Counter[int] = field(default_factory=Counter)
    caption_chars: Counter[int] = field(default_factory=Counter)
    caption_types: Counter[str] = field(default_factory=Counter)
    text_types: Counter[str] = field(default_factory=Counter)
    regions: Counter[int] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    image_hosts: Counter[str] = field(default_factory=Counter)
    page_hosts: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    opt_outs: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    captions: Counter[str] = field(default_factory=Counter)
    titles_as_captions: int = 0
    """Samples whose caption is, character by character, a title of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything on the page."""

    name: str
    manifest: Manifest | None
    """None for tars that no build of ours published."""
    digest: str
    """SHA-256 of the manifest file, empty without one: by it a build knows its page again."""
    tally: Tally
    samples: tuple[Shown, ...]
    groups: tuple[Group, ...] = ()
    reasons: tuple[Reason, ...] = ()
