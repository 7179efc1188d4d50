"""Word segmentation by jieba.

Its dictionary is loaded once a process, without jieba's cache in the temp folder.
"""

import operator
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Protocol, cast

from wenlan_data.clean.characters import HAN

MAX_CHARACTERS = 1024
"""Only the first characters of a text are segmented, which bounds the time for a long one."""

NOUN_TAGS = ("n", "vn", "an", "s", "i", "l", "j", "g")
"""Tags that count as nouns: nouns and names, places, set phrases, abbreviations, morphemes."""

_HAN = re.compile(f"[{HAN}]")
_SEASONS = re.compile("[春夏秋冬晨暮昏夜节]")
"""Of time words (tag `t`) that an image can show: seasons, times of day, feasts; not 现在."""
RARE_CHARACTER_COUNT = 100
"""Two adjacent characters that are this rare as words are a name that the dictionary lacks (蠼螋)."""


class _Tokenizer(Protocol):
    FREQ: dict[str, int]

    def cut(self, sentence: str) -> Iterator[str]: ...

    def add_word(self, word: str) -> None: ...


@cache
def _load() -> tuple[_Tokenizer, frozenset[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 has old escapes and asks for pkg_resources
        import jieba
    jieba.setLogLevel("WARNING")
    frequency: dict[str, int] = {}
    more = _more_nouns()
    nouns = set(more)
    with jieba.get_dict_file() as lines:
        for line in lines:
            word, count, tag = line.decode("utf-8").split()
            frequency[word] = int(count)
            for end in range(1, len(word)):
                frequency.setdefault(word[:end], 0)
            if tag.startswith(NOUN_TAGS) or (tag == "t" and _SEASONS.search(word)):
                nouns.add(word)
    tokenizer = jieba.Tokenizer()
    # The same as its own `initialize`, which would also read and write a marshal file in the temp
    # folder.
    tokenizer.FREQ, tokenizer.total, tokenizer.initialized = (
        frequency,
        sum(frequency.values()),
        True,
    )
    for word in more:
        if not frequency.get(word):
            tokenizer.add_word(word)  # as frequent as it must be to stay in one piece
    return cast("_Tokenizer", tokenizer), frozenset(nouns)


def _more_nouns() -> list[str]:
    lines = resources.files("wenlan_data.clean").joinpath("nouns.txt").read_text("utf-8")
    return [word for line in lines.splitlines() if line[:1] != "#" for word in line.split()]


def words(text: str) -> tuple[str, ...]:
    """Returns the words of the first 1,024 characters, in order.

    Punctuation counts as words, white space does not.
    """
    return tuple(iter_words(text))


def iter_words(text: str) -> Iterator[str]:
    """Yields the same words one after another; each run of Han characters is segmented when its
    first word is requested."""
    tokenizer, _ = _load()
    return (word for word in tokenizer.cut(text[:MAX_CHARACTERS]) if not word.isspace())


def names_something(word: str) -> bool:
    """Whether a word is a noun by the dictionary or `nouns.txt`, or missing from both (most often a
    name)."""
    tokenizer, nouns = _load()
    return word in nouns or (len(word) > 1 and word.isalpha() and not tokenizer.FREQ.get(word))


def has_rare_characters(found: Sequence[str]) -> bool:
    """Whether two adjacent words are single Han characters that the dictionary hardly counts."""
    tokenizer, _ = _load()
    rare = [
        _HAN.fullmatch(word) is not None and tokenizer.FREQ.get(word, 0) < RARE_CHARACTER_COUNT
        for word in found
    ]
    return any(map(operator.and_, rare, rare[1:]))
