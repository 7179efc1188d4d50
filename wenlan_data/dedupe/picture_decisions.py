"""Which pictures stay: in keep order the next one left is kept, and its verified neighbours go with it.

So nothing goes for being near something that went, and the verdicts depend on neither order nor workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.constraints import BY_PICTURE, BY_TEXT, Beyond, Near, pick
from wenlan_data.dedupe.groups import Groups, each_alone, fold
from wenlan_data.dedupe.hamming import cross_join
from wenlan_data.dedupe.hamming.pairs import candidates, distinct_of
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.selection import stands_for
from wenlan_data.dedupe.similarity import PDQ_BITS, Nearness, Signs, expanded, pdq_bits
from wenlan_data.index.published import Prints, Run
from wenlan_data.npy import members
from wenlan_data.recipe import DedupeRules

MAX_PDQ_BITS = 31
"""Of 256: the usual threshold of PDQ's authors for the same picture."""

PUBLISHED_ROWS = 1 << 20
"""Looked through at once for equal bytes."""

Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]
OPEN, GONE = -2, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What became of N pictures."""

    winner: Indices
    """int64 (N,): the picture that stands for it, itself where it is kept, -1 where that is none of these."""
    keys: NDArray[np.bytes_]
    """S16 (N,): key of the picture that stands for it."""
    exact: Bools
    """Whether its bytes equal those of the published one."""
    why: NDArray[np.int8]
    """int8 (N,): `BY_PICTURE`, or `BY_TEXT` or `BY_SITE` where it went for that."""
    phash_distance: NDArray[np.int32]
    """Bits; -1 where it is kept."""
    pdq_distance: NDArray[np.int32]


def nearness(rules: DedupeRules) -> Nearness:
    """What a recipe takes for the same picture. Without `verify` only pHash is asked; the PDQ distance is told."""
    verify, radius_bits = (
        rules.verify == "pdq",
        rules.radius_bits if isinstance(rules.radius_bits, int) else -1,
    )
    return Nearness(radius_bits, MAX_PDQ_BITS if verify else PDQ_BITS, rules.colour_levels)


def keep_order(area: Indices, caption_rank: Indices, keys: NDArray[np.bytes_]) -> Indices:
    """int64 (N,): the pictures from the one to keep first: largest in pixels, then best caption, then smallest key."""
    return np.lexsort((keys, caption_rank, -area))


def decide(
    prints: Prints,
    order: Indices,
    runs: Sequence[Run],
    rule: Nearness,
    *,
    files: NearFiles | None = None,
    beyond: Beyond | None = None,
) -> Verdicts:
    """Verdicts on pictures that are distinct by sha256, `order` being their keep order.

    Published pictures come first and never change; of several that are near, one of equal bytes counts, else the
    earliest generation's, of these the smallest key. What is near by text or `beyond` its site's share goes in the
    same pass, so that it takes nobody with it.
    """
    files = files or NearFiles()
    groups = _grouped(prints, order, rule)
    found = _Found.empty(prints)
    for number, run in enumerate(runs):
        _against(groups, found, run, rule, files.found_against(number))
    if beyond is None:
        _among(groups, found, order, rule, files)
    else:
        _among_all(groups, found, order, rule, files, beyond)
    return found.verdicts(prints)


def near_known(prints: Prints, known: Run, rule: Nearness) -> tuple[Bools, NDArray[np.bytes_]]:
    """Whether one of `known` is near each picture, and its key: of several the first by generation and key."""
    groups = _grouped(prints, np.arange(len(prints.phash)), rule)
    found = _Found.empty(prints)
    _against(groups, found, known, rule, None)
    return found.winner == GONE, found.keys


def _grouped(prints: Prints, order: Indices, rule: Nearness) -> Groups:
    return fold(prints, order, by_pdq=rule.verifies) if rule.looks else each_alone(prints)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The verdicts while they are found; `winner` is `OPEN` where nothing is decided."""

    winner: Indices
    keys: NDArray[np.bytes_]
    exact: Bools
    why: NDArray[np.int8]
    generation: NDArray[np.uint32]
    phash_distance: NDArray[np.int32]
    pdq_distance: NDArray[np.int32]

    @staticmethod
    def empty(prints: Prints) -> "_Found":
        count = len(prints.phash)
        return _Found(
            winner=np.full(count, OPEN),
            keys=prints.keys.copy(),
            exact=np.zeros(count, bool),
            why=np.full(count, BY_PICTURE, np.int8),
            generation=np.full(count, np.iinfo(np.uint32).max, np.uint32),
            phash_distance=np.full(count, -1, np.int32),
            pdq_distance=np.full(count, -1, np.int32),
        )

    def verdicts(self, prints: Prints) -> Verdicts:
        inside = np.flatnonzero(self.winner >= 0)
        winner = self.winner[inside]
        lost = inside[winner != inside]
        self.phash_distance[lost] = np.bitwise_count(
            prints.phash[lost] ^ prints.phash[self.winner[lost]]
        )
        self.pdq_distance[lost] = pdq_bits(prints.pdq[lost], prints.pdq[self.winner[lost]])
        self.keys[inside] = prints.keys[winner]
        return Verdicts(
            winner=self.winner,
            keys=self.keys,
            exact=self.exact,
            why=self.why,
            phash_distance=self.phash_distance,
            pdq_distance=self.pdq_distance,
        )


