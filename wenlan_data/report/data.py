"""Report data: corpus statistics, and the few samples and drops that the page shows."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from wenlan_data.records import Region, Text
from wenlan_data.shard.manifest import Manifest

MAX_SAMPLES = 240
"""Samples in the gallery."""
MAX_DISTINCT, MAX_HOSTS, MAX_NAMES = 1_000_000, 250_000, 10_000
"""Distinct captions or words, hosts, and sources, licences and the like that are counted. Later new
ones are ignored, which bounds memory."""
MAX_COUNTED_CHARS = 100
"""Longer texts are counted by their first characters."""


def add_bounded(counter: Counter[str], text: str, times: int = 1, *, most: int) -> None:
    """Counts a text, unless it is new and `most` texts are counted already."""
    text = text[:MAX_COUNTED_CHARS]
    if text in counter or len(counter) < most:
        counter[text] += times


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """Position of an encoded image in a file: a member of a tar, or a payload of a WARC."""

    path: Path
    offset: int
    """Bytes from the start of the file."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportItem:
    """A sample or a drop as the page shows it. Unknown fields are empty or 0."""

    key: str = ""
    caption: str = ""
    caption_type: str = ""
    texts: tuple[Text, ...] = ()
    width: int = 0
    """Pixels of the stored image."""
    height: int = 0
    """Pixels of the stored image."""
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
    """Member name of the image in a tar of other origin, which need not follow from the key."""
    reason: str = ""
    """Drop reason; empty for a sample."""
    detail: str = ""
    """Detail of the drop reason, such as the HTTP status."""
    duplicate_of: str = ""
    """Key of the sample that was kept instead."""
    phash_distance: int = -1
    """Differing bits of 64; -1 where nothing was compared."""
    pdq_distance: int = -1
    """Differing bits of 256; -1 where nothing was compared."""
    generation: int = 0
    """Generation of a drop, which determines the fetch folder of its image."""
    location: ImageLocation | None = None
    """None where no bytes are left, or none were ever fetched."""


@dataclass(frozen=True, slots=True)
class TextExample:
    """A text of a sample."""

    text: Text
    item: ReportItem


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateGroup:
    """A kept sample and the copies of it that were dropped."""

    key: str
    """Key of the kept sample."""
    kept: ReportItem | None
    """None where no shard of the corpus holds it (an image of a test set, for example)."""
    copies: tuple[ReportItem, ...]
    hidden_copies: int = 0
    """Further copies, which the page only counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonSummary:
    """A drop reason of a step: number of candidates dropped for it, and examples."""

    step: str
    reason: str
    count: int
    examples: tuple[ReportItem, ...] = ()


@dataclass(slots=True)
class CorpusStatistics:
    """Counts by value over all samples, not only over those shown."""

    shards: int = 0
    samples: int = 0
    tar_bytes: int = 0
    short_side_px: Counter[int] = field(default_factory=Counter)
    long_side_px: Counter[int] = field(default_factory=Counter)
    image_kib: Counter[int] = field(default_factory=Counter)
    caption_chars: Counter[int] = field(default_factory=Counter)
    caption_types: Counter[str] = field(default_factory=Counter)
    text_types: Counter[str] = field(default_factory=Counter)
    relations: Counter[str] = field(default_factory=Counter)
    """Texts by how they were found."""
    caption_relations: Counter[str] = field(default_factory=Counter)
    """Samples by how their caption was found."""
    confidence: dict[str, Counter[int]] = field(default_factory=dict)
    """Text type to hundredths to texts."""
    regions: Counter[int] = field(default_factory=Counter)
    """Regions of a sample, the region of the whole image not counted."""
    sources: Counter[str] = field(default_factory=Counter)
    image_hosts: Counter[str] = field(default_factory=Counter)
    page_hosts: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    opt_outs: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    """Captions that contain each word."""
    captions: Counter[str] = field(default_factory=Counter)
    titles_as_captions: int = 0
    """Samples whose caption equals a title of the page, character by character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that the page, the card and the Croissant file are made of."""

    name: str
    manifest: Manifest | None
    """None for tars without a manifest."""
    digest: str
    """SHA-256 of the manifest file, which identifies the page of a corpus; empty without one."""
    statistics: CorpusStatistics
    samples: tuple[ReportItem, ...]
    duplicates: tuple[DuplicateGroup, ...] = ()
    reasons: tuple[ReasonSummary, ...] = ()
    lowest_captions: tuple[TextExample, ...] = ()
    """By confidence, the lowest first; none of confidence 1."""
    lowest_surrounding: tuple[TextExample, ...] = ()
