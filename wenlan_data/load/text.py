"""Chooses the text of a sample that trains, and tokenizes it."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wenlan_data.clean.variants import VARIANTS, variant
from wenlan_data.errors import UsageError, WenlanError, in_short
from wenlan_data.load.tokenizer_limits import tokenizer_problem
from wenlan_data.npy import Bools, Indices
from wenlan_data.records import TEXT_TYPES

BRIVL_TEXTS = ("sur_text", *VARIANTS)
"""BriVL's names for the surrounding text: all of it, its start, and its first sentence."""
RANDOM_CHOICES = ("random", "mixed")
"""Choices that draw a text in every epoch; evaluation uses the caption instead."""
CHOICES = tuple(dict.fromkeys(("caption", *RANDOM_CHOICES, *BRIVL_TEXTS, *TEXT_TYPES)))
PAD_TO_TOKENS = 8
MAX_TOKENIZER_BYTES = 1 << 26
MAX_CHARACTERS = 100_000
"""Of a text: the rest of a longer one is not tokenized."""

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library


class Tokenizer(Protocol):
    """Converts texts to token ids, including the special tokens of the model."""

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Returns the ids of each text, truncated, and the number of texts that were too long."""


def check_choice(choice: str) -> None:
    """Raises `UsageError` for an unknown choice."""
    if choice not in CHOICES:
        raise UsageError(f"text {choice!r}: choose one of {', '.join(CHOICES)}")


def choose_text(
    choice: str,
    caption: str | None,
    typed: Sequence[Mapping[str, Any]],
    draw: float,
    min_confidence: float = 0.0,
) -> tuple[str, bool]:
    """Returns the text that trains, and whether it is the requested one and not the caption.

    The caption replaces a text that the sample lacks. `draw` in [0, 1) decides `random`, one of all
    texts of the sample, and `mixed`, the caption with probability 1/2 and else one of the others.
    Texts of lower confidence than `min_confidence` count as missing, but for the caption.
    """
    caption = caption if caption is not None else next((item["text"] for item in typed), "")
    if choice == "caption":
        return caption, True
    if min_confidence:
        # Samples before format 1.1 and those of other tools state no confidence.
        typed = [item for item in typed if item.get("confidence", 1.0) >= min_confidence]
    if choice in RANDOM_CHOICES:
        # Without duplicates: the caption is often listed among the texts as well.
        texts = list(dict.fromkeys([caption, *(item["text"] for item in typed)]))
        if choice == "random":
            return texts[int(draw * len(texts))], True
        others = texts[1:] or texts
        # The upper half of the interval, stretched to [0, 1), draws among the others.
        return caption if draw < 0.5 else others[int((2 * draw - 1) * len(others))], True
    wanted = ("surrounding", "sur_text") if choice in BRIVL_TEXTS else (choice,)
    found = next((item["text"] for item in typed if item["type"] in wanted), None)
    return (caption, False) if found is None else (_shortened(choice, found), True)


def load_tokenizer(path: Path | str, max_tokens: int) -> Tokenizer:
    """Loads a `tokenizer.json`, a BERT `vocab.txt`, or a folder with either of them.

    A folder may also hold a tokenizer of `transformers`. Nothing is downloaded.
    Raises `UsageError` if there is no tokenizer.
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


@contextmanager
def tokenizer_errors(where: Path | str, remedy: str = "give another one") -> Iterator[None]:
    """Converts whatever a tokenizer library raises in the body to `UsageError`.

    Its errors have no common class, and a panic of its Rust code is not even an `Exception`.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, WenlanError):
        raise
    except BaseException as error:
        raise UsageError(f"{where}: no tokenizer ({in_short(error, 120)}): {remedy}") from error


@contextmanager
def _traces_hidden() -> Iterator[None]:
    """Keeps a panic in the body from printing its trace: Rust writes it to descriptor 2 itself.

    What else is written there meanwhile appears after the body, unless the body raises.
    """
    with tempfile.TemporaryFile() as written:
        stderr = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        written.seek(0)
        if other := written.read():
            os.write(2, other)


def open_tokenizer(file: Path) -> "Library":
    """Reads a `tokenizer.json` or a BERT `vocab.txt` with the `tokenizers` library.

    Raises `UsageError` where it is none, or could take much memory or time of its own accord.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    with tokenizer_errors(file):
        if not file.is_file() or file.stat().st_size > MAX_TOKENIZER_BYTES:
            raise UsageError(f"{file}: not a tokenizer of at most {MAX_TOKENIZER_BYTES} bytes")
        if file.suffix == ".txt":
            return Library.from_str(BertWordPieceTokenizer(str(file), lowercase=True).to_str())
        text = file.read_text("utf-8")
        problem = tokenizer_problem(json.loads(text))
        if problem:
            raise UsageError(f"{file}: {problem}: give the tokenizer of a known model")
        with _traces_hidden():
            return Library.from_str(text)


def pad_tokens(ids: Sequence[Sequence[int]]) -> tuple[Indices, Bools]:
    """Returns int64 (B, L) and its mask, bool (B, L); padding is 0.

    L is the length of the longest text, rounded up to a multiple of 8.
    """
    longest = max((len(one) for one in ids), default=0)
    length = max(1, -(-longest // PAD_TO_TOKENS)) * PAD_TO_TOKENS
    tokens, mask = np.zeros((len(ids), length), np.int64), np.zeros((len(ids), length), np.bool_)
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
        mask[row, : len(one)] = True
    return tokens, mask


def _shortened(choice: str, text: str) -> str:
    # A text without a sentence (such as "。。") has no first one, and is used whole.
    return (variant(choice, text) if choice in VARIANTS else text) or text


class _FastTokenizer:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, file: Path, max_tokens: int) -> None:
        self._file = file
        self._library = open_tokenizer(file)
        with tokenizer_errors(file), _traces_hidden():
            self._library.no_padding()
            self._library.enable_truncation(max_tokens)
            # Fails here, and not in a worker, where it does not fit its own special tokens.
            special, _ = self._library.encode_batch_fast(["", "词 word"])
        if len(special.ids) > max_tokens:
            raise UsageError(
                f"{file}: its tokenizer adds {len(special.ids)} special tokens to a text, which "
                f"may have {max_tokens}: give another one"
            )

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        with tokenizer_errors(self._file):
            # The fast variant leaves out character offsets, a fifth of the time.
            found = self._library.encode_batch_fast([text[:MAX_CHARACTERS] for text in texts])
            return [one.ids for one in found], sum(bool(one.overflowing) for one in found)


class _TransformersTokenizer(Protocol):
    def __call__(
        self, texts: list[str], *, truncation: bool, max_length: int
    ) -> dict[str, list[list[int]]]: ...


class _SlowTokenizer:
    """A tokenizer of the `transformers` library that has no fast implementation."""

    def __init__(self, library: _TransformersTokenizer, max_tokens: int) -> None:
        self._library, self._max_tokens = library, max_tokens

    def encode(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        # The library does not report truncation; a text of exactly the maximum counts as truncated.
        ids = self._library(list(texts), truncation=True, max_length=self._max_tokens)["input_ids"]
        return ids, sum(len(one) == self._max_tokens for one in ids)


def _from_transformers(folder: Path, max_tokens: int) -> Tokenizer:
    try:
        from transformers import AutoTokenizer
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{folder}: this tokenizer needs the package 'transformers': pip install it"
        ) from error
    with tokenizer_errors(folder):
        return _SlowTokenizer(
            AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            ),
            max_tokens,
        )
