"""A vocabulary from the corpus's own captions, for runs that are given none."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from wenlan_data.shard.reader import read_tar, shard_paths

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_CAPTIONS = 1_000_000


def train_tokenizer(shards: Sequence[Path], entries: int) -> Tokenizer:
    """A word-piece tokenizer of at most `entries`: Chinese characters, letters, and the most frequent Latin words.

    The same corpus gives the same vocabulary (the library's own trainer numbers its pieces anew in every process).
    [PAD] is 0; texts come out as [CLS] ... [SEP].
    """
    normalizer, splitter = (
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
    )
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
    """Pieces to numbers: characters first, as they begin words and go on in them, then words; each by frequency."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for place, character in enumerate(word):
            characters[character if place == 0 else f"##{character}"] += count
    whole = Counter({word: count for word, count in words.items() if count > 1})
    ranked = [
        piece
        for counts in (characters, whole)
        for piece, _ in sorted(counts.items(), key=_by_frequency)
    ]
    pieces = dict.fromkeys([*SPECIAL, *ranked])
    return {piece: number for number, piece in enumerate(list(pieces)[:entries])}


def _by_frequency(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def vocabulary_size(path: Path) -> int:
    """The entries of the tokenizer in a `tokenizer.json`."""
    return int(Tokenizer.from_file(str(path)).get_vocab_size())


def captions(shards: Sequence[Path]) -> Iterator[str]:
    """The captions of the first million samples, in the order of the shards."""
    left = MAX_CAPTIONS
    for tar in shard_paths(shards):
        for _, members in read_tar(tar):
            if left and "txt" in members:
                left -= 1
                yield members["txt"].decode("utf-8", "replace")
