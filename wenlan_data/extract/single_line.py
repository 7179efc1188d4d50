"""Texts of a page on one line, within a limit of characters."""

import re

_HAN = "⺀-⿿々〇㐀-鿿豈-﫿"
# A line break between two Han characters or full-width signs, where Chinese has no space.
_LINE_BREAK_IN_HAN = re.compile(
    rf"(?<=[{_HAN}，。、；：！？”」』）])[ \t\r]*\n\s*(?=[{_HAN}“「『（])"
)
_SENTENCE_END = re.compile(r"[。！？!?；;…]")


def single_line(text: str) -> str:
    """Joins lines and collapses white space; a line break between two Han characters leaves
    none."""
    if "\n" in text:
        text = _LINE_BREAK_IN_HAN.sub("", text.strip())
    return " ".join(text.split())


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
