"""The near step: pairs of near pHashes, band by band within a generation, and with each published
segment.

Each task reads one column of the fetch results, searches its share, and writes `pairs.npy`, uint64
(K, 2). The shares depend on the numbers of codes alone, so that any number of workers finds the
same.

It runs after `fetch` and before the dedupe step, which reads its files through `NearFiles`:
`matching` takes the pairs with published codes, `selection` those within the generation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wenlan_data.arrow import are_equal, read_table
from wenlan_data.dedupe.hamming import cross_join, self_join
from wenlan_data.dedupe.hamming.codes import distinct_codes
from wenlan_data.dedupe.hamming.self_join import MatchedPairs
from wenlan_data.index.published import PHASH
from wenlan_data.npy import Codes, load_array, save_array
from wenlan_data.protocols import NoDetails, Receipt

PAIRS = "pairs.npy"
DENSE = "dense.npy"
"""Codes of dense buckets."""
SHARE_CODES = 1 << 18
"""With this many images or more, tasks share the bands of a generation. The search of fewer takes
less time than the start of a task."""
MAX_SHARES = 16
CROSS_JOIN_CODES = 1 << 22
"""Published codes that one task searches."""
MAX_PAIRS = 1 << 22
"""Pairs that a task may write. With more the codes lie densely, and the dedupe step finds its pairs
by both hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfJoinPart:
    """Finds pairs among the images of one generation, in every `shares`-th band."""

    fetch_results: tuple[str, ...]
    share: int
    shares: int
    radius_bits: int
    verify: bool

    def __call__(self, out: Path) -> Receipt[NoDetails]:
        """Searches, and writes the pairs."""
        codes = distinct_phashes(self.fetch_results)
        # Every task computes the same bands from the same codes, so tasks need not exchange any.
        chosen = self_join.search_bands(codes, self.radius_bits)
        mine = chosen[self.share :: self.shares]
        # Without bands `search` compares all pairs. That is for one task, where `search_bands`
        # finds it cheaper; a later share without bands has nothing to do.
        idle = bool(self.share) and not mine
        found = (
            self_join.search(codes, mine, self.radius_bits, skip_dense=self.verify)
            if not idle
            else iter(())
        )
        return _written(out, len(codes), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossJoinPart:
    """Finds pairs (new code, published code) of one generation with a part of a published
    segment."""

    fetch_results: tuple[str, ...]
    index: str
    start: int
    stop: int
    radius_bits: int

    def __call__(self, out: Path) -> Receipt[NoDetails]:
        """Searches, and writes the pairs."""
        codes = distinct_phashes(self.fetch_results)
        # Mapped, so only this slice is read. Equal codes at its border are in two parts, and their
        # pairs come twice: matching keeps the better of two matches, so that changes nothing.
        old = distinct_codes(
            load_array(Path(self.index) / PHASH, np.uint64)[self.start : self.stop]
        )
        found = map(MatchedPairs, cross_join.search_between(codes, old, self.radius_bits))
        return _written(out, len(codes), found)


NearPart = SelfJoinPart | CrossJoinPart


def near_parts(
    fetch_results: Sequence[str],
    images: int,
    segments: Sequence[str],
    *,
    radius_bits: int,
    verify: bool,
) -> list[NearPart]:
    """Returns the tasks of a generation with this number of `images`; `segments` are the published
    index folders."""
    # From the number of images, never of workers: the folders of a resumed build must mean the
    # same.
    shares = min(MAX_SHARES, max(1, images // SHARE_CODES * 2))
    parts: list[NearPart] = [
        SelfJoinPart(
            fetch_results=tuple(fetch_results),
            share=share,
            shares=shares,
            radius_bits=radius_bits,
            verify=verify,
        )
        for share in range(shares)
    ]
    for segment in segments:
        codes = len(load_array(Path(segment) / PHASH, np.uint64))
        parts += [
            CrossJoinPart(
                fetch_results=tuple(fetch_results),
                index=segment,
                start=start,
                stop=min(start + CROSS_JOIN_CODES, codes),
                radius_bits=radius_bits,
            )
            for start in range(0, codes, CROSS_JOIN_CODES)
        ]
    return parts


@dataclass(frozen=True, slots=True)
class NearFiles:
    """The folders that the near step wrote for a generation."""

    self_join: tuple[str, ...] = ()
    """Folders of `SelfJoinPart`; none: the dedupe step searches."""
    cross_join: tuple[tuple[str, int], ...] = ()
    """Folders of `CrossJoinPart`, each with the number of its segment."""

    def self_join_pairs(self) -> list[MatchedPairs] | None:
        """The pairs among new images; None where they must be searched."""
        # One share without its pairs makes the others useless: the dedupe step searches again as a
        # whole, and verifies pairs as they come instead of holding them.
        if not self.self_join or any(overflows(folder) for folder in self.self_join):
            return None
        return [
            MatchedPairs(_pairs(folder), load_array(Path(folder) / DENSE, np.uint64))
            for folder in self.self_join
        ]

    def cross_join_pairs(self, segment: int) -> list[Codes] | None:
        """The pairs of new and published codes of one segment; None where they must be searched."""
        folders = [folder for folder, number in self.cross_join if number == segment]
        # An empty segment has no part, so it is searched in the dedupe step, which costs nothing.
        if not folders or any(overflows(folder) for folder in folders):
            return None
        return [_pairs(folder) for folder in folders]


def overflows(folder: str) -> bool:
    """Whether the task stopped because it found more than `MAX_PAIRS`."""
    return not (Path(folder) / PAIRS).exists()


def distinct_phashes(fetch_results: Sequence[str]) -> Codes:
    """uint64 (N,), sorted: the distinct pHashes of all fetched images. Raises `DamageError` for a
    corrupt table."""
    # The images of all good fetches, also of rows that the dedupe step drops before it compares:
    # such codes have no rows there, and their pairs expand to nothing.
    read = [np.empty(0, np.uint64)]
    for path in fetch_results:
        table = read_table(path, ["reason", "phash"])
        read.append(table["phash"].to_numpy()[are_equal(table, "reason", "")])
    return distinct_codes(np.concatenate(read))


def _written(out: Path, codes: int, found: Iterator[MatchedPairs]) -> Receipt[NoDetails]:
    pairs, dense, total = [np.empty((0, 2), np.uint64)], [np.empty(0, np.uint64)], 0
    for one in found:
        pairs.append(one.pairs)
        dense.append(one.dense)
        total += len(one.pairs)
        if total > MAX_PAIRS:
            # Without `pairs.npy`, which is how `overflows` recognises it.
            return Receipt(rows_in=codes, details=NoDetails())
    save_array(out / PAIRS, np.concatenate(pairs))
    save_array(out / DENSE, np.unique(np.concatenate(dense)))
    return Receipt(rows_in=codes, rows_out=total, details=NoDetails())


def _pairs(folder: str) -> Codes:
    return load_array(Path(folder) / PAIRS, np.uint64)
