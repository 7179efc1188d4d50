"""Columns of the metadata table about a caption: why it was chosen, its script, its flags."""

from collections.abc import Sequence

from wenlan_data.records import CONFIDENCE_DIGITS, Remark, Text


def caption_reason(
    caption_type: str, texts: Sequence[Text], remarks: Sequence[tuple[str, Remark]]
) -> dict[str, object]:
    """Returns `caption_reason`, `script` and `flags` of a sample with these texts."""
    own = [remark for kind, remark in remarks if kind == _type_in_rules(caption_type, remarks)]
    return {
        "caption_reason": reason(caption_type, texts, remarks),
        "script": next((remark.value for remark in own if remark.kind == "script"), ""),
        "flags": list(dict.fromkeys(remark.value for remark in own if remark.kind == "flag")),
    }


def reason(caption_type: str, texts: Sequence[Text], remarks: Sequence[tuple[str, Remark]]) -> str:
    """Returns why this type is the caption, such as `alt before surrounding, title` or `alt alone`.

    Names after it the texts that are doubtful, and those that the rules rejected or found to repeat
    the page's title.
    """
    others = dict.fromkeys(
        text.type for text in texts if text.type != caption_type and not text.is_doubtful
    )
    chosen = f"{caption_type} before {', '.join(others)}" if others else f"{caption_type} alone"
    doubtful = (
        f"{text.type} doubtful: {text.relation} {text.confidence:.{CONFIDENCE_DIGITS}f}"
        for text in texts
        if text.is_doubtful
    )
    rejected = (
        f"{kind} rejected: {remark.value}" for kind, remark in remarks if remark.kind == "rejected"
    )
    repeats = (
        f"{kind} repeats the page's {remark.value}"
        for kind, remark in remarks
        if remark.kind == "repeats"
    )
    return "; ".join(dict.fromkeys((chosen, *doubtful, *rejected, *repeats)))


def _type_in_rules(caption_type: str, remarks: Sequence[tuple[str, Remark]]) -> str:
    """Returns the type that the caption had when the rules ran.

    Later steps shorten surrounding texts to variants, and count an alt text that repeats the
    page's title as a title.
    """
    if caption_type in ("easy", "first"):
        return "surrounding"
    repeats = any(remark.kind == "repeats" for _, remark in remarks)
    return "alt" if caption_type == "title" and repeats else caption_type
