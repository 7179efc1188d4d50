"""What later generations need of a published one: hash codes, keys and URLs, as sorted arrays in its index folder.

phash.npy  uint64 (N,), sorted       url-hashes.npy  16 bytes (U,), sorted: first half of SHA-256 of the url_key
pdq.npy    uint64 (N, 4)             url-keys.npy    16 bytes (U,): key of the picture that the URL gave
sha256.npy 32 bytes (N,)
keys.npy   16 bytes (N,)
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wenlan_data.errors import DamageError, os_errors

PHASH, PDQ, SHA256, KEYS = "phash.npy", "pdq.npy", "sha256.npy", "keys.npy"
URL_HASHES, URL_KEYS = "url-hashes.npy", "url-keys.npy"
# Codes looked through at a time: 128 MB, however large the corpus is.
BATCH_CODES = 1 << 24

Kind = TypeVar("Kind", bound=np.generic)
Codes = NDArray[np.uint64]
Words = NDArray[np.bytes_]
"""Byte strings of one fixed length; NumPy hides trailing zero bytes but compares and sorts them rightly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prints:
    """The finger-prints of N pictures, one array each."""

    phash: Codes
    """uint64 (N,)."""
    pdq: Codes
    """uint64 (N, 4)."""
    sha256: Words
    """S32 (N,)."""
    keys: Words
    """S16 (N,)."""

    def take(self, rows: NDArray[np.int64] | slice) -> "Prints":
        """The prints of these rows."""
        return Prints(phash=self.phash[rows], pdq=self.pdq[rows], sha256=self.sha256[rows], keys=self.keys[rows])


@dataclass(frozen=True, slots=True)
class Published:
    """The index folders of earlier generations, in order."""

    folders: tuple[str, ...]

    def key_of_urls(self, url_keys: Sequence[str]) -> list[str]:
        """For each URL the key of the published picture that it gave or equals, as 32 hex digits; '' = not known.

        Raises `DamageError` for a folder that is not whole.
        """
        return hex_keys(self.keys_of_hashes(url_hashes(url_keys)))

    def keys_of_hashes(self, hashes: Words) -> Words:
        """S16 (N,): the same for hashes by `url_hashes`, as raw keys; an empty string = not known."""
        found = np.zeros(len(hashes), "S16")
        for folder in self.folders:
            known, keys = (load_array(Path(folder) / name, np.bytes_) for name in (URL_HASHES, URL_KEYS))
            if len(known):
                place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
                hit = (known[place] == hashes) & (found == b"")
                found[hit] = keys[place[hit]]
        return found

    def batches(self) -> "Iterator[Batch]":
        """The published pictures, some generations at a time, in order."""
        batch: list[Prints] = []
        for folder in self.folders:
            one = _load_prints(Path(folder))
            if batch and sum(len(other.phash) for other in batch) + len(one.phash) > BATCH_CODES:
                yield Batch(tuple(batch))
                batch = []
            batch.append(one)
        if batch:
            yield Batch(tuple(batch))


@dataclass(frozen=True, slots=True)
class Batch:
    """The mapped prints of some generations, numbered on from one to the next."""

    parts: tuple[Prints, ...]

    def phash(self) -> Codes:
        """uint64 (N,): every code, read into memory."""
        return np.concatenate([one.phash for one in self.parts])

    def generations(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the part that each row lies in."""
        ends = np.cumsum([len(one.phash) for one in self.parts])
        return np.searchsorted(ends, rows, side="right")

    def take(self, rows: NDArray[np.int64]) -> Prints:
        """The prints of these rows; only these are read."""
        taken = Prints(
            phash=np.zeros(len(rows), np.uint64),
            pdq=np.zeros((len(rows), 4), np.uint64),
            sha256=np.zeros(len(rows), "S32"),
            keys=np.zeros(len(rows), "S16"),
        )
        generations = self.generations(rows)
        first = 0
        for number, part in enumerate(self.parts):
            here = np.flatnonzero(generations == number)
            for name in ("phash", "pdq", "sha256", "keys"):
                getattr(taken, name)[here] = getattr(part, name)[rows[here] - first]
            first += len(part.phash)
        return taken


def url_hashes(url_keys: Sequence[str]) -> Words:
    """S16 (N,): the first half of each URL's SHA-256."""
    raw = b"".join(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16] for key in url_keys)
    return np.frombuffer(raw, "S16")


def hex_keys(keys: Words) -> list[str]:
    """Each raw key as 32 hex digits; '' for an empty one."""
    text = keys.tobytes().hex()
    return [text[32 * n : 32 * n + 32] if key else "" for n, key in enumerate(keys.tolist())]


def raw_keys(keys: Sequence[str]) -> Words:
    """S16 (N,) from 32 hex digits each."""
    return np.frombuffer(bytes.fromhex("".join(keys)), "S16")


def save_index(folder: Path, prints: Prints, hashes: Words, keys: Words) -> None:
    """Write the index of one generation: its kept pictures, and for each URL hash the key that it leads to.

    Rows are ordered by code, then key, and URLs by hash: equal input in any order gives equal files.
    """
    ordered = prints.take(np.lexsort((prints.keys, prints.phash)))
    save_array(folder / PHASH, ordered.phash)
    save_array(folder / PDQ, ordered.pdq)
    save_array(folder / SHA256, ordered.sha256)
    save_array(folder / KEYS, ordered.keys)
    order = np.argsort(hashes, kind="stable")
    save_array(folder / URL_HASHES, hashes[order])
    save_array(folder / URL_KEYS, keys[order])


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write a .npy file."""
    with os_errors(path):
        np.save(path, array, allow_pickle=False)


def load_array(path: Path, kind: type[Kind]) -> NDArray[Kind]:
    """A .npy file, mapped and not read. Raises `DamageError` where it is missing, cut or of another kind."""
    try:
        array: NDArray[Kind] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamageError(f"{path}: index of a published generation cannot be read ({error}): build anew") from error
    if not issubclass(array.dtype.type, kind):
        raise DamageError(f"{path}: holds {array.dtype} in place of {kind.__name__}: build anew")
    return array


def _load_prints(folder: Path) -> Prints:
    phash, pdq = load_array(folder / PHASH, np.uint64), load_array(folder / PDQ, np.uint64)
    sha256, keys = load_array(folder / SHA256, np.bytes_), load_array(folder / KEYS, np.bytes_)
    if not len(phash) == len(pdq) == len(sha256) == len(keys):
        raise DamageError(f"{folder}: its arrays differ in length: build anew")
    return Prints(phash=phash, pdq=pdq, sha256=sha256, keys=keys)
