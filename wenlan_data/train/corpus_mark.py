"""The corpus that a run trains on: what identifies it, and which page each sample stands on."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wenlan_data.errors import DamageError, RecipeError, UsageError
from wenlan_data.model.checkpoint import CorpusMark, ShardMark
from wenlan_data.shard.manifest import MANIFEST, load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths

Int64s = NDArray[np.int64]


def corpus_mark(paths: Sequence[Path]) -> CorpusMark:
    """The mark of corpora, folders of tars and tars, in this order."""
    shards: list[ShardMark] = []
    digest = hashlib.sha256()
    for path in paths:
        if is_corpus(path):
            digest.update((path / MANIFEST).read_bytes())
            shards += [
                ShardMark(name=one.name, bytes=one.bytes, sha256=one.sha256)
                for one in load_manifest(path).shards
            ]
        else:
            tars = [
                ShardMark(name=tar.name, bytes=tar.stat().st_size, sha256="")
                for tar in shard_paths([path])
            ]
            digest.update("\n".join(f"{tar.name} {tar.bytes}" for tar in tars).encode())
            shards += tars
    return CorpusMark(digest=digest.hexdigest(), shards=shards)


def check_shards(shards: Sequence[Path], val_shards: Sequence[Path]) -> None:
    """Raise `UsageError` or `DamageError` for what is missing, and for pairs to validate with where there are none.

    Before the first step: what is wrong with `--val-shards` must not end a run at its first validation.
    """
    for tar in shard_paths([*shards, *val_shards]):
        if not tar.is_file():
            raise DamageError(
                f"{tar}: the manifest names it, and it is not there: restore it from a copy"
            )
    if val_shards and not any(next(scan(tar), None) for tar in shard_paths(val_shards)):
        raise UsageError(
            f"--val-shards {' '.join(map(str, val_shards))}: no sample here: give pairs to validate with"
        )


def check_same(before: CorpusMark, now: CorpusMark, *, may_grow: bool, may_change: bool) -> bool:
    """Whether the order of the epoch that was begun still holds: the shards are the same ones.

    Raises `RecipeError` where they differ and that was not allowed. A corpus has grown where all earlier shards are
    there, first and unchanged.
    """
    if before.shards == now.shards:
        return True
    grown = now.shards[: len(before.shards)] == before.shards
    if grown and (may_grow or may_change):
        return False
    if grown:
        raise RecipeError(
            f"the corpus has grown since the checkpoint, from {len(before.shards)} to {len(now.shards)} shards: "
            "--grown-corpus goes on with a new epoch of all of it"
        )
    if not may_change:
        raise RecipeError(
            "the corpus is not the one of the checkpoint (other shards): give that one, or --changed-corpus to go on "
            "with a new epoch of this one"
        )
    return False


class Pages:
    """Which page each sample stands on, as numbers: 0 for none, and for samples that no corpus describes."""

    def __init__(self, paths: Sequence[Path]) -> None:
        tables = [self._read(path) for path in paths if is_corpus(path)]
        keys = np.concatenate([keys for keys, _ in tables]) if tables else np.zeros(0, np.int64)
        pages = np.concatenate([pages for _, pages in tables]) if tables else np.zeros(0, np.int64)
        order = np.argsort(keys)
        self._keys, self._pages = keys[order], pages[order]

    def of(self, ids: Int64s) -> Int64s:
        """The page of each sample of these ids (see `sample_ids`)."""
        if not len(self._keys):
            return np.zeros(len(ids), np.int64)
        places = np.searchsorted(self._keys, ids).clip(max=len(self._keys) - 1)
        return np.where(self._keys[places] == ids, self._pages[places], 0)

    def _read(self, corpus: Path) -> tuple[Int64s, Int64s]:
        keys: list[str] = []
        pages: list[str] = []
        for shard in load_manifest(corpus).shards:
            path = corpus / "metadata" / shard.metadata.name
            if not path.is_file():
                continue
            table = pq.read_table(path, columns=["key", "page_url"])
            keys += table["key"].to_pylist()
            pages += table["page_url"].to_pylist()
        return sample_ids(keys), np.array([page_id(page) for page in pages], np.int64)


def sample_ids(keys: Sequence[str]) -> Int64s:
    """64 bits of each key. Two of a million keys share them with a chance below one in ten million."""
    return np.array([_first_64_bits(key) for key in keys], np.int64)


def page_id(url: str) -> int:
    """64 bits of a page's address, 0 where there is none."""
    return _first_64_bits(url) if url else 0


def _first_64_bits(text: str) -> int:
    return int.from_bytes(
        hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "little", signed=True
    )
