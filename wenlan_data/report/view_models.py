"""View models of the report: what the template prints. The template decides layout only."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from wenlan_data.clean.masking import mask_contact_info
from wenlan_data.clean.variants import VARIANTS
from wenlan_data.reasons import Reason, known_reason
from wenlan_data.records import CONFIDENCE_DIGITS, MIN_CAPTION_CONFIDENCE, Box, Text
from wenlan_data.report.charts import Bar, Histogram, bars, histogram, share_below, tenths
from wenlan_data.report.data import (
    CorpusStatistics,
    DuplicateGroup,
    ImageLocation,
    ReasonSummary,
    ReportData,
    ReportItem,
    TextExample,
)
from wenlan_data.report.stages import STAGES
from wenlan_data.shard.manifest import Funnel
from wenlan_data.web.domains import icann_domain

MAX_CHARACTERS = 600
"""Characters shown of one text."""
MAX_CHOICES = 8
"""Choices of a gallery filter; the rarest values share the last one."""
MAX_BARS = 10
MAX_WORDS = 96
MIN_WORDS = 24
"""With fewer words that occur twice, those that occur once are shown as well."""
# A letter or digit with two more on either side: the ends stay, so that the shape can be seen.
_INNER_CHARACTER = re.compile(r"(?<=[\w@.+-]{2})[\w@.+-](?=[\w@.+-]{2})", re.ASCII)
# U+4000 to U+9FFF in UTF-8: none of these characters can change where a URL leads.
_ESCAPED_HAN = re.compile(r"(?:%E[4-9](?:%[89AB][0-9A-F]){2})+", re.IGNORECASE)

RELATIONS: Mapping[str, str] = {
    "given": "by a source of ready pairs",
    "attribute": "in an attribute of the image or the like",
    "figcaption": "in the caption of its figure",
    "container": "in a container of this image alone",
    "above": "in the block above",
    "below": "in the block below",
    "shared": "with several images",
    "page": "with all images of the page",
}
"""Where texts of a relation were found."""

ThumbnailSource = Callable[[ImageLocation], str]
"""Returns the `src` of the thumbnail of an image, empty if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryFilter:
    """A filter of the gallery, with the number of samples of each choice."""

    name: str
    choices: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCard:
    """A sample or drop with its thumbnail."""

    item: ReportItem
    src: str
    """Of the thumbnail; empty if there is none."""
    classes: str
    """CSS classes with the choice of each filter that the item belongs to: `f0-2 f1-0`."""
    texts: tuple[tuple[str, str, str], ...]
    """Type, text, and how it was found, such as `below 0.40`; empty for a text as its source gave
    it."""
    grid: str
    """SVG path around the cells, if the regions are the cells of a grid."""
    boxes: tuple[tuple[int, int, int, int, str], ...]
    """x, y, width, height in pixels and label of every other region but the whole image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStage:
    """A step of the funnel: the candidates that it dropped, and those that remained."""

    step: str
    description: str
    remaining: int
    dropped: int
    remaining_share: float
    """Of all candidates, 0 to 1."""
    dropped_share: float
    """Of all candidates, 0 to 1."""
    reasons: tuple[tuple[str, str, int, str], ...]
    """Reason, meaning, count, and anchor of its examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonView:
    """A drop reason with the cards of its examples."""

    anchor: str
    summary: ReasonSummary
    meaning: str
    cards: tuple[ItemCard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceHistogram:
    """The confidence of the texts of one type."""

    text_type: str
    texts: int
    doubtful_share: float
    """Share of texts that cannot become the caption, 0 to 1."""
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceView:
    """How certain it is that texts belong to their images."""

    relations: tuple[tuple[str, tuple[Bar, ...]], ...]
    """Titled bar lists."""
    histograms: tuple[ConfidenceHistogram, ...]
    """The most frequent text type first."""
    examples: tuple[tuple[str, tuple[tuple[str, str, ItemCard], ...]], ...]
    """Title, then the text, how it was found, and its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateGroupView:
    """A group of duplicates with the cards of its images."""

    group: DuplicateGroup
    kept: ItemCard | None
    copies: tuple[ItemCard, ...]


def clip(text: str) -> str:
    """Returns the text, or its beginning and the number of characters that were cut off."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}… (+{len(text) - MAX_CHARACTERS:,} characters)"


def masked(text: str) -> str:
    """Makes telephone numbers and addresses of people unreadable. Their length stays visible."""
    return _INNER_CHARACTER.sub("•", text)


def web_link(url: str) -> str:
    """Returns the URL if a browser may follow it (http and https only), otherwise ""."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return ""
    return url if scheme in {"http", "https"} and not re.search(r"[\x00-\x20]", url) else ""


def readable(url: str) -> str:
    """Decodes the percent-encoded Chinese characters of a URL, and nothing else."""
    return _ESCAPED_HAN.sub(lambda found: unquote(found[0], errors="strict"), url)


def item_card(item: ReportItem, source_of: ThumbnailSource, classes: str = "") -> ItemCard:
    """Returns the card of a sample or drop. Texts dropped for contact data are masked, and contact
    data in texts of other drops."""
    # The texts of a sample have passed the text rules of its recipe.
    hide: Callable[[str], str] = mask_contact_info if item.reason else clip
    if item.reason == Reason.CONTACT_INFO:
        hide = masked
    cells = [region for region in item.regions if region.label == "cell"]
    others = [region for region in item.regions if region.label not in {"cell", "image"}]
    return ItemCard(
        item=item,
        src=source_of(item.location) if item.location else "",
        classes=classes,
        texts=tuple((text.type, clip(hide(text.text)), found(text)) for text in item.texts),
        grid="".join(_cell_path(region.box_xyxy) for region in cells),
        boxes=tuple(_labelled_box(region.box_xyxy, region.label) for region in others),
    )


def found(text: Text) -> str:
    """Returns relation and confidence of a text; empty for a certain one as its source gave it."""
    if text.relation == "given" and text.confidence == 1:
        return ""
    return f"{clip(text.relation)} {text.confidence:.{CONFIDENCE_DIGITS}f}"


def _cell_path(box: Box) -> str:
    x1, y1, x2, y2 = box
    return f"M{x1} {y1}H{x2}V{y2}H{x1}z"


def _labelled_box(box: Box, label: str) -> tuple[int, int, int, int, str]:
    x1, y1, x2, y2 = box
    return x1, y1, max(0, x2 - x1), max(0, y2 - y1), label


def gallery(
    report: ReportData, source_of: ThumbnailSource
) -> tuple[tuple[GalleryFilter, ...], tuple[ItemCard, ...]]:
    """Returns the filters by which the shown samples differ, and their cards."""
    filters: list[GalleryFilter] = []
    chosen: list[list[int]] = []
    for name, value_of in _FILTERS:
        values = [value_of(sample) for sample in report.samples]
        counts = Counter(values)
        if len(counts) < 2:
            continue
        gallery_filter, choices = _filter(name, values, counts)
        filters.append(gallery_filter)
        chosen.append(choices)
    cards = [
        item_card(
            sample,
            source_of,
            " ".join(f"f{number}-{choices[index]}" for number, choices in enumerate(chosen)),
        )
        for index, sample in enumerate(report.samples)
    ]
    return tuple(filters), tuple(cards)


def _filter(
    name: str, values: Sequence[str], counts: Counter[str]
) -> tuple[GalleryFilter, list[int]]:
    """Returns a filter, and the index of the choice of each value."""
    ranked = [value for value, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]
    labels = ranked[: MAX_CHOICES - 1] if len(ranked) > MAX_CHOICES else ranked
    index_of = {label: index for index, label in enumerate(labels)}
    choices = [index_of.get(value, len(labels)) for value in values]
    names = [*labels, "others"] if len(labels) < len(ranked) else labels
    sizes = Counter(choices)
    return (
        GalleryFilter(
            name=name,
            choices=tuple((label, sizes[index]) for index, label in enumerate(names)),
        ),
        choices,
    )


def _shape(item: ReportItem) -> str:
    if not item.width or not item.height:
        return "unknown"
    ratio = item.width / item.height
    return "wide" if ratio > 1.15 else "tall" if ratio < 0.87 else "square"


_FILTERS: Sequence[tuple[str, Callable[[ReportItem], str]]] = (
    ("Source", lambda item: item.source or "not stated"),
    ("Caption type", lambda item: item.caption_type or "not stated"),
    ("Shape", _shape),
    ("Licence", lambda item: "stated" if item.licence else "not stated"),
    ("Texts", lambda item: "one" if len(item.texts) <= 1 else "several"),
    ("Opt-out", lambda item: "signal found" if item.opt_out else "none"),
)


def funnel_stages(funnel: Funnel) -> tuple[FunnelStage, ...]:
    """Returns the steps that dropped candidates, in the order of the flow."""
    funnel = funnel.last_outcomes()
    order = [*STAGES, *(step for step in funnel.dropped if step not in STAGES)]
    remaining, stages = funnel.candidates, []
    for step in order:
        reasons = funnel.dropped.get(step, {})
        dropped = sum(reasons.values())
        if not dropped:
            continue
        remaining -= dropped
        ranked = sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))
        stages.append(
            FunnelStage(
                step=step,
                description=STAGES.get(step, ""),
                remaining=remaining,
                dropped=dropped,
                remaining_share=remaining / funnel.candidates,
                dropped_share=dropped / funnel.candidates,
                reasons=tuple(
                    (reason, _meaning(reason), count, anchor(step, reason))
                    for reason, count in ranked
                ),
            )
        )
    return tuple(stages)


def anchor(step: str, reason: str) -> str:
    """Returns the HTML id of the examples of a drop reason."""
    return "drop-" + re.sub(r"[^a-z0-9]+", "-", f"{step}-{reason}".lower()).strip("-")


def drops(
    report: ReportData, source_of: ThumbnailSource
) -> tuple[tuple[str, str, tuple[ReasonView, ...]], ...]:
    """Returns each step with its description and drop reasons, in the order of the flow."""
    order = [*STAGES, *sorted({summary.step for summary in report.reasons} - set(STAGES))]
    found = []
    for step in order:
        summaries = sorted(
            (summary for summary in report.reasons if summary.step == step),
            key=lambda summary: (-summary.count, summary.reason),
        )
        if summaries:
            views = tuple(_reason_view(summary, source_of) for summary in summaries)
            found.append((step, STAGES.get(step, ""), views))
    return tuple(found)


def _reason_view(summary: ReasonSummary, source_of: ThumbnailSource) -> ReasonView:
    return ReasonView(
        anchor=anchor(summary.step, summary.reason),
        summary=summary,
        meaning=_meaning(summary.reason),
        cards=tuple(item_card(example, source_of) for example in summary.examples),
    )


def duplicate_groups(
    report: ReportData, source_of: ThumbnailSource
) -> tuple[DuplicateGroupView, ...]:
    """Returns the groups of duplicates with their cards."""
    return tuple(
        DuplicateGroupView(
            group=group,
            kept=item_card(group.kept, source_of) if group.kept else None,
            copies=tuple(item_card(copy, source_of) for copy in group.copies),
        )
        for group in report.duplicates
    )


def histograms(statistics: CorpusStatistics) -> tuple[Histogram, ...]:
    """Returns histograms of sides, image sizes and caption lengths; of regions if they differ."""
    found = [
        histogram("Shorter side", "px", statistics.short_side_px),
        histogram("Longer side", "px", statistics.long_side_px),
        histogram("Image size", "KiB", statistics.image_kib),
        histogram("Caption length", "characters", statistics.caption_chars),
        histogram("Regions", "per image", statistics.regions)
        if len(statistics.regions) > 1
        else None,
    ]
    return tuple(one for one in found if one is not None)


def confidence_view(report: ReportData, source_of: ThumbnailSource) -> ConfidenceView | None:
    """Returns confidence, relations and the most doubtful texts.

    None if all texts are as their sources gave them, and for samples before format 1.1.
    """
    statistics = report.statistics
    is_certain = all(set(counts) <= {100} for counts in statistics.confidence.values())
    if is_certain and set(statistics.relations) <= {"given"}:
        return None
    relations = (
        ("How captions were found", statistics.caption_relations),
        ("How texts were found", statistics.relations),
    )
    examples = (
        ("Captions of the lowest confidence", report.lowest_captions),
        ("Surrounding texts of the lowest confidence", report.lowest_surrounding),
    )
    return ConfidenceView(
        relations=tuple(
            (title, bars(_explained(counts), whole=counts.total(), most=MAX_BARS))
            for title, counts in relations
            if counts
        ),
        histograms=_confidence_histograms(statistics.confidence),
        examples=tuple(
            (title, tuple(_example_card(example, source_of) for example in texts))
            for title, texts in examples
            if texts
        ),
    )


def _example_card(example: TextExample, source_of: ThumbnailSource) -> tuple[str, str, ItemCard]:
    return clip(example.text.text), found(example.text), item_card(example.item, source_of)


def _confidence_histograms(
    confidence: Mapping[str, Counter[int]],
) -> tuple[ConfidenceHistogram, ...]:
    # Variants have the confidence of the surrounding text: their histograms would repeat its own.
    ranked = sorted(
        ((name, counts) for name, counts in confidence.items() if name not in VARIANTS),
        key=lambda entry: (-entry[1].total(), entry[0]),
    )
    lowest = round(100 * MIN_CAPTION_CONFIDENCE)
    return tuple(
        ConfidenceHistogram(
            text_type=text_type or "not stated",
            texts=counts.total(),
            doubtful_share=share_below(counts, lowest),
            bars=tenths(counts),
        )
        for text_type, counts in ranked[:MAX_BARS]
    )


def _explained(relations: Mapping[str, int]) -> dict[str, int]:
    return {
        f"{name}: {RELATIONS[name]}" if name in RELATIONS else name: count
        for name, count in relations.items()
    }


def origins(statistics: CorpusStatistics) -> tuple[tuple[str, tuple[Bar, ...]], ...]:
    """Returns titled bar lists: where samples come from, and what is stated about them."""
    counted: Sequence[tuple[str, Mapping[str, int], int]] = (
        ("Sources", _named(statistics.sources, "not stated"), statistics.samples),
        ("Image domains", domains(statistics.image_hosts), statistics.samples),
        ("Page domains", domains(statistics.page_hosts), statistics.samples),
        ("Caption types", _named(statistics.caption_types, "not stated"), statistics.samples),
        (
            "Text types",
            _named(statistics.text_types, "not stated"),
            statistics.text_types.total(),
        ),
        ("Stated licences", _named(statistics.licences, "none stated"), statistics.samples),
        ("Opt-out signals on samples", statistics.opt_outs, statistics.samples),
    )
    found = ((title, bars(counts, whole=whole, most=MAX_BARS)) for title, counts, whole in counted)
    return tuple((title, lines) for title, lines in found if lines)


def frequent_words(statistics: CorpusStatistics) -> tuple[Bar, ...]:
    """Returns the words that occur in most captions."""
    repeated = {word: count for word, count in statistics.words.items() if count > 1}
    chosen = repeated if len(repeated) >= MIN_WORDS else statistics.words
    ranked = bars(chosen, whole=statistics.samples, most=MAX_WORDS)
    # `bars` appends a bar for the rest, which is no word.
    return ranked[: min(MAX_WORDS, len(chosen))]


def _named(counts: Counter[str], nothing: str) -> dict[str, int]:
    return {name or nothing: count for name, count in counts.items()}


def domains(hosts: Counter[str]) -> dict[str, int]:
    """Counts registrable domains by the bundled Public Suffix List.

    IP addresses and single names stay as they are.
    """
    found: Counter[str] = Counter()
    for host, count in hosts.items():
        found[icann_domain(host) or "no host: local files and data URIs"] += count
    return dict(found)


def _meaning(reason: str) -> str:
    """Returns the meaning of a drop reason, "" for one of another package's plug-in."""
    known = known_reason(reason)
    return known.meaning if known else ""
