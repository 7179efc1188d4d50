"""Texts of a page on one line, within a limit of characters."""

import re

_HAN = "⺀-⿿々〇㐀-鿿豈-﫿"
# Two Han characters or full-width signs, between which Chinese has no space.
_HAN_PAIR = re.compile(rf"[{_HAN}，。、；：！？”」』）][{_HAN}“「『（]")
_SENTENCE_END = re.compile(r"[。！？!?；;…]")


def single_line(text: str) -> str:
    """Joins lines and collapses white space; a line break between two Han characters leaves
    none."""
    if "\n" in text:
        text = _joined_lines(text.strip())
    return " ".join(text.split())


def _joined_lines(text: str) -> str:
    # A pattern for line breaks between Han characters takes three times as long: it begins with a
    # lookbehind, which is tried at each character.
    first, *lines = text.split("\n")
    parts = [first]
    for line in lines:
        after = line.lstrip()
        if not after:
            continue
        before = parts[-1].rstrip(" \t\r")
        if _HAN_PAIR.match(before[-1:] + after[0]):
            parts[-1] = before
        else:
            parts.append(" ")
        parts.append(after)
    return "".join(parts)


def truncate(text: str, max_characters: int) -> str:
    """Truncates a text to `max_characters`, at the end of a sentence if one ends in their second
    half.
    """
    if len(text) <= max_characters:
        return text
    ends = [
        match.end() for match in _SENTENCE_END.finditer(text, max_characters // 2, max_characters)
    ]
    return text[: ends[-1]] if ends else text[:max_characters]
