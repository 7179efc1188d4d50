"""Chooses the captions of one page, and states for each text why it is the caption or not.

The steps are those of a build: the text rules, `text.min_confidence`, repeated titles, and
`text.caption`. What only a whole corpus tells (equal texts and images elsewhere) is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from wenlan_data.clean.chain import clean_texts
from wenlan_data.clean.variants import VARIANTS
from wenlan_data.dedupe.captions import choose
from wenlan_data.extract.candidate_tables import CandidateRow
from wenlan_data.extract.cleaner import CleaningDecision, TextCleaner
from wenlan_data.extract.explain import ExplainedImage, PageExplanation
from wenlan_data.recipe import TextRules
from wenlan_data.records import Drop, Text

Outcome = Literal["caption", "rejected", "low_confidence", "not_preferred"]
PAGE_TYPES = frozenset({"page_title", "keywords"})
"""Types of text that all images of a page share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOutcome:
    """What became of one text of an image."""

    text: Text
    """As read from the page."""
    cleaned: str
    """After the text rules; empty if they reject it."""
    outcome: Outcome
    reason: str
    """A drop reason for `rejected`, else words; empty for the caption."""
    block: int
    """The block of the page that it is from, from 0; -1 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOutcome:
    """What became of one image of a page."""

    image: ExplainedImage
    drop: Drop | None
    """Why a build drops it; None if it goes on to be fetched."""
    caption: str
    caption_type: str
    texts: tuple[TextOutcome, ...]


def choose_captions(page: PageExplanation, rules: TextRules) -> list[ImageOutcome]:
    """Returns the outcome of each image of a page, in order."""
    cleaner = TextCleaner.of(rules)
    rows = [
        CandidateRow(number, b"", image.candidate, "") for number, image in enumerate(page.images)
    ]
    return [
        _image_outcome(image, decision, cleaner, rules.caption)
        for image, (_, decision) in zip(page.images, cleaner(rows), strict=True)
    ]


def _image_outcome(
    image: ExplainedImage,
    decision: CleaningDecision,
    cleaner: TextCleaner,
    order: Sequence[str],
) -> ImageOutcome:
    survivors = () if decision.drop else decision.candidate.texts
    caption, kind = choose(survivors, order)
    outcomes: list[TextOutcome] = []
    has_caption = False
    for text, block in zip(image.candidate.texts, image.blocks, strict=True):
        one = _text_outcome(text, block, cleaner, decision, order, (caption, kind))
        if one.outcome == "caption" and has_caption:
            one = replace(one, outcome="not_preferred", reason="equal to the caption")
        has_caption = has_caption or one.outcome == "caption"
        outcomes.append(one)
    outcomes += [
        _variant_outcome(text, order, (caption, kind))
        for text in survivors
        if text.type in VARIANTS
    ]
    return ImageOutcome(
        image=image,
        drop=decision.drop,
        caption=caption,
        caption_type=kind,
        texts=tuple(outcomes),
    )


def _text_outcome(
    text: Text,
    block: int,
    cleaner: TextCleaner,
    decision: CleaningDecision,
    order: Sequence[str],
    chosen: tuple[str, str],
) -> TextOutcome:
    cleaned = clean_texts(cleaner.rules, [text], cleaner.min_confidence)
    if cleaned.rejected:
        drop = cleaned.rejected[0][1]
        detail = f" ({drop.detail})" if drop.detail else ""
        return TextOutcome(
            text=text, cleaned="", outcome="rejected", reason=f"{drop.reason}{detail}", block=block
        )
    words = cleaned.texts[0].text
    outcome, reason = _outcome(
        Text(text.type, words, text.relation, text.confidence), order, chosen
    )
    is_title = text.type == "alt" and not decision.drop and _is_demoted(words, decision)
    if is_title:
        title = Text("title", words, text.relation, text.confidence)
        outcome, reason = _outcome(title, order, chosen)
        reason = "; ".join(filter(None, ("repeats the page's title", reason)))
    if decision.drop and outcome != "low_confidence" and text.type in order:
        reason = "the image is dropped"
    return TextOutcome(text=text, cleaned=words, outcome=outcome, reason=reason, block=block)


def _is_demoted(words: str, decision: CleaningDecision) -> bool:
    """Whether an alt text counts as a title, since it repeats that of the page."""
    types = {text.type for text in decision.candidate.texts if text.text == words}
    return "title" in types and "alt" not in types


def _outcome(text: Text, order: Sequence[str], chosen: tuple[str, str]) -> tuple[Outcome, str]:
    caption, kind = chosen
    if text.type not in order:
        return "not_preferred", f"{text.type} is not in text.caption"
    if text.is_doubtful:
        return "low_confidence", f"{text.confidence:.2f} is below 0.50"
    if (text.text, text.type) == chosen:
        return "caption", ""
    if not caption:
        return "not_preferred", ""
    if text.type == kind:
        return "not_preferred", f"an earlier {kind} comes first"
    return "not_preferred", f"{kind} comes first"


def _variant_outcome(text: Text, order: Sequence[str], chosen: tuple[str, str]) -> TextOutcome:
    outcome, reason = _outcome(text, order, chosen)
    reason = "; ".join(filter(None, ("derived from surrounding", reason)))
    return TextOutcome(text=text, cleaned=text.text, outcome=outcome, reason=reason, block=-1)


def own_texts(outcome: ImageOutcome) -> list[TextOutcome]:
    """Returns the texts of an image that people look at: neither the page's nor, unless they are
    the caption, those derived from its surrounding text."""
    return [
        one
        for one in outcome.texts
        if one.outcome == "caption" or one.text.type not in PAGE_TYPES.union(VARIANTS)
    ]


def page_texts(outcomes: Sequence[ImageOutcome]) -> list[TextOutcome]:
    """Returns the page's title and keywords, which all images share, each once."""
    texts = (one for outcome in outcomes for one in outcome.texts if one.text.type in PAGE_TYPES)
    return list({one.text: one for one in texts}.values())


