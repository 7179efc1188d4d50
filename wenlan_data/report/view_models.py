"""Material to what the template prints: no decision is left to the template but how it looks."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from wenlan_data.reasons import known_reason
from wenlan_data.report.charts import Bar, Histogram, bars, histogram
from wenlan_data.report.data import Group, Material, Place, Reason, Shown, Tally
from wenlan_data.report.stages import STAGES
from wenlan_data.shard.manifest import Funnel

MAX_CHARACTERS = 600
"""Of one text; a page of a megabyte of alt text helps nobody."""
MAX_CHOICES = 8
MAX_WORDS = 96
MIN_WORDS = 24
_DIGITS = re.compile(r"(?<=[\w@.+-]{2})[\w@.+-](?=[\w@.+-]{2})", re.ASCII)
# U+4000 to U+9FFF in UTF-8: no sign that could change what an address says.
_ESCAPED_HAN = re.compile(r"(?:%E[4-9](?:%[89AB][0-9A-F]){2})+", re.IGNORECASE)

Picture = Callable[[Place], str]
"""The `src` of a thumbnail, empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One question of the gallery: its name, and each answer with how many samples give it."""

    name: str
    choices: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A sample or drop with its picture."""

    shown: Shown
    src: str
    classes: str
    """Which answer of each filter it gives: `f0-2 f1-0`."""
    texts: tuple[tuple[str, str], ...]
    grid: str
    """An SVG path over all regions but the whole picture, where they are the cells of a grid."""
    boxes: tuple[tuple[int, int, int, int, str], ...]
    """x, y, width, height and label of each region otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A step of the funnel."""

    step: str
    does: str
    left: int
    lost: int
    left_share: float
    lost_share: float
    reasons: tuple[tuple[str, str, int, str], ...]
    """Name, meaning, count and anchor of its examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropView:
    """A reason with its examples."""

    anchor: str
    reason: Reason
    meaning: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group of duplicates with its pictures."""

    group: Group
    kept: Card | None
    copies: tuple[Card, ...]


def clip(text: str) -> str:
    """The text, or its beginning with how much is missing."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}… (+{len(text) - MAX_CHARACTERS:,} characters)"


def masked(text: str) -> str:
    """The text with numbers and addresses of people made unreadable; their shape stays."""
    return _DIGITS.sub("•", text)


def web_link(url: str) -> str:
    """The URL where a browser may follow it (http and https alone), else empty."""
    try:
        return (
            url
            if urlsplit(url).scheme in {"http", "https"} and not re.search(r"[\x00-\x20]", url)
            else ""
        )
    except ValueError:
        return ""


def readable(url: str) -> str:
    """The URL with escaped Chinese characters as themselves, everything else as it stands."""
    return _ESCAPED_HAN.sub(lambda found: unquote(found[0], errors="strict"), url)


def card(shown: Shown, picture: Picture, classes: str = "") -> Card:
    """The card of a sample or drop."""
    hide = masked if shown.reason == "contact_info" else clip
    cells = [region for region in shown.regions if region.label == "cell"]
    others = [region for region in shown.regions if region.label not in {"cell", "image"}]
    return Card(
        shown=shown,
        src=picture(shown.place) if shown.place else "",
        classes=classes,
        texts=tuple((text.type, clip(hide(text.text))) for text in shown.texts),
        grid="".join(
            "M{} {}H{}V{}H{}z".format(*(r.box_xyxy[i] for i in (0, 1, 2, 3, 0))) for r in cells
        ),
        boxes=tuple(_box(region.box_xyxy, region.label) for region in others),
    )


def _box(box: tuple[int, int, int, int], label: str) -> tuple[int, int, int, int, str]:
    x1, y1, x2, y2 = box
    return x1, y1, max(0, x2 - x1), max(0, y2 - y1), label


def gallery(material: Material, picture: Picture) -> tuple[tuple[Filter, ...], tuple[Card, ...]]:
    """The filters that tell the shown samples apart, and the cards."""
    questions = [(name, [answer(one) for one in material.samples]) for name, answer in _QUESTIONS]
    filters, answers = [], []
    for name, given in questions:
        ranked = [
            value
            for value, _ in sorted(Counter(given).items(), key=lambda item: (-item[1], item[0]))
        ]
        if len(ranked) < 2:
            continue
        kept = ranked[: MAX_CHOICES - 1] if len(ranked) > MAX_CHOICES else ranked
        places = [kept.index(value) if value in kept else len(kept) for value in given]
        names = [*kept, "others"] if len(kept) < len(ranked) else kept
        counted = Counter(places)
        choices = tuple((label, counted[place]) for place, label in enumerate(names))
        filters.append(Filter(name=name, choices=choices))
        answers.append(places)
    cards = [
        card(
            one,
            picture,
            " ".join(f"f{number}-{places[at]}" for number, places in enumerate(answers)),
        )
        for at, one in enumerate(material.samples)
    ]
    return tuple(filters), tuple(cards)


def _shape(shown: Shown) -> str:
    if not shown.width or not shown.height:
        return "unknown"
    ratio = shown.width / shown.height
    return "wide" if ratio > 1.15 else "tall" if ratio < 0.87 else "square"


_QUESTIONS: Sequence[tuple[str, Callable[[Shown], str]]] = (
    ("Source", lambda one: one.source or "not said"),
    ("Caption is", lambda one: one.caption_type or "not said"),
    ("Shape", _shape),
    ("Licence", lambda one: "stated" if one.licence else "not stated"),
    ("Texts", lambda one: "one" if len(one.texts) <= 1 else "several"),
    ("Opt-out", lambda one: "signal seen" if one.opt_out else "none"),
)


def stages(funnel: Funnel) -> tuple[Stage, ...]:
    """The steps that lost candidates, in the order of the flow."""
    order = [*STAGES, *(step for step in funnel.dropped if step not in STAGES)]
    left, found = funnel.candidates, []
    for step in order:
        reasons = funnel.dropped.get(step, {})
        lost = sum(reasons.values())
        if not lost:
            continue
        left -= lost
        ranked = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        found.append(
            Stage(
                step=step,
                does=STAGES.get(step, ""),
                left=left,
                lost=lost,
                left_share=left / funnel.candidates,
                lost_share=lost / funnel.candidates,
                reasons=tuple(
                    (name, _meaning(name), count, anchor(step, name)) for name, count in ranked
                ),
            )
        )
    return tuple(found)


def anchor(step: str, reason: str) -> str:
    """The id of a reason's examples."""
    return "drop-" + re.sub(r"[^a-z0-9]+", "-", f"{step}-{reason}".lower()).strip("-")


