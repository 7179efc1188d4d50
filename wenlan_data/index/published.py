"""The index of published images: hash codes, keys and URLs as sorted arrays, one folder for each
segment.

phash.npy       uint64 (N,), sorted       url-hashes.npy     16 bytes (U,), sorted: half of SHA-256 of the url_key
pdq.npy         uint64 (N, 4)             url-keys.npy       16 bytes (U,): key of the sample that the URL led to
sha256.npy      32 bytes (N,)             placeholders.npy   32 bytes (B,), sorted: SHA-256
keys.npy        16 bytes (N,)
generations.npy uint32 (N,)
colours.npy     uint64 (N,)
without-sample.npy 16 bytes (A,), sorted: URLs that led to no sample
without-sample-parts.npy uint64 (A,): packed `PartRef` of the result of each
furniture.npy   32 bytes (B,), sorted: SHA-256
text-hashes.npy, text-counts.npy, site-hashes.npy, site-counts.npy: see `dedupe.frequency`
page-keys.npy, page-hashes.npy: see `index.page_sets`

A segment may hold several generations (see `index.merge`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wenlan_data.errors import DamageError
from wenlan_data.npy import (
    BUILD_AGAIN,
    Codes,
    FixedBytes,
    Indices,
    load_array,
    members,
    save_array,
)

HASHES, COUNTS = "text-hashes.npy", "text-counts.npy"
SITE_HASHES, SITE_COUNTS = "site-hashes.npy", "site-counts.npy"

PHASH, PDQ, COLOURS = "phash.npy", "pdq.npy", "colours.npy"
SHA256, KEYS, GENERATIONS = "sha256.npy", "keys.npy", "generations.npy"
URL_HASHES, URL_KEYS = "url-hashes.npy", "url-keys.npy"
URLS_WITHOUT_SAMPLE = "without-sample.npy"
URLS_WITHOUT_SAMPLE_PARTS = "without-sample-parts.npy"
PLACEHOLDERS, FURNITURE = "placeholders.npy", "furniture.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """The hashes and keys of N images, one array each."""

    phash: Codes
    """uint64 (N,)."""
    pdq: Codes
    """uint64 (N, 4)."""
    colours: Codes
    """uint64 (N,): 8 bytes, the mean Cb and Cr of the four quarters; 0 where they are not known."""
    sha256: FixedBytes
    """S32 (N,)."""
    keys: FixedBytes
    """S16 (N,)."""

    def take(self, rows: Indices | slice) -> "Signatures":
        """The signatures of these rows."""
        return Signatures(
            phash=self.phash[rows],
            pdq=self.pdq[rows],
            colours=self.colours[rows],
            sha256=self.sha256[rows],
            keys=self.keys[rows],
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """The published images of one index folder, mapped, ordered by pHash."""

    signatures: Signatures
    generations: NDArray[np.uint32]
    """uint32 (N,): the generation that published each."""


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """The index folders of earlier generations, in order."""

    folders: tuple[str, ...]

    def key_of_urls(self, url_keys: Sequence[str]) -> list[str]:
        """For each URL the key of the published sample that it led to, as 32 hex digits; '' for
        none.

        Raises `DamageError` for an incomplete folder.
        """
        return hex_keys(self.keys_of_hashes(url_hashes(url_keys)))

    def keys_of_hashes(self, hashes: FixedBytes) -> FixedBytes:
        """S16 (N,): the raw keys for hashes of `url_hashes`; empty for none."""
        found = np.zeros(len(hashes), "S16")
        for folder in self.folders:
            known = load_array(Path(folder) / URL_HASHES, np.bytes_)
            keys = load_array(Path(folder) / URL_KEYS, np.bytes_)
            place, is_there = members(known, hashes)
            # The first generation with the URL wins: what it published is never replaced.
            hit = is_there & (found == b"")
            found[hit] = keys[place[hit]]
        return found

    def last_fetch_without_sample(self, hashes: FixedBytes) -> Indices:
        """int64 (N,): packed `PartRef` of the last fetch of each URL that led to no sample; -1 where
        there is none."""
        found = np.full(len(hashes), -1)
        for folder in self.folders:
            known = load_array(Path(folder) / URLS_WITHOUT_SAMPLE, np.bytes_)
            place, is_there = members(known, hashes)
            # Later folders overwrite earlier ones: only the last fetch has the result to repeat.
            parts = load_array(Path(folder) / URLS_WITHOUT_SAMPLE_PARTS, np.uint64)
            found[is_there] = parts[place[is_there]]
        return found

    def placeholders(self) -> FixedBytes:
        """S32 (B,), sorted: SHA-256 of the placeholders of all generations."""
        return self._digests(PLACEHOLDERS)

    def furniture(self) -> FixedBytes:
        """S32 (B,), sorted: SHA-256 of the images on many pages of a site, of all generations."""
        return self._digests(FURNITURE)

    def _digests(self, name: str) -> FixedBytes:
        known = [load_array(Path(folder) / name, np.bytes_) for folder in self.folders]
        return np.unique(np.concatenate([np.empty(0, "S32"), *known]))

    def segments(self) -> list[Segment]:
        """Maps the segments in order of publishing. Raises `DamageError` for an incomplete
        folder."""
        return [load_segment(Path(folder)) for folder in self.folders]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedUrls:
    """The URLs that a generation requested, and where they led."""

    hashes: FixedBytes
    """S16 (U,): URLs that led to a sample of the corpus."""
    keys: FixedBytes
    """S16 (U,): the key of that sample."""
    without_sample: FixedBytes
    """S16 (A,): URLs that led to none: they failed, or their image was dropped."""
    without_sample_parts: NDArray[np.uint64]
    """uint64 (A,): packed `PartRef` of the fetch part that holds the result of each."""
    placeholders: FixedBytes
    """S32 (B,), sorted."""


def url_hashes(url_keys: Sequence[str]) -> FixedBytes:
    """S16 (N,): the first half of each URL's SHA-256."""
    raw = b"".join(
        hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16] for key in url_keys
    )
    return np.frombuffer(raw, "S16")


