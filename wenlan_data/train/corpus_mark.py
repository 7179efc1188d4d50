"""The identity of the corpus that a run trains on, and that of each sample."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.bounded_tables import read_batches
from wenlan_data.errors import DamageError, RecipeError, UsageError, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.layout import MANIFEST
from wenlan_data.load.shard_index import find_shards
from wenlan_data.model.checkpoint import SHARDS, CorpusMark, ShardMark, shards_digest
from wenlan_data.npy import Indices
from wenlan_data.shard.manifest import MAX_BYTES, load_manifest
from wenlan_data.shard.reader import is_corpus, scan, shard_paths
from wenlan_data.shard.sample_index import first_64_bits

_SHARD_COLUMNS = pa.schema({"name": pa.string(), "bytes": pa.int64(), "sha256": pa.string()})
_BATCH_ROWS = 4096


class CorpusShards:
    """The shards of corpora, folders of tars and tars, in the order given. As a table, since there
    may be a million of them.

    With `skip_corrupt`, only those that the loader does not leave out; `note` gets a line for each
    of the others.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        skip_corrupt: bool = False,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        digest = hashlib.sha256()
        names, sizes, digests = list[str](), list[int](), list[str]()
        for path in paths:
            if is_corpus(path):
                with os_errors(path):
                    digest.update(read_bounded(path / MANIFEST, MAX_BYTES))
                found = [
                    ShardMark(one.name, one.bytes, one.sha256) for one in load_manifest(path).shards
                ]
                if skip_corrupt:
                    intact = {one.name for one in intact_shards([path], note)}
                    found = [one for one in found if one.name in intact]
                    digest.update("\n".join(one.name for one in found).encode())
            else:
                tars = intact_shards([path], note) if skip_corrupt else shard_paths([path])
                found = [ShardMark(tar.name, tar.stat().st_size, "") for tar in tars]
                digest.update("\n".join(f"{one.name} {one.bytes}" for one in found).encode())
            names += [one.name for one in found]
            sizes += [one.bytes for one in found]
            digests += [one.sha256 for one in found]
        columns = [pa.array(names), pa.array(sizes, pa.int64()), pa.array(digests)]
        self._table = pa.table(columns, schema=_SHARD_COLUMNS)
        self.mark = CorpusMark(
            digest=digest.hexdigest(), shards=len(names), shards_sha256=shards_digest(self)
        )

    def __iter__(self) -> Iterator[ShardMark]:
        return _shard_marks(self._table.to_batches(_BATCH_ROWS))

    def parquet(self) -> bytes:
        """The contents of a checkpoint's `shards.parquet`."""
        out = pa.BufferOutputStream()
        pq.write_table(self._table, out, compression="zstd")
        data: bytes = out.getvalue().to_pybytes()
        return data


def _shard_marks(batches: Iterable[pa.RecordBatch]) -> Iterator[ShardMark]:
    for batch in batches:
        yield from map(ShardMark, *(batch[name].to_pylist() for name in _SHARD_COLUMNS.names))


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
    checkpoint: Path, before: CorpusMark, now: CorpusShards, *, may_grow: bool, may_change: bool
) -> bool:
    """Returns True where the shards are those of the checkpoint, so that its epoch can be resumed.

    Returns False where they differ and that is permitted: a new epoch must start. A corpus has
    grown where all earlier shards come first and are unchanged. Raises `RecipeError` where the
    shards differ and that is not permitted.
    """
    if before.shards_sha256 == now.mark.shards_sha256:
        return True
    if may_change:
        return False
    grown = (
        before.shards < now.mark.shards
        and shards_digest(islice(now, before.shards)) == before.shards_sha256
    )
    if not grown:
        raise RecipeError(
            "the corpus is not that of the checkpoint "
            f"({_first_difference(checkpoint / SHARDS, now)}): use that one, or "
            "--changed-corpus to resume with a new epoch of this one"
        )
    if not may_grow:
        raise RecipeError(
            f"the corpus has grown since the checkpoint, from {before.shards} to "
            f"{now.mark.shards} shards: --grown-corpus resumes with a new epoch of all shards"
        )
    return False


def _first_difference(file: Path, now: CorpusShards) -> str:
    """The first shard that differs from the list in a checkpoint, where it has one."""
    if not file.is_file():
        return "other shards"
    before = _shard_marks(read_batches(file, _SHARD_COLUMNS, what="list of shards"))
    for number, (old, new) in enumerate(zip_longest(before, now), 1):
        if old != new:
            names = " instead of ".join(one.name if one else "nothing" for one in (new, old))
            what = "another file" if old and new and old.name == new.name else names
            return f"shard {number}: {what}"
    return "other shards"


def sample_ids(keys: Sequence[str]) -> Indices:
    """64 bits of the hash of each key. A collision among a million keys has a chance below 1e-7."""
    return np.array([first_64_bits(key) for key in keys], np.int64)
