"""What later generations need of published ones: hash codes, keys and URLs, as sorted arrays in an index folder.

phash.npy       uint64 (N,), sorted       url-hashes.npy     16 bytes (U,), sorted: half of SHA-256 of the url_key
pdq.npy         uint64 (N, 4)             url-keys.npy       16 bytes (U,): key of the picture that the URL gave
sha256.npy      32 bytes (N,)             asked-hashes.npy   16 bytes (A,), sorted: URLs asked for in vain
keys.npy        16 bytes (N,)             asked-parts.npy    uint64 (A,): generation << 32 | fetch part that knows why
generations.npy uint32 (N,)               placeholders.npy   32 bytes (B,), sorted: SHA-256
colours.npy     uint64 (N,)
text-hashes.npy, text-counts.npy, site-hashes.npy, site-counts.npy: see `dedupe.frequency`

An index may hold several generations (see `index.merge`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wenlan_data.errors import DamageError
from wenlan_data.npy import Codes, FixedBytes, Indices, load_array, members, save_array

HASHES, COUNTS = "text-hashes.npy", "text-counts.npy"
SITE_HASHES, SITE_COUNTS = "site-hashes.npy", "site-counts.npy"

PHASH, PDQ, SHA256, KEYS, GENERATIONS = (
    "phash.npy",
    "pdq.npy",
    "sha256.npy",
    "keys.npy",
    "generations.npy",
)
COLOURS = "colours.npy"
URL_HASHES, URL_KEYS = "url-hashes.npy", "url-keys.npy"
ASKED_HASHES, ASKED_PARTS, PLACEHOLDERS = "asked-hashes.npy", "asked-parts.npy", "placeholders.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """The finger-prints of N pictures, one array each."""

    phash: Codes
    """uint64 (N,)."""
    pdq: Codes
    """uint64 (N, 4)."""
    colours: Codes
    """uint64 (N,): the 8 bytes of `image.hash.colours` as they lie; 0 where they are not known."""
    sha256: FixedBytes
    """S32 (N,)."""
    keys: FixedBytes
    """S16 (N,)."""

    def take(self, rows: Indices | slice) -> "Signatures":
        """The prints of these rows."""
        return Signatures(
            phash=self.phash[rows],
            pdq=self.pdq[rows],
            colours=self.colours[rows],
            sha256=self.sha256[rows],
            keys=self.keys[rows],
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """The published pictures of one index folder, mapped, ordered by pHash."""

    signatures: Signatures
    generations: NDArray[np.uint32]
    """uint32 (N,): when each was published."""


@dataclass(frozen=True, slots=True)
class PublishedIndex:
    """The index folders of earlier generations, in order."""

    folders: tuple[str, ...]

    def key_of_urls(self, url_keys: Sequence[str]) -> list[str]:
        """For each URL the key of the published picture that it gave or equals, as 32 hex digits; '' = not known.

        Raises `DamageError` for a folder that is not whole.
        """
        return hex_keys(self.keys_of_hashes(url_hashes(url_keys)))

    def keys_of_hashes(self, hashes: FixedBytes) -> FixedBytes:
        """S16 (N,): the same for hashes by `url_hashes`, as raw keys; an empty string = not known."""
        found = np.zeros(len(hashes), "S16")
        for folder in self.folders:
            known, keys = (
                load_array(Path(folder) / name, np.bytes_) for name in (URL_HASHES, URL_KEYS)
            )
            place, is_there = members(known, hashes)
            hit = is_there & (found == b"")
            found[hit] = keys[place[hit]]
        return found

    def last_failed_fetch(self, hashes: FixedBytes) -> Indices:
        """int64 (N,): generation << 32 | fetch part where a URL was last asked for in vain; -1 where it never was."""
        found = np.full(len(hashes), -1)
        for folder in self.folders:
            known = load_array(Path(folder) / ASKED_HASHES, np.bytes_)
            place, is_there = members(known, hashes)
            found[is_there] = load_array(Path(folder) / ASKED_PARTS, np.uint64)[place[is_there]]
        return found

    def placeholders(self) -> FixedBytes:
        """S32 (B,): SHA-256 of every picture that was found to be a placeholder, sorted."""
        known = [load_array(Path(folder) / PLACEHOLDERS, np.bytes_) for folder in self.folders]
        return np.unique(np.concatenate([np.empty(0, "S32"), *known]))

    def segments(self) -> list[Segment]:
        """The published pictures, in order of publishing. Raises `DamageError` for a folder that is not whole."""
        return [load_segment(Path(folder)) for folder in self.folders]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedUrls:
    """What a generation learnt of its URLs."""

    hashes: FixedBytes
    """S16 (U,): URLs that led to a picture of the corpus."""
    keys: FixedBytes
    """S16 (U,): to which."""
    failed_hashes: FixedBytes
    """S16 (A,): URLs that did not."""
    failed_parts: NDArray[np.uint64]
    """uint64 (A,): generation << 32 | fetch part that holds the facts."""
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
    text = keys.tobytes().hex()
    return [text[32 * n : 32 * n + 32] if key else "" for n, key in enumerate(keys.tolist())]


def raw_keys(keys: Sequence[str]) -> FixedBytes:
    """S16 (N,) from 32 hex digits each."""
    return np.frombuffer(bytes.fromhex("".join(keys)), "S16")


def save_index(
    folder: Path, generation: int, signatures: Signatures, requested: RequestedUrls
) -> None:
    """Write the index of one generation: its kept pictures, and what is known of its URLs.

    Rows are ordered by code, then key, and URLs by hash: equal input in any order gives equal files.
    """
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
    order = np.argsort(requested.failed_hashes, kind="stable")
    save_array(folder / ASKED_HASHES, requested.failed_hashes[order])
    save_array(folder / ASKED_PARTS, requested.failed_parts[order])
    save_array(folder / PLACEHOLDERS, requested.placeholders)


def load_segment(folder: Path) -> Segment:
    """The pictures of an index folder. Raises `DamageError` for one that is not whole."""
    phash, pdq = load_array(folder / PHASH, np.uint64), load_array(folder / PDQ, np.uint64)
    sha256, keys = load_array(folder / SHA256, np.bytes_), load_array(folder / KEYS, np.bytes_)
    generations, colours = (
        load_array(folder / GENERATIONS, np.uint32),
        load_array(folder / COLOURS, np.uint64),
    )
    if not len(phash) == len(pdq) == len(colours) == len(sha256) == len(keys) == len(generations):
        raise DamageError(f"{folder}: its arrays differ in length: build the corpus again")
    return Segment(
        Signatures(phash=phash, pdq=pdq, colours=colours, sha256=sha256, keys=keys), generations
    )
