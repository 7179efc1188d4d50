"""Removes texts that stand by too many images, or that a benchmark contains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wenlan_data.arrow import Lists, lists, whole
from wenlan_data.dedupe import captions
from wenlan_data.dedupe.decisions import CONTAMINATION, TEXT_FREQUENCY
from wenlan_data.dedupe.decontamination import Benchmarks
from wenlan_data.dedupe.frequency import count_pictures, earlier_counts
from wenlan_data.dedupe.table import Intake
from wenlan_data.dedupe.text_hashes import plain_hashes, text_hashes
from wenlan_data.npy import Bools, Indices, members


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The texts of N candidates after the rules on them, and what later generations count on."""

    left: "Lists"
    removed: int
    """For standing by too many pictures."""
    had: NDArray[np.int8]
    """int8 (N,): why a text was taken from the candidate, `TEXT_FREQUENCY` or `CONTAMINATION`; or 0."""
    details: dict[int, str]
    """Candidate to the benchmark's picture that its text stands by."""
    hashes: NDArray[np.uint64]
    counts: Indices


def infrequent(
    intake: Intake,
    published: Sequence[str],
    max_same_text: int,
    benchmarks: Benchmarks | None = None,
) -> Texts:
    """Take away each text that a benchmark has, or that stands by more than `max_same_text` different pictures."""
    texts = lists(intake.candidates, "texts")
    owners = captions.owners(texts)
    fetched = intake.fetched()
    words = captions.words_of(texts)
    hashes = text_hashes(words)
    counted = fetched[owners]
    pictures = whole(intake.facts, "sha256").dictionary_encode().indices.to_numpy()
    known, counts = count_pictures(
        pictures[intake.fact[owners[counted]]].astype(np.int64), hashes[counted]
    )
    total = counts + earlier_counts(published, known)
    frequent = np.zeros(len(hashes), bool)
    if len(known):
        frequent[counted] = total[np.searchsorted(known, hashes[counted])] > max_same_text
    had, details = np.zeros(len(texts), np.int8), dict[int, str]()
    had[owners[frequent]] = TEXT_FREQUENCY
    gone = frequent
    if benchmarks is not None and len(benchmarks.text_hashes):
        place, is_theirs = members(benchmarks.text_hashes, plain_hashes(words))
        had[owners[is_theirs]] = CONTAMINATION
        details = {
            int(owners[n]): benchmarks.text_names[int(place[n])] for n in np.flatnonzero(is_theirs)
        }
        gone = frequent | is_theirs
    left = _without(texts, owners, gone)
    return Texts(
        left=left,
        removed=int(frequent.sum()),
        had=had,
        details=details,
        hashes=known,
        counts=counts,
    )


def _without(texts: "Lists", owners: Indices, gone: Bools) -> "Lists":
    if not gone.any():
        return texts
    lengths = np.bincount(owners[~gone], minlength=len(texts))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = texts.flatten().filter(cast("pa.BooleanArray", pa.array(~gone)))
    return cast(
        "Lists",
        pa.ListArray.from_arrays(cast("pa.Int32Array", pa.array(offsets)), values, type=texts.type),
    )
