"""Matches the images of a generation with indexed ones: published images, or those of
benchmarks.

After `groups`: `decontamination` calls it for benchmarks, then the step for published images. What
it leaves open, `selection` decides about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.groups import Groups, Images
from wenlan_data.dedupe.hamming import cross_join
from wenlan_data.dedupe.hamming.codes import distinct_codes
from wenlan_data.dedupe.hamming.pairs import expand_spans
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.similarity import SortedHashes, neighbours_of, pdq_distance
from wenlan_data.index.published import PublishedIndex, Segment, Signatures
from wenlan_data.npy import Bools, Codes, FixedBytes, Indices, members

SEGMENT_ROWS = 1 << 20
"""Rows of a segment whose SHA-256 are looked up at once."""


@dataclass(slots=True, kw_only=True)
class Matches:
    """The best match found so far of each of M images.

    Equal bytes come first, then the earliest generation, then the smallest key.
    """

    found: Bools
    exact: Bools
    """bool (M,): whether the bytes are equal."""
    generation: NDArray[np.uint32]
    key: FixedBytes
    phash_bits: NDArray[np.int32]
    pdq_bits: NDArray[np.int32]

    @classmethod
    def none(cls, images: int) -> "Matches":
        """No match of so many images."""
        return cls(
            found=np.zeros(images, bool),
            exact=np.zeros(images, bool),
            # No generation has this number, so the first match found is earlier in any case.
            generation=np.full(images, np.iinfo(np.uint32).max, np.uint32),
            key=np.zeros(images, "S16"),
            phash_bits=np.full(images, -1, np.int32),
            pdq_bits=np.full(images, -1, np.int32),
        )

    def record(
        self, signatures: Signatures, images: Indices, segment: Segment, row: Indices
    ) -> None:
        """Replaces the matches of these images by rows of a segment."""
        theirs = segment.signatures
        self.found[images] = True
        self.generation[images] = segment.generations[row]
        self.key[images] = theirs.keys[row]
        self.phash_bits[images] = np.bitwise_count(signatures.phash[images] ^ theirs.phash[row])
        self.pdq_bits[images] = pdq_distance(signatures.pdq[images], theirs.pdq[row])


def drop_published(
    images: Images, published: PublishedIndex, near: NearFiles, decisions: Decisions
) -> None:
    """Drops images that equal a published one in bytes, or are its neighbours by pHash, PDQ and
    colours, in whichever segment of the index."""
    matches = Matches.none(len(images.primary))
    for number, segment in enumerate(published.segments()):
        match_segment(images.groups, segment, matches, near.cross_join_pairs(number))
    found = np.flatnonzero(matches.found)
    rows, at = images.candidates_of(found)
    image = found[at]
    decisions.drop(
        rows,
        np.where(matches.exact[image], Decision.DUPLICATE, Decision.NEAR_DUPLICATE).astype(np.int8),
        key=matches.key[image],
        distance=(matches.phash_bits[image], matches.pdq_bits[image]),
    )


def match_segment(
    groups: Groups,
    segment: Segment,
    matches: Matches,
    pairs: Sequence[Codes] | None = None,
) -> None:
    """Records in `matches` what a segment holds; `pairs` are the near codes of both, searched here
    if missing."""
    thresholds = groups.thresholds
    if not thresholds.compares:
        _match_bytes(groups.signatures, segment, matches)
        return
    theirs = segment.signatures
    ours = groups.hashes()
    known = SortedHashes(phash=theirs.phash, pdq=theirs.pdq, colours=theirs.colours)
    # The near step searched already, unless it found too many pairs or did not run.
    if pairs is None:
        codes = distinct_codes(theirs.phash)
        pairs = list(cross_join.search_between(groups.codes, codes, thresholds.radius_bits))
    for some in pairs:
        for group, row in neighbours_of(some, ours, known, thresholds):
            if len(group):
                _match_neighbours(groups, segment, group, row, matches)


def _match_bytes(signatures: Signatures, segment: Segment, matches: Matches) -> None:
    order = np.argsort(signatures.sha256)
    ours, theirs = signatures.sha256[order], segment.signatures.sha256
    for start in range(0, len(theirs), SEGMENT_ROWS):
        place, same = members(ours, theirs[start : start + SEGMENT_ROWS])
        # Backwards: of several rows with these bytes the first, whose key is the smallest, is
        # written last.
        row = np.flatnonzero(same)[::-1]
        images = order[place[row]]
        # Segments come oldest first: what an earlier one matched by bytes stays.
        new = ~matches.exact[images]
        matches.record(signatures, images[new], segment, start + row[new])
        matches.exact[images[new]] = True


def _match_neighbours(
    groups: Groups, segment: Segment, group: Indices, row: Indices, matches: Matches
) -> None:
    signatures, theirs = groups.signatures, segment.signatures
    keys, generation = theirs.keys[row], segment.generations[row]
    # Of several rows near a group the earliest generation, then the smallest key.
    best = np.lexsort((keys, generation, group))
    best = best[np.append(True, group[best][1:] != group[best][:-1])]
    # One row a group, so that each image comes once below: with repeated indices `record` would
    # keep an arbitrary row.
    images = groups.images_of(group[best])
    pair = np.repeat(best, groups.counts[group[best]])
    better = generation[pair] < matches.generation[images]
    better |= (generation[pair] == matches.generation[images]) & (keys[pair] < matches.key[images])
    # A match by equal bytes stays, even where an earlier generation has a near image.
    better &= ~matches.exact[images]
    matches.record(signatures, images[better], segment, row[pair[better]])
    # Equal bytes have equal hashes: SHA-256 is compared only where both hashes are the same.
    first = groups.first[group]
    same = theirs.phash[row] == signatures.phash[first]
    same &= np.all(theirs.pdq[row] == signatures.pdq[first], axis=1)
    group, row = group[same], row[same]
    for pair, place in expand_spans(groups.starts[group], groups.counts[group]):
        images, known = groups.members[place], row[pair]
        equal = (theirs.sha256[known] == signatures.sha256[images]) & ~matches.exact[images]
        matches.record(signatures, images[equal], segment, known[equal])
        matches.exact[images[equal]] = True
