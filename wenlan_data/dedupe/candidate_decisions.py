"""What becomes of each candidate: kept, or dropped with reason, winner and distances. Columns only, no files."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wenlan_data.arrow import integers, strings
from wenlan_data.dedupe import captions
from wenlan_data.dedupe.constraints import BY_PICTURE, BY_SITE
from wenlan_data.dedupe.decisions import (
    CONTAMINATION,
    DUPLICATE,
    FETCH,
    KEPT,
    NEAR_DUPLICATE,
    NEAR_TEXT,
    NO_CAPTION,
    PLACEHOLDER,
    SITE,
)
from wenlan_data.dedupe.decontamination import Benchmarks
from wenlan_data.dedupe.domain_share import About, about
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.picture_decisions import Verdicts, decide, keep_order, near_known, nearness
from wenlan_data.dedupe.placeholders import placeholders
from wenlan_data.dedupe.table import Intake, prints_of
from wenlan_data.dedupe.text_filter import Texts
from wenlan_data.index.published import Prints, Published, url_hashes
from wenlan_data.npy import Bools, Indices, members
from wenlan_data.recipe import DedupeRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Fates:
    """The fates of N candidates."""

    fate: NDArray[np.int8]
    """int8 (N,): `KEPT` to `SITE`."""
    keys: NDArray[np.bytes_]
    """S16 (N,): the candidate's own key; empty where its picture was not fetched."""
    duplicate_of: NDArray[np.bytes_]
    """S16 (N,): empty where it equals nothing."""
    details: dict[int, str]
    """Candidate to what was seen, where there is more to say."""
    phash_distance: NDArray[np.int32]
    pdq_distance: NDArray[np.int32]
    owner: Indices
    """int64 (N,): the kept candidate that stands for it (itself where it is kept), -1 for none in this generation."""
    url_facts: Indices
    """Rows of the facts whose picture is in the corpus now, kept or equal to a kept one."""
    url_keys: NDArray[np.bytes_]
    """For each of these the key that it leads to."""
    placeholders: NDArray[np.bytes_]
    """S32 (B,), sorted: SHA-256 of the pictures found to be placeholders here."""
    captions: list[str]
    """Of each kept candidate in row order, where texts are compared; else empty."""
    sites: tuple[NDArray[np.uint64], Indices]
    """Hashes of registrable domains, sorted, and how many samples each has here; empty where no share is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What is there besides the generation itself."""

    published: Published
    files: NearFiles = field(default_factory=NearFiles)
    benchmarks: Benchmarks | None = None
    captions: tuple[str, ...] = ()
    """Folders of `saying.save_captions`, in order, where texts are compared."""


def decide_fates(
    intake: Intake, texts: Texts, earlier: Earlier, order: Sequence[str], rules: DedupeRules
) -> Fates:
    """Join candidates by URL, then by bytes, to pictures; decide on these; hand the verdicts back."""
    rank = captions.ranks(texts.left, order)
    fetched = intake.fetched()
    is_known = intake.published != b""
    fate = np.full(len(fetched), FETCH, np.int8)
    fate[is_known] = DUPLICATE
    silent = fetched & (rank == len(order))
    fate[silent] = np.where(texts.had[silent], texts.had[silent], NO_CAPTION)
    facts, copy_of = np.unique(intake.fact[fetched], return_inverse=True)
    prints = prints_of(intake.facts, facts)
    keys = np.zeros(len(fetched), "S16")
    keys[fetched] = prints.keys[copy_of]
    details = {n: name for n, name in texts.details.items() if fate[n] == CONTAMINATION}
    blocked = placeholders(intake, earlier.published, rules.placeholder_urls)
    stale = np.zeros(len(fetched), bool)
    stale[fetched] = members(blocked.sha256, prints.sha256)[1][copy_of]
    fate[stale] = PLACEHOLDER
    live = np.flatnonzero(fetched & ~silent & ~stale)
    pictures = _pictures(intake, prints, facts, live, rank, merge=rules.merge_texts)
    pictures, theirs = _contaminated(intake, pictures, earlier.benchmarks, rules)
    fate[list(theirs)] = CONTAMINATION
    sides = [integers(intake.facts, name)[pictures.fact] for name in ("width", "height")]
    places = keep_order(sides[0] * sides[1], pictures.rank, pictures.prints.keys)
    rest = about(intake, texts.left, pictures.primary, order, earlier, rules)
    verdicts = decide(
        pictures.prints,
        places,
        earlier.published.runs(),
        nearness(rules),
        files=earlier.files,
        beyond=rest.beyond,
    )
    start = _Start(fate, keys, intake.published, details | theirs)
    return _handed_back(start, pictures, verdicts, rest, blocked.new)


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

    def without(self, gone: Bools) -> "_Pictures":
        """The same without some pictures."""
        left = ~gone
        number = np.cumsum(left) - 1
        copies = left[self.picture]
        here = copies[self.copy]
        return _Pictures(
            live=self.live[here],
            copy=(np.cumsum(copies) - 1)[self.copy[here]],
            facts=self.facts[copies],
            picture=number[self.picture[copies]],
            prints=self.prints.take(np.flatnonzero(left)),
            fact=self.fact[left],
            primary=self.primary[left],
            rank=self.rank[left],
        )


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


