"""The choice of a caption among the texts of an image, and the union of the texts of equal
images.

`text_filter` ranks captions with it, and `write` chooses the one of each sample.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wenlan_data.arrow import Lists, rows
from wenlan_data.npy import Indices
from wenlan_data.records import MIN_CAPTION_CONFIDENCE, Text, merge_equal_texts


def choose(texts: Sequence[Text], order: Sequence[str]) -> tuple[str, str]:
    """Returns the caption and its type: the first text of the first type in `order` that occurs;
    two empty strings for none.

    A doubtful text counts as if it were not there.
    """
    for kind in order:
        for text in texts:
            if text.type == kind and not text.is_doubtful:
                return text.text, kind
    return "", ""


def merge(texts: Iterable[Text], others: Iterable[Text]) -> tuple[Text, ...]:
    """Returns `texts`, then those of `others` that differ in type or in text; each once, in
    order, with the highest confidence of its equals."""
    return merge_equal_texts([*texts, *others])


def ranks(texts: "Lists", order: Sequence[str]) -> Indices:
    """int64 (N,): the position in `order` of the best type of each list; `len(order)` where none
    occurs with enough confidence for a caption."""
    best, _ = _best(texts, order)
    return best


def choose_all(texts: "Lists", order: Sequence[str]) -> tuple[pa.StringArray, pa.StringArray]:
    """`choose` for each of N lists of texts: the captions and their types."""
    best, position = _best(texts, order)
    is_there = best < len(order)
    # The empty text at the end is that of lists without a caption: one `take` serves all.
    words = pa.concat_arrays([flatten_texts(texts), pa.array([""], pa.string())])
    captions = words.take(rows(np.where(is_there, position, len(words) - 1)))
    return captions, pa.array([*order, ""], pa.string()).take(rows(best))


def owners(texts: "Lists") -> Indices:
    """int64 (T,): the list that each text of the flattened lists is from."""
    lengths = texts.value_lengths().to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(texts)), lengths)


def flatten_texts(texts: "Lists") -> pa.StringArray:
    """The texts of all lists, flattened, without their types."""
    words: pa.StringArray = _field(texts, "text")
    return words


def _field(texts: "Lists", name: str) -> Any:
    # `flatten`, not `values`: the latter ignores where a sliced column begins.
    structs: Any = texts.flatten()
    return structs.field(name)


def _best(texts: "Lists", order: Sequence[str]) -> tuple[Indices, Indices]:
    """The rank of the best type of each list, and the place of its first text among the flattened
    ones; doubtful texts have the rank of types that are not in `order`."""
    kinds = _field(texts, "type")
    rank: Any = pc.index_in(kinds, value_set=pa.array(order, pa.string()))
    rank = rank.fill_null(len(order)).to_numpy(zero_copy_only=False).astype(np.int64)
    confidence = _field(texts, "confidence").to_numpy(zero_copy_only=False)
    rank[confidence < MIN_CAPTION_CONFIDENCE] = len(order)
    # Rank and position in one number: the smallest is the best type's first text.
    count = max(len(kinds), 1)
    both = rank * count + np.arange(len(kinds))
    best = np.full(len(texts), len(order) * count)
    # Unbuffered: `best[owners] = ...` would keep the last text of a list, not the smallest number.
    np.minimum.at(best, owners(texts), both)
    return best // count, best % count
