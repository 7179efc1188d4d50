"""What becomes of each candidate: kept, or dropped with reason, winner and distances. Columns only, no files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wenlan_data.dedupe import captions
from wenlan_data.dedupe.codes import Prints, Published
from wenlan_data.dedupe.columns import integers, lists, whole
from wenlan_data.dedupe.counts import count_pictures, earlier_counts, text_hashes
from wenlan_data.dedupe.intake import Intake, prints_of
from wenlan_data.dedupe.verdicts import Verdicts, decide, keep_order
from wenlan_data.recipe import DedupeRules

if TYPE_CHECKING:
    from wenlan_data.dedupe.columns import Lists

KEPT, FETCH, DUPLICATE, NEAR_DUPLICATE, TEXT_FREQUENCY, NO_CAPTION = range(6)
REASONS = ["", "", "duplicate", "near_duplicate", "text_frequency", "no_caption"]

Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The texts of N candidates after the rule on frequency, and what later generations count on."""

    left: "Lists"
    removed: int
    had: Bools
    """Whether the rule took a text from the candidate."""
    hashes: NDArray[np.uint64]
    counts: Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """The fates of N candidates."""

    fate: NDArray[np.int8]
    """int8 (N,): `KEPT` to `NO_CAPTION`."""
    keys: NDArray[np.bytes_]
    """S16 (N,): the candidate's own key; empty where its picture was not fetched."""
    duplicate_of: NDArray[np.bytes_]
    """S16 (N,): empty where it equals nothing."""
    phash_distance: NDArray[np.int32]
    pdq_distance: NDArray[np.int32]
    owner: Indices
    """int64 (N,): the kept candidate that stands for it (itself where it is kept), -1 for none in this generation."""
    url_facts: Indices
    """Rows of the facts whose picture is in the corpus now, kept or equal to a kept one."""
    url_keys: NDArray[np.bytes_]
    """For each of these the key that it leads to."""


def infrequent(intake: Intake, published: Sequence[str], max_same_text: int) -> Texts:
    """Take away each text that stands by more than `max_same_text` different pictures of the corpus."""
    texts = lists(intake.candidates, "texts")
    owners = captions.owners(texts)
    fetched = intake.fetched()
    hashes = text_hashes(captions.words_of(texts))
    counted = fetched[owners]
    pictures = whole(intake.facts, "sha256").dictionary_encode().indices.to_numpy()
    known, counts = count_pictures(pictures[intake.fact[owners[counted]]].astype(np.int64), hashes[counted])
    total = counts + earlier_counts(published, known)
    frequent = np.zeros(len(hashes), bool)
    if len(known):
        frequent[counted] = total[np.searchsorted(known, hashes[counted])] > max_same_text
    had = np.zeros(len(texts), bool)
    had[owners[frequent]] = True
    left = _without(texts, owners, frequent)
    return Texts(left=left, removed=int(frequent.sum()), had=had, hashes=known, counts=counts)


def _without(texts: "Lists", owners: Indices, gone: Bools) -> "Lists":
    if not gone.any():
        return texts
    lengths = np.bincount(owners[~gone], minlength=len(texts))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = texts.flatten().filter(cast("pa.BooleanArray", pa.array(~gone)))
    return cast("Lists", pa.ListArray.from_arrays(cast("pa.Int32Array", pa.array(offsets)), values, type=texts.type))