def hex_keys(keys: FixedBytes) -> list[str]:
    """Each raw key as 32 hex digits; '' for an empty one."""
    # From the whole buffer: an item alone would lose its trailing zero bytes.
    text = keys.tobytes().hex()
    return [text[32 * n : 32 * n + 32] if key else "" for n, key in enumerate(keys.tolist())]


def raw_keys(keys: Sequence[str]) -> FixedBytes:
    """S16 (N,) from 32 hex digits each."""
    return np.frombuffer(bytes.fromhex("".join(keys)), "S16")


def save_index(
    folder: Path, generation: int, signatures: Signatures, requested: RequestedUrls
) -> None:
    """Writes the segment of one generation: its kept images and its URLs.

    Rows are ordered by code, then key, and URLs by hash: equal input in any order gives equal
    files.
    """
    # Sorted by pHash once here: later generations map the file and search it as it is.
    ordered = signatures.take(np.lexsort((signatures.keys, signatures.phash)))
    save_array(folder / PHASH, ordered.phash)
    save_array(folder / PDQ, ordered.pdq)
    save_array(folder / COLOURS, ordered.colours)
    save_array(folder / SHA256, ordered.sha256)
    save_array(folder / KEYS, ordered.keys)
    save_array(folder / GENERATIONS, np.full(len(ordered.phash), generation, np.uint32))
    order = np.argsort(requested.hashes, kind="stable")
    save_array(folder / URL_HASHES, requested.hashes[order])
    save_array(folder / URL_KEYS, requested.keys[order])
    order = np.argsort(requested.without_sample, kind="stable")
    save_array(folder / URLS_WITHOUT_SAMPLE, requested.without_sample[order])
    save_array(folder / URLS_WITHOUT_SAMPLE_PARTS, requested.without_sample_parts[order])
    save_array(folder / PLACEHOLDERS, requested.placeholders)


def load_segment(folder: Path) -> Segment:
    """Maps the images of an index folder. Raises `DamageError` for an incomplete one."""
    signatures = Signatures(
        phash=load_array(folder / PHASH, np.uint64),
        pdq=load_array(folder / PDQ, np.uint64),
        colours=load_array(folder / COLOURS, np.uint64),
        sha256=load_array(folder / SHA256, np.bytes_),
        keys=load_array(folder / KEYS, np.bytes_),
    )
    generations = load_array(folder / GENERATIONS, np.uint32)
    columns = (signatures.pdq, signatures.colours, signatures.sha256, signatures.keys, generations)
    if any(len(column) != len(signatures.phash) for column in columns):
        raise DamageError(f"{folder}: its arrays differ in length: {BUILD_AGAIN}")
    return Segment(signatures, generations)