def _against(
    groups: Groups,
    found: _Found,
    run: Run,
    rule: Nearness,
    pairs: "list[NDArray[np.uint64]] | None",
) -> None:
    if not rule.looks:
        _by_bytes(groups, found, run)
        return
    ours = groups.signs()
    theirs = Signs(phash=run.prints.phash, pdq=run.prints.pdq, colours=run.prints.colours)
    if pairs is None:
        old, _ = distinct_of(run.prints.phash)
        pairs = list(cross_join.search_between(groups.codes, old, rule.radius_bits))
    for some in pairs:
        for group, row in expanded(ours, theirs, some, rule):
            if len(group):
                _note(groups, found, run, group, row)


def _by_bytes(groups: Groups, found: _Found, run: Run) -> None:
    """Take down published pictures of equal bytes: of several the first, whose key is the smallest."""
    own, theirs = groups.prints.sha256, run.prints.sha256
    order = np.argsort(own)
    own = own[order]
    for start in range(0, len(theirs), PUBLISHED_ROWS):
        place, same = members(own, theirs[start : start + PUBLISHED_ROWS])
        row = np.flatnonzero(same)[::-1]
        pictures = order[place[row]]
        new = ~found.exact[pictures]
        _take_down(groups, found, run, pictures[new], start + row[new])
        found.exact[pictures[new]] = True


def _note(groups: Groups, found: _Found, run: Run, group: Indices, row: Indices) -> None:
    """Take down published neighbours of groups, and where one has the same bytes."""
    keys, generation = run.prints.keys[row], run.generations[row]
    best = np.lexsort((keys, generation, group))
    best = best[np.append(True, group[best][1:] != group[best][:-1])]
    pictures, times = groups.of(group[best]), groups.counts[group[best]]
    rows = np.repeat(best, times)
    better = generation[rows] < found.generation[pictures]
    better |= (generation[rows] == found.generation[pictures]) & (keys[rows] < found.keys[pictures])
    better &= ~found.exact[pictures]
    _take_down(groups, found, run, pictures[better], row[rows[better]])
    same_hash = run.prints.phash[row] == groups.prints.phash[groups.first[group]]
    same_hash &= np.all(run.prints.pdq[row] == groups.prints.pdq[groups.first[group]], axis=1)
    for inner, member in candidates(
        groups.starts[group[same_hash]], groups.counts[group[same_hash]]
    ):
        pictures = groups.members[member]
        theirs = row[same_hash][inner]
        same = (run.prints.sha256[theirs] == groups.prints.sha256[pictures]) & ~found.exact[
            pictures
        ]
        _take_down(groups, found, run, pictures[same], theirs[same])
        found.exact[pictures[same]] = True


def _take_down(groups: Groups, found: _Found, run: Run, pictures: Indices, row: Indices) -> None:
    found.winner[pictures] = GONE
    found.keys[pictures] = run.prints.keys[row]
    found.generation[pictures] = run.generations[row]
    found.phash_distance[pictures] = np.bitwise_count(
        groups.prints.phash[pictures] ^ run.prints.phash[row]
    )
    found.pdq_distance[pictures] = pdq_bits(groups.prints.pdq[pictures], run.prints.pdq[row])


def _among(groups: Groups, found: _Found, order: Indices, rule: Nearness, files: NearFiles) -> None:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    alive = np.flatnonzero(found.winner[groups.first] == OPEN)
    if not rule.looks:
        found.winner[alive] = alive
        return
    signs = groups.signs().take(alive)
    winner = alive[stands_for(signs, place[groups.first[alive]], rule, files.found())]
    every = np.repeat(groups.first[winner], groups.counts[alive])
    found.winner[groups.of(alive)] = every


def _among_all(
    groups: Groups, found: _Found, order: Indices, rule: Nearness, files: NearFiles, beyond: Beyond
) -> None:
    group_of = np.empty(len(order), np.int64)
    group_of[groups.members] = np.repeat(np.arange(len(groups.starts)), groups.counts)
    said = (beyond.said_before != b"") & (found.winner == OPEN)
    found.winner[said], found.why[said] = GONE, BY_TEXT
    found.keys[said] = beyond.said_before[said]
    still = order[found.winner[order] == OPEN]
    near = Near.of(groups.signs(), rule, files.found())
    found.winner[still], found.why[still] = pick(still, group_of, near, beyond)
