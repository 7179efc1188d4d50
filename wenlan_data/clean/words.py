"""Word segmentation by jieba.

Its dictionary is loaded once a process, without jieba's cache in the temp folder.
"""

import re
import warnings
from functools import cache
from typing import Protocol, cast

MAX_CHARACTERS = 1024
"""Only the first characters of a text are segmented, which bounds the time for a long one."""

NOUN_TAGS = ("n", "vn", "an", "s", "i", "l", "j", "g")
"""Tags that count as nouns: nouns and names, places, set phrases, abbreviations, morphemes."""

_SEASONS = re.compile("[春夏秋冬晨暮昏夜节]")
"""Of time words (tag `t`) that an image can show: seasons, times of day, feasts; not 现在."""
_MORE_NOUNS = (
    "日出",
    "青年",
    "少年",
    "童年",
    "传真",
    "向导",
    "签名",
    "推车",
    "烧烤",
    "写生",
    "留影",
    "装修",
    "拼图",
    "烹饪",
    "跳水",
    "包装",
)
"""Nouns that the dictionary tags as verbs or time words."""


class _Tokenizer(Protocol):
    FREQ: dict[str, int]

    def lcut(self, sentence: str) -> list[str]: ...


@cache
def _load() -> tuple[_Tokenizer, frozenset[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba 0.42.1 has old escapes and asks for pkg_resources
        import jieba
    jieba.setLogLevel("WARNING")
    frequency: dict[str, int] = {}
    nouns = set(_MORE_NOUNS)
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
    return cast("_Tokenizer", tokenizer), frozenset(nouns)


def words(text: str) -> tuple[str, ...]:
    """Returns the words of the first 1,024 characters, in order.

    Punctuation counts as words, white space does not.
    """
    tokenizer, _ = _load()
    return tuple(word for word in tokenizer.lcut(text[:MAX_CHARACTERS]) if not word.isspace())


def names_something(word: str) -> bool:
    """Whether a word is a noun by the dictionary, or missing from it (most often a name)."""
    tokenizer, nouns = _load()
    return word in nouns or (len(word) > 1 and word.isalpha() and not tokenizer.FREQ.get(word))
