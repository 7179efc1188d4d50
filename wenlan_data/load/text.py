"""Which text of a sample trains, and its tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from wenlan_data.clean.variants import VARIANTS, variant
from wenlan_data.errors import UsageError, in_short
from wenlan_data.records import TEXT_TYPES

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]
BRIVL_TEXTS = ("sur_text", *VARIANTS)
"""BriVL's names for the surrounding text: whole, its start, its first sentence without the full stop."""
DRAWN = ("random", "mixed")
"""Choices that differ from one time to the next: to evaluate, the caption is taken."""
CHOICES = tuple(dict.fromkeys(("caption", *DRAWN, *BRIVL_TEXTS, *TEXT_TYPES)))
PAD_TO_TOKENS = 8


class Tokenizer(Protocol):
    """Texts to token ids, with the special tokens that the model wants."""

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Ids of each text, capped, and how many texts were longer than the cap."""


def check_choice(choice: str) -> None:
    """Raise `UsageError` for a choice of text that there is not."""
    if choice not in CHOICES:
        raise UsageError(f"text {choice!r}: choose one of {', '.join(CHOICES)}")


def choose_text(
    choice: str, caption: str | None, typed: Sequence[Mapping[str, str]], draw: float
) -> tuple[str, bool]:
    """The text that trains, and whether it is the one that was asked for: the caption stands in for a missing one.

    `draw` in [0, 1) decides `random`, which takes one of all texts of the sample, and `mixed`, which takes the caption
    one time in two and one of the others else.
    """
    caption = caption if caption is not None else next((item["text"] for item in typed), "")
    if choice == "caption":
        return caption, True
    if choice in DRAWN:
        texts = list(dict.fromkeys([caption, *(item["text"] for item in typed)]))
        if choice == "random":
            return texts[int(draw * len(texts))], True
        others = texts[1:] or texts
        return caption if draw < 0.5 else others[int((2 * draw - 1) * len(others))], True
    wanted = ("surrounding", "sur_text") if choice in BRIVL_TEXTS else (choice,)
    found = next((item["text"] for item in typed if item["type"] in wanted), None)
    return (caption, False) if found is None else (_cut(choice, found), True)


def load_tokenizer(path: Path | str, max_tokens: int) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`, a BERT `vocab.txt`, or a folder with either or with a `transformers` one.

    Nothing is downloaded. Raises `UsageError` where there is none.
    """
    path = Path(path)
    for file in (path / "tokenizer.json", path / "vocab.txt") if path.is_dir() else (path,):
        if file.is_file():
            return _FastTokenizer(file, max_tokens)
    if path.is_dir():
        return _from_transformers(path, max_tokens)
    raise UsageError(
        f"{path}: no tokenizer here: give a tokenizer.json, a vocab.txt or a folder that holds one"
    )


def padded(ids: Sequence[Sequence[int]]) -> tuple[Int64s, Bools]:
    """int64 (B, L) and its mask, L the longest rounded up to a multiple of 8; padding is 0."""
    longest = max((len(one) for one in ids), default=0)
    length = max(1, -(-longest // PAD_TO_TOKENS)) * PAD_TO_TOKENS
    tokens, mask = np.zeros((len(ids), length), np.int64), np.zeros((len(ids), length), np.bool_)
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
        mask[row, : len(one)] = True
    return tokens, mask


def _cut(choice: str, text: str) -> str:
    return (variant(choice, text) if choice in VARIANTS else text) or text


class _FastTokenizer:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        from tokenizers import Tokenizer as Library
        from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

        try:
            self._library = (
                Library.from_str(BertWordPieceTokenizer(str(file), lowercase=True).to_str())
                if file.suffix == ".txt"
                else Library.from_file(str(file))
            )
        except Exception as error:  # the library raises this very class
            raise UsageError(f"{file}: no tokenizer ({in_short(error, 120)})") from error
        self._library.no_padding()
        self._library.enable_truncation(max_tokens)

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        found = self._library.encode_batch_fast(list(texts))  # without offsets: a fifth less time
        return [one.ids for one in found], sum(bool(one.overflowing) for one in found)


class _SlowTokenizer:
    """A tokenizer of the `transformers` library that has no fast form."""

    def __init__(self, library: object, max_tokens: int) -> None:
        self._library = cast("_Encodes", library)
        self._max_tokens = max_tokens

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        ids = self._library(list(texts), truncation=True, max_length=self._max_tokens)["input_ids"]
        return ids, sum(len(one) == self._max_tokens for one in ids)


class _Encodes(Protocol):
    def __call__(
        self, texts: list[str], *, truncation: bool, max_length: int
    ) -> dict[str, list[list[int]]]: ...


def _from_transformers(folder: Path, max_tokens: int) -> Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{folder}: this tokenizer needs the package 'transformers': pip install it"
        ) from error
    try:
        return _SlowTokenizer(
            AutoTokenizer.from_pretrained(str(folder), local_files_only=True), max_tokens
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder}: no tokenizer in this folder ({in_short(error, 120)})"
        ) from error
