"""The identity of the corpus that a run trains on, and the page of each sample."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from wenlan_data.bounded_tables import read_batches
from wenlan_data.errors import DamageError, RecipeError, UsageError, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.layout import MANIFEST, METADATA
from wenlan_data.load.shard_index import find_shards
from wenlan_data.model.checkpoint import CorpusMark, ShardMark
from wenlan_data.npy import Indices
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.manifest import MAX_BYTES, load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths
from wenlan_data.tables import METADATA as METADATA_SCHEMA

_PAGE_COLUMNS = pa.schema([METADATA_SCHEMA.field(name) for name in ("key", "page_url")])


def corpus_mark(
    paths: Sequence[Path],
    *,
    skip_corrupt: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> CorpusMark:
    """Identifies the shards of corpora, folders of tars and tars, in the order given.

    With `skip_corrupt`, only those that the loader does not leave out; `note` gets a line for each
    of the others.
    """
    shards: list[ShardMark] = []
    digest = hashlib.sha256()
    for path in paths:
        if is_corpus(path):
            with os_errors(path):
                digest.update(read_bounded(path / MANIFEST, MAX_BYTES))
            listed = [
                ShardMark(name=one.name, bytes=one.bytes, sha256=one.sha256)
                for one in load_manifest(path).shards
            ]
            if skip_corrupt:
                intact = {one.name for one in intact_shards([path], note)}
                listed = [one for one in listed if one.name in intact]
                digest.update("\n".join(one.name for one in listed).encode())
            shards += listed
        else:
            tars = [
                ShardMark(name=tar.name, bytes=tar.stat().st_size, sha256="")
                for tar in (intact_shards([path], note) if skip_corrupt else shard_paths([path]))
            ]
            digest.update("\n".join(f"{tar.name} {tar.bytes}" for tar in tars).encode())
            shards += tars
    return CorpusMark(digest=digest.hexdigest(), shards=shards)


def intact_shards(
    paths: Sequence[Path], note: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """The tars that a loader reads which leaves out corrupt ones; `note` gets a line for each of
    these."""
    return [Path(one.path) for one in find_shards(paths, skip_corrupt=True, note=note)]


def check_shards(
    shards: Sequence[Path], val_shards: Sequence[Path], *, skip_corrupt: bool = False
) -> None:
    """Checks that every shard exists and that the validation shards hold a sample. With
    `skip_corrupt` shards of the training may be missing.

    Runs before the first step, so that a wrong `--val-shards` does not end a run at its first
    validation. Raises `UsageError` or `DamageError`.
    """
    # Paths of which there is nothing are errors in any case.
    listed = shard_paths(shards)
    for tar in [*([] if skip_corrupt else listed), *shard_paths(val_shards)]:
        if not tar.is_file():
            raise DamageError(f"{tar}: listed in the manifest, but missing: restore it from a copy")
    if val_shards and not any(next(scan(tar), None) for tar in shard_paths(val_shards)):
        raise UsageError(
            f"--val-shards {' '.join(map(str, val_shards))}: no sample here: "
            "choose shards with pairs"
        )


def check_same_corpus(
    before: CorpusMark, now: CorpusMark, *, may_grow: bool, may_change: bool
) -> bool:
    """Returns True where the shards are those of the checkpoint, so that its epoch can be resumed.

    Returns False where they differ and that is permitted: a new epoch must start. A corpus has
    grown where all earlier shards come first and are unchanged. Raises `RecipeError` where the
    shards differ and that is not permitted.
    """
    if before.shards == now.shards:
        return True
    grown = now.shards[: len(before.shards)] == before.shards
    if grown and (may_grow or may_change):
        return False
    if grown:
        raise RecipeError(
            f"the corpus has grown since the checkpoint, from {len(before.shards)} to "
            f"{len(now.shards)} shards: --grown-corpus resumes with a new epoch of all shards"
        )
    if not may_change:
        raise RecipeError(
            "the corpus is not that of the checkpoint (other shards): use that one, or "
            "--changed-corpus to resume with a new epoch of this one"
        )
    return False


class SamplePages:
    """Page ids of the samples of corpora; 0 without a page, and for samples of bare tars."""

    def __init__(self, paths: Sequence[Path]) -> None:
        tables = [self._read(path) for path in paths if is_corpus(path)]
        ids = np.concatenate([ids for ids, _ in tables]) if tables else np.zeros(0, np.int64)
        pages = np.concatenate([pages for _, pages in tables]) if tables else np.zeros(0, np.int64)
        # Two sorted arrays take 16 bytes a sample, much less than a dict of Python integers.
        order = np.argsort(ids)
        self._ids, self._pages = ids[order], pages[order]

    def page_ids(self, ids: Indices) -> Indices:
        """(N,) page ids of N samples, given by their `sample_ids`."""
        if not len(self._ids):
            return np.zeros(len(ids), np.int64)
        rows = np.searchsorted(self._ids, ids).clip(max=len(self._ids) - 1)
        return np.where(self._ids[rows] == ids, self._pages[rows], 0)

    def _read(self, corpus: Path) -> tuple[Indices, Indices]:
        ids, pages = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for shard in load_manifest(corpus).shards:
            path = corpus_file(corpus, METADATA, shard.metadata.name)
            for batch in read_batches(path, _PAGE_COLUMNS) if path.is_file() else ():
                ids.append(sample_ids(batch["key"].to_pylist()))
                urls = batch["page_url"].to_pylist()
                pages.append(np.array([page_id(url) for url in urls], np.int64))
        return np.concatenate(ids), np.concatenate(pages)


def sample_ids(keys: Sequence[str]) -> Indices:
    """64 bits of the hash of each key. A collision among a million keys has a chance below 1e-7."""
    return np.array([_first_64_bits(key) for key in keys], np.int64)


def page_id(url: str) -> int:
    """64 bits of the hash of a page's URL, 0 for an empty URL."""
    return _first_64_bits(url) if url else 0


def _first_64_bits(text: str) -> int:
    return int.from_bytes(
        hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "little", signed=True
    )
