"""Candidates grouped by equal bytes into images, and images grouped by equal hash codes.

After `text_filter`, and before the checks that compare images: `decontamination`, `matching` and
`selection` decide about the images that are made here.
"""

from dataclasses import dataclass, replace

import numpy as np

from wenlan_data.arrow import integers
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.hamming.pairs import expand_spans
from wenlan_data.dedupe.similarity import SortedHashes, Thresholds
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.index.published import Signatures
from wenlan_data.npy import Bools, Codes, Indices
from wenlan_data.recipe import DedupeRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Images grouped by (pHash, PDQ, colours), or by pHash alone: those of one group have the same
    neighbours.

    So a million blank images cost no more than one.
    """

    signatures: Signatures
    """Of the images."""
    members: Indices
    """The images, by group, in keep order inside it."""
    starts: Indices
    """int64 (G,): where the members of each group begin."""
    counts: Indices
    codes: Codes
    """uint64 (C,), sorted: the distinct pHashes."""
    thresholds: Thresholds
    """The thresholds that images are compared by."""

    @property
    def first(self) -> Indices:
        """int64 (G,): the image of each group that comes first in keep order."""
        return self.members[self.starts]

    def hashes(self) -> SortedHashes:
        """The hashes of each group's first image."""
        first = self.signatures.take(self.first)
        return SortedHashes(phash=first.phash, pdq=first.pdq, colours=first.colours)

    def images_of(self, groups: Indices) -> Indices:
        """The images of these groups, one group after the other."""
        spans = expand_spans(self.starts[groups], self.counts[groups])
        return np.concatenate([np.empty(0, np.int64), *(self.members[place] for _, place in spans)])

    def only(self, images: Bools) -> "Groups":
        """The groups reduced to the images of a mask, bool (M,); groups without any are left
        out."""
        left = images[self.members]
        # A mask keeps the order of members, so the first of a group is still first in keep order.
        counts = np.add.reduceat(left, self.starts, dtype=np.int64) if len(left) else self.counts
        counts = counts[counts > 0]
        members = self.members[left]
        starts = np.cumsum(counts) - counts
        return replace(self, members=members, starts=starts, counts=counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """M images of distinct bytes, each with the candidates that have it."""

    rows: Indices
    """int64 (L,): the candidates, ascending."""
    image: Indices
    """int64 (L,): the image of each of them."""
    primary: Indices
    """int64 (M,): the candidate that becomes the sample if the image is kept."""
    signatures: Signatures
    order: Indices
    """int64 (M,): the images in keep order, the preferred one first."""
    groups: Groups

    def kept(self, decisions: Decisions) -> Indices:
        """The images that are kept."""
        return np.flatnonzero(decisions.reason[self.primary] == Decision.KEPT)

    def candidates_of(self, images: Indices) -> tuple[Indices, Indices]:
        """The candidates of these images, and for each its position in `images`."""
        # Scattered, then gathered: linear in images and candidates, without a sort.
        position = np.full(len(self.primary), -1)
        position[images] = np.arange(len(images))
        here = position[self.image]
        chosen = here >= 0
        return self.rows[chosen], here[chosen]


def group_exact(
    table: CandidateTable, caption_rank: Indices, rules: DedupeRules, decisions: Decisions
) -> Images:
    """Groups the open candidates into images by URL, then by SHA-256; decides nothing yet.

    Of equal bytes the URL with the best caption gives the sample, then the one with the smallest
    key. With `merge_texts` the captions of all candidates of a URL count, else only that of the
    first in source order.
    """
    rows = np.flatnonzero(decisions.is_open)
    # `first` is the first candidate in source order, since rows ascend and `np.unique` returns the
    # first occurrence.
    urls, first, url = np.unique(table.url[rows], return_index=True, return_inverse=True)
    rank = caption_rank[rows[first]].copy()
    if rules.merge_texts:
        # Unbuffered: a URL with several candidates needs the least of their ranks, not the last.
        np.minimum.at(rank, url, caption_rank[rows])
    signatures = table.signatures.take(urls)
    # By bytes, then the best caption, then the smallest key: the first URL of each image gives the
    # sample.
    by_bytes = np.lexsort((signatures.keys, rank, signatures.sha256))
    digests = signatures.sha256[by_bytes]
    # The slice is for no rows at all, where `append` alone would give one.
    is_new = np.append(True, digests[1:] != digests[:-1])[: len(digests)]
    image_of_url = np.empty(len(urls), np.int64)
    # Images are numbered by SHA-256, so the numbers do not depend on the order of the sources.
    image_of_url[by_bytes] = np.cumsum(is_new) - 1
    best = by_bytes[is_new]
    primary, signatures = rows[first[best]], signatures.take(best)
    result = table.result[primary]
    area_px = integers(table.results, "width")[result] * integers(table.results, "height")[result]
    # `lexsort` takes the last key first: most pixels, then the best caption, then the smallest key.
    order = np.lexsort((signatures.keys, rank[best], -area_px))
    return Images(
        rows=rows,
        image=image_of_url[url],
        primary=primary,
        signatures=signatures,
        order=order,
        groups=group_by_hash(signatures, order, Thresholds.of(rules)),
    )


def group_by_hash(signatures: Signatures, order: Indices, thresholds: Thresholds) -> Groups:
    """Groups images by equal codes; each is a group of its own where only equal bytes count."""
    members, new_group = np.arange(len(order)), np.ones(len(order), bool)
    codes = signatures.phash[:0]
    if thresholds.compares:
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        # Where PDQ is not compared, images of one pHash are neighbours whatever their PDQ and
        # colours.
        more = (signatures.colours, *signatures.pdq.T) if thresholds.verifies else ()
        # By pHash first, as `SortedHashes` needs it, and by place last: a group begins with its
        # first image in keep order.
        members = np.lexsort((place, *more, signatures.phash))
        phash = signatures.phash[members]
        new_group[1:] = phash[1:] != phash[:-1]
        codes = phash[new_group]
        if thresholds.verifies:
            pdq, colours = signatures.pdq[members], signatures.colours[members]
            new_group[1:] |= np.any(pdq[1:] != pdq[:-1], axis=1) | (colours[1:] != colours[:-1])
    starts = np.flatnonzero(new_group)
    return Groups(
        signatures=signatures,
        members=members,
        starts=starts,
        counts=np.diff(starts, append=len(members)),
        codes=codes,
        thresholds=thresholds,
    )
