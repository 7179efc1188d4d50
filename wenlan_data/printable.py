"""Escapes what a terminal, a log or a reader of it would act on; everything printed passes here."""

import re
from collections.abc import Callable

_SUSPECT = re.compile(r"[^ -~]")
_HARMLESS = frozenset("\u3000\u200d")
"""Not printable for Python, but part of texts: the ideographic space, and the joiner of emoji."""
LINE_BREAKS = frozenset("\n\t")


def printable(text: str, keep: frozenset[str] = frozenset()) -> str:
    r"""Returns the text with every control and invisible character as an escape such as `\x1b`.

    Escaped are C0, DEL and C1 controls, line breaks, bidirectional controls, U+2028 and U+2029,
    tag characters, lone surrogates, private-use and unassigned characters. The characters of
    `keep` stay. One line stays one line, and the result can always be encoded as UTF-8.
    """
    return escape(text, _python_escape, keep)


def escape(text: str, replace: Callable[[str], str], keep: frozenset[str] = frozenset()) -> str:
    """Returns the text with each of the characters that `printable` escapes replaced by
    `replace`."""
    if text.isprintable():
        return text

    def replace_match(match: re.Match[str]) -> str:
        character = match[0]
        if character.isprintable() or character in _HARMLESS or character in keep:
            return character
        return replace(character)

    return _SUSPECT.sub(replace_match, text)


def _python_escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
