"""Pictures folded by equal hash codes, so that a million blank pictures cost no more than one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.hamming.pairs import candidates
from wenlan_data.dedupe.similarity import Signs
from wenlan_data.index.published import Prints

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Pictures folded by (pHash, PDQ, colours), or by pHash alone: a group's pictures have the same neighbours."""

    prints: Prints
    members: Indices
    """The pictures, by group, in keep order inside it."""
    starts: Indices
    counts: Indices
    codes: NDArray[np.uint64]
    """Distinct pHashes, sorted."""
    code_starts: Indices
    """The groups of a code lie side by side."""
    code_counts: Indices

    @property
    def first(self) -> Indices:
        """The picture of each group that comes first in keep order."""
        return self.members[self.starts]

    def signs(self) -> Signs:
        """The hashes of each group's first picture."""
        first = self.prints.take(self.first)
        return Signs(phash=first.phash, pdq=first.pdq, colours=first.colours)

    def of(self, groups: Indices) -> Indices:
        """The pictures of these groups."""
        return np.concatenate(
            [np.empty(0, np.int64), *_spans(self.members, self.starts, self.counts, groups)]
        )


def _spans(values: Indices, starts: Indices, counts: Indices, chosen: Indices) -> Iterator[Indices]:
    for _, places in candidates(starts[chosen], counts[chosen]):
        yield values[places]


def each_alone(prints: Prints) -> Groups:
    """Every picture a group of its own, and no codes to look for."""
    every, none = np.arange(len(prints.phash)), np.empty(0, np.int64)
    return Groups(
        prints=prints,
        members=every,
        starts=every,
        counts=np.ones(len(every), np.int64),
        codes=prints.phash[:0],
        code_starts=none,
        code_counts=none,
    )


def fold(prints: Prints, order: Indices, *, by_pdq: bool = True) -> Groups:
    """Fold pictures; `order` is their keep order. Without `by_pdq` those of one pHash are a group, whatever colours."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    members = np.lexsort(
        (place, *((prints.colours, *prints.pdq.T) if by_pdq else ()), prints.phash)
    )
    phash, pdq, colours = prints.phash[members], prints.pdq[members], prints.colours[members]
    new_code = np.ones(len(members), bool)
    new_code[1:] = phash[1:] != phash[:-1]
    new_group = new_code.copy()
    if by_pdq:
        new_group[1:] |= np.any(pdq[1:] != pdq[:-1], axis=1) | (colours[1:] != colours[:-1])
    starts, code_at = np.flatnonzero(new_group), np.flatnonzero(new_code)
    code_starts = np.searchsorted(starts, code_at)
    return Groups(
        prints=prints,
        members=members,
        starts=starts,
        counts=np.diff(starts, append=len(members)),
        codes=phash[code_at],
        code_starts=code_starts,
        code_counts=np.diff(code_starts, append=len(starts)),
    )