def drops(
    material: Material, picture: Picture
) -> tuple[tuple[str, str, tuple[DropView, ...]], ...]:
    """Step, what it does, and its reasons with examples, in the order of the flow."""
    order = [*STAGES, *sorted({one.step for one in material.reasons} - set(STAGES))]
    found = []
    for step in order:
        reasons = sorted(
            (one for one in material.reasons if one.step == step),
            key=lambda one: (-one.count, one.reason),
        )
        if reasons:
            found.append(
                (step, STAGES.get(step, ""), tuple(_drop(one, picture) for one in reasons))
            )
    return tuple(found)


def _drop(reason: Reason, picture: Picture) -> DropView:
    return DropView(
        anchor=anchor(reason.step, reason.reason),
        reason=reason,
        meaning=_meaning(reason.reason),
        cards=tuple(card(example, picture) for example in reason.examples),
    )


def groups(material: Material, picture: Picture) -> tuple[GroupView, ...]:
    """Groups of duplicates, the kept sample first."""
    return tuple(
        GroupView(
            group=one,
            kept=card(one.kept, picture) if one.kept else None,
            copies=tuple(card(copy, picture) for copy in one.copies),
        )
        for one in material.groups
    )


def histograms(tally: Tally) -> tuple[Histogram, ...]:
    """Sides, bytes, caption lengths; regions where they differ."""
    found = [
        histogram("Shorter side", "px", tally.short_side_px),
        histogram("Longer side", "px", tally.long_side_px),
        histogram("Picture", "KiB", tally.picture_kib),
        histogram("Caption", "characters", tally.caption_chars),
        histogram("Regions", "a picture", tally.regions) if len(tally.regions) > 1 else None,
    ]
    return tuple(one for one in found if one is not None)


def origins(tally: Tally) -> tuple[tuple[str, tuple[Bar, ...]], ...]:
    """Titled bar lists of where samples come from and what is stated about them."""
    whole = tally.samples
    found = (
        ("Sources", bars(_named(tally.sources, "not said"), whole=whole, most=10)),
        ("Domains of pictures", bars(domains(tally.image_hosts), whole=whole, most=10)),
        ("Domains of pages", bars(domains(tally.page_hosts), whole=whole, most=10)),
        ("Captions are", bars(_named(tally.caption_types, "not said"), whole=whole, most=10)),
        (
            "Texts by type",
            bars(_named(tally.text_types, "not said"), whole=tally.text_types.total(), most=10),
        ),
        ("Licences stated", bars(_named(tally.licences, "none stated"), whole=whole, most=10)),
        ("Opt-out signals on samples", bars(tally.opt_outs, whole=whole, most=10)),
    )
    return tuple((title, lines) for title, lines in found if lines)


def frequent_words(tally: Tally) -> tuple[Bar, ...]:
    """Words by how many captions hold them; those of one caption only where there are few others."""
    often = {word: count for word, count in tally.words.items() if count > 1}
    chosen = often if len(often) >= MIN_WORDS else tally.words
    return bars(chosen, whole=tally.samples, most=MAX_WORDS)[: min(MAX_WORDS, len(chosen))]


def _named(counts: Counter[str], nothing: str) -> dict[str, int]:
    return {name or nothing: count for name, count in counts.items()}


def domains(hosts: Counter[str]) -> dict[str, int]:
    """Registrable domains by the bundled Public Suffix List; addresses and single names stay as they are."""
    import tldextract

    extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
    found: Counter[str] = Counter()
    for host, count in hosts.items():
        found[
            extract.extract_str(host).top_domain_under_public_suffix
            or host
            or "no host: files, or in the page"
        ] += count
    return dict(found)


def _meaning(reason: str) -> str:
    known = known_reason(reason)
    return known.meaning if known else ""