def _contaminated(
    intake: Intake, pictures: _Pictures, benchmarks: Benchmarks | None, rules: DedupeRules
) -> tuple[_Pictures, dict[int, str]]:
    """The pictures that no benchmark has, and the candidates of the others with the name of what they are near."""
    if benchmarks is None:
        return pictures, {}
    near, keys = near_known(pictures.prints, benchmarks.run, nearness(rules))
    names = {number: benchmarks.name_of(keys[number]) for number in np.flatnonzero(near).tolist()}
    hashes = url_hashes(strings(intake.facts, "url_key", pictures.facts))
    for copy in np.flatnonzero(members(benchmarks.url_hashes, hashes)[1]).tolist():
        names.setdefault(int(pictures.picture[copy]), "its URL")
    gone = np.zeros(len(pictures.fact), bool)
    gone[list(names)] = True
    mine = pictures.picture[pictures.copy]
    lost = np.flatnonzero(gone[mine])
    theirs = {int(pictures.live[n]): names[int(mine[n])] for n in lost}
    return pictures.without(gone), theirs


@dataclass(frozen=True, slots=True)
class _Start:
    fate: NDArray[np.int8]
    keys: NDArray[np.bytes_]
    published: NDArray[np.bytes_]
    details: dict[int, str]


def _handed_back(
    start: _Start, pictures: _Pictures, verdicts: Verdicts, rest: About, blocked: NDArray[np.bytes_]
) -> Fates:
    count, live = len(start.fate), pictures.live
    mine = pictures.picture[pictures.copy]
    winner = verdicts.winner[mine]
    stays = winner == mine
    kept = stays & (pictures.primary[mine] == live)
    fate, owner = start.fate.copy(), np.full(count, -1)
    reason = np.array([NEAR_DUPLICATE, NEAR_TEXT, SITE], np.int8)[verdicts.why[mine]]
    fate[live] = np.where(kept, KEPT, np.where(stays | verdicts.exact[mine], DUPLICATE, reason))
    # What only says the same is another picture: its texts are not the winner's.
    stands = (winner >= 0) & (verdicts.why[mine] == BY_PICTURE)
    owner[live] = np.where(stands, pictures.primary[np.maximum(winner, 0)], -1)
    duplicate_of = start.published.copy()
    duplicate_of[live] = np.where(kept | (verdicts.why[mine] == BY_SITE), b"", verdicts.keys[mine])
    distances = []
    for distance in (verdicts.phash_distance, verdicts.pdq_distance):
        full = np.full(count, -1, np.int32)
        # Another text or URL of a picture that stays: the same bytes.
        full[live] = np.where(kept, -1, np.where(stays, 0, distance[mine]))
        distances.append(full)
    found = verdicts.why[pictures.picture] == BY_PICTURE
    primary = np.flatnonzero(verdicts.winner == np.arange(len(verdicts.winner)))
    primary = primary[np.argsort(pictures.primary[primary])]
    return Fates(
        fate=fate,
        keys=start.keys,
        duplicate_of=duplicate_of,
        details=start.details,
        phash_distance=distances[0],
        pdq_distance=distances[1],
        owner=owner,
        url_facts=pictures.facts[found],
        url_keys=verdicts.keys[pictures.picture[found]],
        placeholders=blocked,
        captions=[rest.captions[n] for n in primary.tolist()] if rest.captions else [],
        sites=rest.counted(primary),
    )
