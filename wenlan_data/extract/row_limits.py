"""Limits of a candidate, so that each table and sample that it gets into can be read again."""

from collections.abc import Iterable
from dataclasses import replace

from wenlan_data.reasons import Reason
from wenlan_data.records import MAX_LIST_ITEMS, MAX_TEXT_CHARACTERS, Candidate, Drop, Text

MAX_TEXTS = 1_000
"""Of a candidate."""
MAX_FIELD_CHARACTERS = 16_000
"""Of each of its other strings, and of all texts of a drop: Arrow puts 1,024 of them into one page
of at most 64 MiB."""


def size_problem(candidate: Candidate) -> Drop | None:
    """Returns the drop of a candidate that is too large for the tables, or None."""
    if len(candidate.url) > MAX_FIELD_CHARACTERS:
        return Drop(Reason.URL_TOO_LONG, f"{len(candidate.url)} characters")
    if len(candidate.texts) > MAX_TEXTS:
        return Drop(Reason.BAD_ROW, f"{len(candidate.texts)} texts, more than {MAX_TEXTS}")
    characters = sum(len(text.text) for text in candidate.texts)
    if characters > MAX_TEXT_CHARACTERS:
        return Drop(
            Reason.BAD_ROW, f"texts of {characters} characters, more than {MAX_TEXT_CHARACTERS}"
        )
    fields = (
        candidate.page_url,
        candidate.source,
        candidate.licence,
        candidate.author,
        candidate.origin.path if candidate.origin else "",
        *candidate.opt_out,
        *candidate.fallback_urls,
        *(text.type for text in candidate.texts),
    )
    longest = max(map(len, fields))
    if longest > MAX_FIELD_CHARACTERS or len(candidate.opt_out) > MAX_LIST_ITEMS:
        return Drop(
            Reason.BAD_ROW, f"a field of {longest} characters, more than {MAX_FIELD_CHARACTERS}"
        )
    return None


def cut_texts(texts: Iterable[Text]) -> tuple[Text, ...]:
    """Returns the first `MAX_FIELD_CHARACTERS` of the texts, as a drop keeps them."""
    found, left = list[Text](), MAX_FIELD_CHARACTERS
    for text in texts:
        if left <= 0:
            break
        found.append(text if len(text.text) <= left else replace(text, text=text.text[:left]))
        left -= len(text.text)
    return tuple(found)
