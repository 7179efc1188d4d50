"""Filters of texts that too many images or a benchmark have, and of captions near another one.

`filter_texts` comes before `groups`, since the captions that are left decide which candidate gives
the sample of an image. `drop_near_captions` compares with published captions after `matching`, and
finds the near captions of this generation for `selection`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from wenlan_data.arrow import Lists, lists, take_lists, to_strings, whole
from wenlan_data.dedupe import captions
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.decontamination import Benchmarks
from wenlan_data.dedupe.frequency import count_images, published_counts
from wenlan_data.dedupe.groups import Images
from wenlan_data.dedupe.minhash import near_captions, near_published_captions
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.dedupe.text_hashes import plain_hashes, text_hashes
from wenlan_data.index.published import PublishedIndex
from wenlan_data.npy import Bools, Codes, Indices, members


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredTexts:
    """The remaining texts of N candidates, and the counts that later generations add to."""

    left: "Lists"
    caption_rank: Indices
    """int64 (N,): the position of the best text type left in the caption order; its length where
    none is left."""
    removed: int
    """Texts removed because too many images have them."""
    hashes: Codes
    """uint64 (T,), sorted: the different texts of the generation."""
    counts: Indices
    """int64 (T,): the number of different images that have each text."""


def filter_texts(
    table: CandidateTable,
    published: PublishedIndex,
    max_same_text: int,
    caption_order: Sequence[str],
    benchmarks: Benchmarks,
    decisions: Decisions,
) -> FilteredTexts:
    """Drops the fetched candidates that have no caption once texts of too many images, or of a
    benchmark, are removed.

    Too many are more than `max_same_text` different images, those of earlier generations included.
    """
    texts = lists(table.candidates, "texts")
    owners = captions.owners(texts)
    words = captions.flatten_texts(texts)
    hashes = text_hashes(words)
    # Of fetched images only. A URL that is published already is not among them: its image was
    # counted in the generation that published it.
    counted = table.fetched[owners]
    # Codes in place of digests: equal bytes have equal codes, and `count_images` sorts integers.
    images = whole(table.results, "sha256").dictionary_encode().indices.to_numpy()
    known, counts = count_images(
        images[table.result[owners[counted]]].astype(np.int64), hashes[counted]
    )
    total = counts + published_counts(published.folders, known)
    frequent = np.zeros(len(hashes), bool)
    if len(known):
        # `known` has every counted hash, so each place found is a hit.
        frequent[counted] = total[np.searchsorted(known, hashes[counted])] > max_same_text
    # Why a text was removed from each candidate; a benchmark's text is the graver reason.
    reason, details = np.full(len(texts), Decision.NO_CAPTION, np.int8), dict[int, str]()
    reason[owners[frequent]] = Decision.TEXT_FREQUENCY
    removed = frequent
    if len(benchmarks.text_hashes):
        place, is_theirs = members(benchmarks.text_hashes, plain_hashes(words))
        reason[owners[is_theirs]] = Decision.CONTAMINATION
        details = {
            int(owners[n]): benchmarks.text_names[int(place[n])] for n in np.flatnonzero(is_theirs)
        }
        removed = frequent | is_theirs
    # Without a removal the column is used as it is, without a copy.
    left = _without(texts, owners, removed) if removed.any() else texts
    caption_rank = captions.ranks(left, caption_order)
    without_caption = table.fetched & (caption_rank == len(caption_order))
    lost = np.flatnonzero(without_caption)
    decisions.drop(lost, reason[lost])
    # Also of rows that another check has dropped already, such as a placeholder: they keep their
    # reason, and the name of the benchmark stands beside it.
    decisions.details.update({n: name for n, name in details.items() if without_caption[n]})
    return FilteredTexts(
        left=left,
        caption_rank=caption_rank,
        removed=int(frequent.sum()),
        hashes=known,
        counts=counts,
    )


def drop_near_captions(
    images: Images,
    texts: FilteredTexts,
    published: Sequence[str],
    caption_order: Sequence[str],
    similarity: float,
    decisions: Decisions,
) -> Indices:
    """Drops the open images whose caption is near a published one, by Jaccard similarity.

    `published` are the folders of captions of earlier generations. Returns int64 (E, 2), the images
    whose captions are near each other: `select` decides about these.
    """
    left = np.flatnonzero(decisions.is_open[images.primary])
    chosen = take_lists(texts.left, images.primary[left])
    words = to_strings(captions.choose_all(chosen, caption_order)[0])
    keys = near_published_captions(words, published, similarity)
    near = np.flatnonzero(keys != b"")
    candidates, at = images.candidates_of(left[near])
    decisions.drop(candidates, Decision.NEAR_TEXT, key=keys[near[at]])
    # Pairs with an image dropped above stay in: `select` looks up open images only.
    return left[near_captions(words, similarity)]


def _without(texts: "Lists", owners: Indices, removed: Bools) -> "Lists":
    # The offsets are counted again and the structs filtered as a whole, so no list becomes a Python
    # object. Arrow lists have offsets of 32 bits.
    lengths = np.bincount(owners[~removed], minlength=len(texts))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    is_left: Any = pa.array(~removed)
    starts: Any = pa.array(offsets)
    filtered: Any = pa.ListArray.from_arrays(
        starts, texts.flatten().filter(is_left), type=texts.type
    )
    return filtered
