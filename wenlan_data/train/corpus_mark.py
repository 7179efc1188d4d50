"""The identity of the corpus that a run trains on, and that of each sample."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wenlan_data.errors import DamageError, RecipeError, UsageError, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.layout import MANIFEST
from wenlan_data.model.checkpoint import CorpusMark, ShardMark
from wenlan_data.npy import Indices
from wenlan_data.shard.manifest import MAX_BYTES, load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths
from wenlan_data.shard.sample_index import first_64_bits


def corpus_mark(paths: Sequence[Path]) -> CorpusMark:
    """Identifies the shards of corpora, folders of tars and tars, in the order given."""
    shards: list[ShardMark] = []
    digest = hashlib.sha256()
    for path in paths:
        if is_corpus(path):
            with os_errors(path):
                digest.update(read_bounded(path / MANIFEST, MAX_BYTES))
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
    """Checks that every shard exists and that the validation shards hold a sample.

    Runs before the first step, so that a wrong `--val-shards` does not end a run at its first
    validation. Raises `UsageError` or `DamageError`.
    """
    for tar in shard_paths([*shards, *val_shards]):
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


def sample_ids(keys: Sequence[str]) -> Indices:
    """64 bits of the hash of each key. A collision among a million keys has a chance below 1e-7."""
    return np.array([first_64_bits(key) for key in keys], np.int64)
