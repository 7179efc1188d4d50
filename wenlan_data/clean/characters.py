"""Character classes that several rules share, to be put in the brackets of a regular expression."""

import re

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Han characters of the Unicode blocks, and 〇."""

KANA = "\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff6f\uff71-\uff9d"
"""Hiragana and katakana; without the middle dot and the long mark, which Chinese texts have too."""

HANGUL = "\u1100-\u11ff\u3130-\u3163\u3165-\u318f\ua960-\ua97f\uac00-\ud7a3\ud7b0-\ud7ff"
"""Hangul syllables and letters; without the filler, which is invisible."""

EMOJI = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff"
EMOJI += "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
"""Characters that may be followed by a variation selector or a joiner."""

INVISIBLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Control, zero-width, bidi and tag characters, fillers, variation selectors; not ZWJ and U+FE0F,
which emoji need."""

_KANA = re.compile(f"[{KANA}]")
_NEITHER_HAN_NOR_KANA = re.compile(f"[^{HAN}{KANA}]+")
_MIN_KANA_SHARE = 1 / 7


def is_japanese(text: str) -> bool:
    """Whether a text is Japanese: a seventh of Han and kana is kana, and JIS X 0208 has all of
    them.

    JIS X 0208 lacks most simplified characters, so a Chinese text with a fashionable の fails the
    second condition. Japanese cannot be recognised after conversion to simplified characters:
    `simplify` therefore leaves such a text as it is.
    """
    if not _KANA.search(text):
        return False
    letters = _NEITHER_HAN_NOR_KANA.sub("", text)
    if len(_KANA.findall(letters)) < _MIN_KANA_SHARE * len(letters):
        return False
    try:
        letters.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True


def well_formed(text: str) -> str:
    """Joins surrogate pairs and replaces lone surrogates by U+FFFD: UTF-8 cannot encode them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