def page_as_json(page: PageExplanation, outcomes: Sequence[ImageOutcome]) -> dict[str, object]:
    """Returns what `wenlan-data extract --json` prints. Numbers of images and blocks start at 1."""
    return {
        "url": page.url,
        "soft_error": page.soft_error,
        "images": [
            _image_as_json(number, one, page) for number, one in enumerate(outcomes, start=1)
        ],
        "blocks": [
            {
                "number": number,
                "text": block.text,
                "heading": block.heading,
                "problem": block.problem,
            }
            for number, block in enumerate(page.blocks, start=1)
        ],
        "ignored": [{"after_block": one.place, "address": one.address} for one in page.ignored],
        "drops": [{"reason": one.reason, "detail": one.detail} for one in page.drops],
    }


def _image_as_json(number: int, one: ImageOutcome, page: PageExplanation) -> dict[str, object]:
    image = one.image
    return {
        "number": number,
        "url": image.candidate.url,
        "fallback_urls": list(image.candidate.fallback_urls),
        "after_blocks": list(image.places),
        "content": image.candidate.no_content is None,
        "reason": one.drop.reason if one.drop else "",
        "detail": one.drop.detail if one.drop else "",
        "caption": one.caption,
        "caption_type": one.caption_type,
        "basis": image.basis,
        "texts": [
            {
                "type": outcome.text.type,
                "relation": outcome.text.relation,
                "confidence": outcome.text.confidence,
                "read": outcome.text.text,
                "text": outcome.cleaned,
                "outcome": outcome.outcome,
                "reason": outcome.reason,
                "block": outcome.block + 1 if outcome.block >= 0 else None,
            }
            for outcome in one.texts
        ],
        "nearby": [
            {
                "block": near.block + 1,
                "side": near.side,
                "text": page.blocks[near.block].text,
                "reason": near.reason,
            }
            for near in image.nearby
        ],
    }
