"""The tokenizer of a run: the encoder's own, or one with a vocabulary of the corpus's captions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from wenlan_data.errors import RecipeError, UsageError, in_short, os_errors
from wenlan_data.files import atomic_path, open_regular
from wenlan_data.load.text import (
    load_tokenizer,
    open_tokenizer,
    pad_tokens,
    tokenizer_errors,
)
from wenlan_data.model.config import TextConfig
from wenlan_data.model.encoder_config import make_encoder_config, read_encoder_config
from wenlan_data.model.towers import Towers
from wenlan_data.shard.reader import read_at, scan, shard_paths

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_CAPTIONS = 1_000_000


def write_tokenizer(config: TextConfig, shards: Sequence[Path], path: Path) -> None:
    """Writes the tokenizer of the config's encoder, or one of the corpus, to `path` by one rename.

    Raises `UsageError` where the encoder's tokenizer cannot be loaded.
    """
    if config.backbone == "small":
        tokenizer = train_tokenizer(shards, config.small.vocabulary)
    else:
        tokenizer = _pretrained(config.backbone)
    with atomic_path(path) as partial:
        tokenizer.save(str(partial))


def _pretrained(name: str) -> Tokenizer:
    is_folder = Path(name).is_dir()
    if is_folder:
        # The architecture in config.json decides which class reads the tokenizer.
        make_encoder_config(read_encoder_config(Path(name)), f"text.backbone {name!r}")
        for file in ("tokenizer.json", "vocab.txt"):
            if (Path(name) / file).exists():
                open_tokenizer(Path(name) / file)
    with tokenizer_errors(
        f"text.backbone {name!r}",
        "offline, give a folder with config.json, model.safetensors and a tokenizer",
    ):
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            name, use_fast=True, trust_remote_code=False, local_files_only=is_folder
        ).backend_tokenizer
        return tokenizer


def train_tokenizer(shards: Sequence[Path], entries: int) -> Tokenizer:
    """Makes a WordPiece tokenizer of at most `entries`: characters, then the most frequent words.

    The same corpus gives the same vocabulary, unlike with the trainer of `tokenizers`, which
    numbers its pieces differently in every process. [PAD] is 0; encoded texts are [CLS] ... [SEP].
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in captions(shards):
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    tokenizer = Tokenizer(models.WordPiece(_vocabulary(words, entries), unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _vocabulary(words: Counter[str], entries: int) -> dict[str, int]:
    """Numbers characters at the start of words and inside (`##`), then words, each by frequency."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for index, character in enumerate(word):
            characters[character if index == 0 else f"##{character}"] += count
    whole = Counter({word: count for word, count in words.items() if count > 1})
    ranked = [
        piece
        for counts in (characters, whole)
        for piece, _ in sorted(counts.items(), key=_by_frequency)
    ]
    pieces = dict.fromkeys([*SPECIAL, *ranked])
    return {piece: number for number, piece in enumerate(list(pieces)[:entries])}


def _by_frequency(counted: tuple[str, int]) -> tuple[int, str]:
    # Ties in the order of the text, so that the vocabulary is a function of the corpus.
    return -counted[1], counted[0]


def vocabulary_size(path: Path) -> int:
    """The number of entries of a `tokenizer.json`. Raises `UsageError`."""
    return int(open_tokenizer(path).get_vocab_size())


def check_tokenizer(path: Path, towers: Towers, max_tokens: int) -> None:
    """Raises `UsageError` where a tokenizer gives ids for which the text encoder has no row,
    `RecipeError` where texts of `max_tokens` are too long for the encoder."""
    encoder: Any = towers.text.backbone
    rows: int = encoder.get_input_embeddings().num_embeddings
    tokenizer = open_tokenizer(path)
    load_tokenizer(path, max_tokens)
    with tokenizer_errors(path, "restore it from a copy"):
        # Those of an empty text are the special tokens, whose ids need not be in the vocabulary.
        ids = [*tokenizer.get_vocab().values(), *tokenizer.encode("").ids]
    if max(ids, default=0) >= rows:
        raise UsageError(
            f"{path}: has a token id of {max(ids)}, and the text encoder {rows} rows: "
            "use the tokenizer that belongs to the encoder"
        )
    tokens, mask = pad_tokens([[0] * max_tokens])
    try:
        # Dropout would move the generator on.
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            towers.text(torch.from_numpy(tokens), torch.from_numpy(mask))
    except (RuntimeError, IndexError) as error:
        raise RecipeError(
            f"text.max_tokens {max_tokens}: texts, padded to {tokens.shape[1]} tokens, are too "
            f"long for the text encoder ({in_short(error, 80)}): choose a smaller multiple of 8"
        ) from error


def captions(shards: Sequence[Path]) -> Iterator[str]:
    """Yields the first `MAX_CAPTIONS` captions, in the order of the shards. Of a tar, only headers
    and texts are read."""
    return islice(chain.from_iterable(map(_captions_of, shard_paths(shards))), MAX_CAPTIONS)


def _captions_of(tar: Path) -> Iterator[str]:
    with os_errors(tar), open_regular(tar) as file:
        for group in scan(tar):
            if "txt" in group.members:
                yield read_at(file, group.members["txt"]).decode("utf-8", "replace")
