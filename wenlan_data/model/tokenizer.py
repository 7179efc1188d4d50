"""The tokenizer of a run: the encoder's own, or one with a vocabulary of the corpus's captions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from wenlan_data.errors import UsageError, in_short
from wenlan_data.files import atomic_path
from wenlan_data.model.config import TextConfig
from wenlan_data.shard.reader import read_tar, shard_paths

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_CAPTIONS = 1_000_000


def write_tokenizer(config: TextConfig, shards: Sequence[Path], path: Path) -> None:
    """Writes the tokenizer of the config's encoder, or one of the corpus, to `path` by one rename.

    Raises `UsageError` where the encoder's tokenizer cannot be loaded.
    """
    if config.backbone == "small":
        tokenizer = train_tokenizer(shards, config.small.vocabulary)
    else:
        try:
            pretrained = AutoTokenizer.from_pretrained(config.backbone, use_fast=True)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"text.backbone {config.backbone!r}: cannot load its tokenizer ({in_short(error)}):"
                " offline, give a folder with config.json, model.safetensors and a tokenizer"
            ) from error
        tokenizer = pretrained.backend_tokenizer
    with atomic_path(path) as partial:
        tokenizer.save(str(partial))


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
    """The number of entries of a `tokenizer.json`."""
    return int(Tokenizer.from_file(str(path)).get_vocab_size())


def captions(shards: Sequence[Path]) -> Iterator[str]:
    """Yields the first `MAX_CAPTIONS` captions, in the order of the shards."""
    left = MAX_CAPTIONS
    for tar in shard_paths(shards):
        for _, members in read_tar(tar):
            if left and "txt" in members:
                left -= 1
                yield members["txt"].decode("utf-8", "replace")
