"""Rejects advertisements for gambling, adult sites and forged papers by their words."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from wenlan_data.clean.characters import well_formed
from wenlan_data.errors import DamageError, RecipeError, in_short
from wenlan_data.files import read_bounded
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

if TYPE_CHECKING:
    from ahocorasick_rs import AhoCorasick

BUILTIN = "builtin"
MAX_LIST_BYTES = 1 << 24
"""About a million words. The recipe that names a list may be that of a stranger's corpus."""
# Punctuation that advertisers put between the characters of a word to hide it: 博-彩, 博 彩.
_INSERTED_PUNCTUATION = re.compile(r"[\s*·.\-_|+~]+")


def _lines(source: str) -> list[str]:
    if source == BUILTIN:
        return (
            resources.files("wenlan_data.clean")
            .joinpath("blocklist.txt")
            .read_text("utf-8")
            .splitlines()
        )
    try:
        return read_bounded(Path(source), MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
    except DamageError as error:
        raise RecipeError(f"blocklist: {error}: divide it into several files") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"blocklist: {source}: not readable as UTF-8 text ({in_short(error)}): give a file of "
            "one word a line"
        ) from error


@cache
def _automaton(sources: tuple[str, ...]) -> "AhoCorasick":
    from ahocorasick_rs import AhoCorasick, MatchKind

    lines = (line.partition("#")[0] for source in sources for line in _lines(source))
    words = sorted({_INSERTED_PUNCTUATION.sub("", line.lower()) for line in lines} - {""})
    return AhoCorasick(words, matchkind=MatchKind.LeftmostLongest)


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Rejects a text with a listed word, in any case, also with spaces or dots in it."""

    words: tuple[str, ...] = (BUILTIN,)
    """`builtin`, or paths of UTF-8 files with a word a line (`#` starts a comment)."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `blocklist` with the word.

        Raises `RecipeError` for an unreadable list.
        """
        found = _automaton(self.words).find_matches_as_strings(
            well_formed(_INSERTED_PUNCTUATION.sub("", text.lower()))
        )
        return Drop(Reason.BLOCKLIST, found[0]) if found else text
