"""The work of the near step: pHashes that are near each other, band by band and run by run, as pairs of codes.

Each task reads one column of facts, searches its share, and writes `pairs.npy`, uint64 (K, 2). What the shares are
depends on the numbers of codes alone, so that any number of workers finds the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from wenlan_data.dedupe.hamming import cross_join, self_join
from wenlan_data.dedupe.hamming.pairs import distinct_codes
from wenlan_data.dedupe.hamming.self_join import MatchedPairs
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.index.published import PHASH
from wenlan_data.npy import Codes, load_array, save_array
from wenlan_data.protocols import Receipt

PAIRS, DENSE = "pairs.npy", "crowd.npy"
SHARE_CODES = 1 << 18
"""From so many pictures on a generation's bands are shared among tasks: fewer take less time than a task's start."""
MAX_SHARES = 16
CROSS_JOIN_CODES = 1 << 22
"""Published codes that one task looks through."""
MAX_PAIRS = 1 << 22
"""That a task may write: with more the codes are crowded, and the dedupe step finds its pairs by both hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDetails:
    """Whether a search found more pairs than it may write."""

    overflows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfJoinPart:
    """Pairs among the pictures of one generation, in every `shares`-th band. Details: whether it `overflows`."""

    facts: tuple[str, ...]
    share: int
    shares: int
    radius_bits: int
    verify: bool

    def __call__(self, out: Path) -> Receipt[NearDetails]:
        """Search."""
        codes = distinct_phashes(self.facts)
        chosen = self_join.search_bands(codes, self.radius_bits)
        mine = chosen[self.share :: self.shares]
        idle = bool(self.share) and not mine
        found = (
            self_join.search(codes, mine, self.radius_bits, skip_dense=self.verify)
            if not idle
            else iter(())
        )
        return _written(out, len(codes), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossJoinPart:
    """Pairs (new code, published code) of one generation with a part of a published run."""

    facts: tuple[str, ...]
    index: str
    start: int
    stop: int
    radius_bits: int

    def __call__(self, out: Path) -> Receipt[NearDetails]:
        """Search."""
        codes = distinct_phashes(self.facts)
        old, _ = distinct_codes(
            load_array(Path(self.index) / PHASH, np.uint64)[self.start : self.stop]
        )
        found = map(MatchedPairs, cross_join.search_between(codes, old, self.radius_bits))
        return _written(out, len(codes), found)


NearPart = SelfJoinPart | CrossJoinPart


def near_parts(
    facts: Sequence[str], pictures: int, runs: Sequence[str], *, radius_bits: int, verify: bool
) -> list[NearPart]:
    """The tasks of one generation of `pictures` pictures against the published `runs`, index folders."""
    shares = min(MAX_SHARES, max(1, pictures // SHARE_CODES * 2))
    parts: list[NearPart] = [
        SelfJoinPart(
            facts=tuple(facts), share=share, shares=shares, radius_bits=radius_bits, verify=verify
        )
        for share in range(shares)
    ]
    for run in runs:
        codes = len(load_array(Path(run) / PHASH, np.uint64))
        parts += [
            CrossJoinPart(
                facts=tuple(facts),
                index=run,
                start=start,
                stop=min(start + CROSS_JOIN_CODES, codes),
                radius_bits=radius_bits,
            )
            for start in range(0, codes, CROSS_JOIN_CODES)
        ]
    return parts


@dataclass(frozen=True, slots=True)
class NearFiles:
    """What the near step wrote for a generation."""

    among: tuple[str, ...] = ()
    """Folders of `SelfJoinPart`; none: the search is done where it is needed."""
    against: tuple[tuple[str, int], ...] = ()
    """Folders of `CrossJoinPart`, with the number of the run."""

    def self_join_pairs(self) -> list[MatchedPairs] | None:
        """The pairs among new pictures; None where they must be searched."""
        if not self.among or any(overflows(folder) for folder in self.among):
            return None
        return [
            MatchedPairs(_pairs(folder), load_array(Path(folder) / DENSE, np.uint64))
            for folder in self.among
        ]

    def cross_join_pairs(self, segment: int) -> list[Codes] | None:
        """The pairs of new and published codes of one run; None where they must be searched."""
        folders = [folder for folder, number in self.against if number == segment]
        if not folders or any(overflows(folder) for folder in folders):
            return None
        return [_pairs(folder) for folder in folders]


def overflows(folder: str) -> bool:
    """Whether the task gave up for finding too many."""
    return not (Path(folder) / PAIRS).exists()


def distinct_phashes(facts: Sequence[str]) -> Codes:
    """uint64 (N,), sorted: the pHashes of all good pictures. Raises `DamageError` for a table that is none."""
    read = [np.empty(0, np.uint64)]
    for path in facts:
        try:
            with os_errors(path):
                table = pq.read_table(path, columns=["reason", "phash"])
            good = np.array(table["reason"].to_numpy() == "", bool)
            read.append(table["phash"].to_numpy()[good])
        except (pq.lib.ArrowException, KeyError, ValueError) as error:
            raise DamageError(
                f"{path}: not a table as the build wrote it ({error}): build the corpus again"
            ) from error
    return distinct_codes(np.concatenate(read))[0]


def _written(out: Path, codes: int, found: Iterator[MatchedPairs]) -> Receipt[NearDetails]:
    pairs, crowds, total = [np.empty((0, 2), np.uint64)], [np.empty(0, np.uint64)], 0
    for one in found:
        pairs.append(one.pairs)
        crowds.append(one.dense)
        total += len(one.pairs)
        if total > MAX_PAIRS:
            return Receipt(rows_in=codes, details=NearDetails(overflows=True))
    save_array(out / PAIRS, np.concatenate(pairs))
    save_array(out / DENSE, np.unique(np.concatenate(crowds)))
    return Receipt(rows_in=codes, rows_out=total, details=NearDetails(overflows=False))


def _pairs(folder: str) -> Codes:
    return load_array(Path(folder) / PAIRS, np.uint64)