def decide_fates(intake: Intake, texts: Texts, published: Published, order: Sequence[str], rules: DedupeRules) -> Fates:
    """Join candidates by URL, then by bytes, to pictures; decide on these; hand the verdicts back."""
    rank = captions.ranks(texts.left, order)
    fetched = intake.fetched()
    is_known = intake.published != b""
    fate = np.full(len(fetched), FETCH, np.int8)
    fate[is_known] = DUPLICATE
    silent = fetched & (rank == len(order))
    fate[silent] = np.where(texts.had[silent], TEXT_FREQUENCY, NO_CAPTION)
    facts, copy_of = np.unique(intake.fact[fetched], return_inverse=True)
    prints = prints_of(intake.facts, facts)
    keys = np.zeros(len(fetched), "S16")
    keys[fetched] = prints.keys[copy_of]
    live = np.flatnonzero(fetched & ~silent)
    pictures = _pictures(intake, prints, facts, live, rank, merge=rules.merge_texts)
    verdicts = _verdicts(intake, pictures, published, rules)
    return _handed_back(_Start(fate, keys, intake.published), pictures, verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictures:
    """Live candidates by picture: copies are URLs, pictures are distinct bytes."""

    live: Indices
    """The candidates."""
    copy: Indices
    """For each of them its copy."""
    facts: Indices
    """For each copy the row of its fact."""
    picture: Indices
    """For each copy its picture."""
    prints: Prints
    """Of each picture's best copy."""
    fact: Indices
    """For each picture the row of the fact of its best copy."""
    primary: Indices
    """For each picture the candidate that gives the sample: the first in source order of its best copy."""
    rank: Indices


def _pictures(
    intake: Intake, prints: Prints, facts: Indices, live: Indices, rank: Indices, *, merge: bool
) -> _Pictures:
    own_facts, first, copy = np.unique(intake.fact[live], return_index=True, return_inverse=True)
    copy_rank = rank[live[first]].copy()
    if merge:
        np.minimum.at(copy_rank, copy, rank[live])
    prints = prints.take(np.searchsorted(facts, own_facts))
    # Copies by bytes, the best caption first, then the smallest key: the first of each picture gives the sample.
    order = np.lexsort((prints.keys, copy_rank, prints.sha256))
    is_new = np.ones(len(order), bool)
    is_new[1:] = prints.sha256[order][1:] != prints.sha256[order][:-1]
    picture = np.empty(len(order), np.int64)
    picture[order] = np.cumsum(is_new) - 1
    best = order[is_new]
    return _Pictures(
        live=live,
        copy=copy,
        facts=own_facts,
        picture=picture,
        prints=prints.take(best),
        fact=own_facts[best],
        primary=live[first[best]],
        rank=copy_rank[best],
    )


def _verdicts(intake: Intake, pictures: _Pictures, published: Published, rules: DedupeRules) -> Verdicts:
    sides = [integers(intake.facts, name)[pictures.fact] for name in ("width", "height")]
    order = keep_order(sides[0] * sides[1], pictures.rank, pictures.prints.keys)
    verify = rules.verify == "pdq"
    return decide(pictures.prints, order, published, radius_bits=rules.radius_bits, verify=verify)


@dataclass(frozen=True, slots=True)
class _Start:
    fate: NDArray[np.int8]
    keys: NDArray[np.bytes_]
    published: NDArray[np.bytes_]


def _handed_back(start: _Start, pictures: _Pictures, verdicts: Verdicts) -> Fates:
    count, live = len(start.fate), pictures.live
    mine = pictures.picture[pictures.copy]
    winner = verdicts.winner[mine]
    stays = winner == mine
    kept = stays & (pictures.primary[mine] == live)
    fate, owner = start.fate.copy(), np.full(count, -1)
    fate[live] = np.where(kept, KEPT, np.where(stays | verdicts.exact[mine], DUPLICATE, NEAR_DUPLICATE))
    owner[live] = np.where(winner >= 0, pictures.primary[np.maximum(winner, 0)], -1)
    duplicate_of = start.published.copy()
    duplicate_of[live] = np.where(kept, b"", verdicts.keys[mine])
    distances = []
    for distance in (verdicts.phash_distance, verdicts.pdq_distance):
        full = np.full(count, -1, np.int32)
        # Another text or URL of a picture that stays: the same bytes.
        full[live] = np.where(kept, -1, np.where(stays, 0, distance[mine]))
        distances.append(full)
    return Fates(
        fate=fate,
        keys=start.keys,
        duplicate_of=duplicate_of,
        phash_distance=distances[0],
        pdq_distance=distances[1],
        owner=owner,
        url_facts=pictures.facts,
        url_keys=verdicts.keys[pictures.picture],
    )
