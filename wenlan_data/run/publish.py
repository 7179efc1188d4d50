"""Publishes a generation: every file under its final name, then the manifest by one rename."""

import glob
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wenlan_data import __version__
from wenlan_data.errors import os_errors
from wenlan_data.extract.step import ExtractDetails
from wenlan_data.files import PARTIAL, atomic_path, inner_folder, partial_path, sync
from wenlan_data.image.hash import HASH_VERSION
from wenlan_data.layout import DROPS, METADATA, PART_DROPS, SHARDS
from wenlan_data.part_files import checked
from wenlan_data.plan import step_versions
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import Recipe
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.versions import library_versions
from wenlan_data.shard.drops import DropsDetails
from wenlan_data.shard.manifest import (
    DropsEntry,
    FileEntry,
    Funnel,
    Generation,
    Manifest,
    MetadataName,
    Published,
    ShardEntry,
    Times,
    save_manifest,
)
from wenlan_data.shard.step import ShardDetails


class FolderStore:
    """A corpus in a folder of this machine or of a shared file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, source: Path, name: str) -> None:
        """Makes the file `source` the object `name`, atomically; a second call changes nothing.

        Links it (copies it, where links cannot be made), then renames. Raises `DamageError` where
        it is no longer what its part wrote.
        """
        source, target = checked(source), self.root / name
        inner_folder(self.root, str(Path(name).parent))
        # Of a build that was killed here: no other one publishes to this folder now.
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*{PARTIAL}"):
            leftover.unlink()
        partial = partial_path(target)
        try:
            # A link takes no space: the work folder keeps its files until `gc`.
            os.link(source, partial)
        except OSError:
            # The work folder is on another file system, or the file system has no hard links.
            with os_errors(target), atomic_path(target) as copy:
                shutil.copyfile(source, copy)
            return
        partial.replace(target)
        # Renaming one link of a file over another leaves both: the case when a killed build had
        # published this file already.
        partial.unlink(missing_ok=True)
        sync(target.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedGeneration:
    """Receipts of a generation all of whose parts are committed."""

    number: int
    extract: Mapping[int, Receipt[ExtractDetails]]
    shard: Mapping[int, Receipt[ShardDetails]]
    drops: Receipt[DropsDetails]
    pages: Mapping[str, int] = field(default_factory=dict)
    """Outcome to number of crawled pages."""
    sandbox: Sequence[str] = ()
    """What confined the decoders."""
    retried: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Step to reason to earlier drops of its candidates."""

    @property
    def candidates(self) -> int:
        """Number of candidates."""
        return sum(receipt.rows_in for receipt in self.extract.values())

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(receipt.rows_out for receipt in self.shard.values())


def empty_manifest(recipe: Recipe) -> Manifest:
    """Returns the manifest of a corpus without a generation."""
    return Manifest(
        code_version=__version__,
        step_versions=step_versions(),
        hash_version=HASH_VERSION,
        library_versions=library_versions(),
        recipe=recipe.resolved(),
        recipe_digest=recipe.digest(),
        sources=[],
        funnel=Funnel(),
        generations=[],
        shards=[],
        drops=[],
    )


def publish(
    out: Path,
    ledger: Ledger,
    manifest: Manifest,
    done: FinishedGeneration,
    sources: Sequence[Mapping[str, object]],
) -> Manifest:
    """Publishes one generation and returns the new manifest. Repeated after a crash it gives the
    same.

    Raises `DamageError` unless candidates = samples + drops.
    """
    store = FolderStore(out)
    # Names follow from numbers that no earlier generation used, so no file of the corpus changes.
    shards, metadata = [], []
    for number, receipt in done.shard.items():
        part = ledger.part(done.number, "shard", number)
        shard, table = _publish_shard(store, part, number, receipt.details, done.number)
        shards.append(shard)
        metadata.append(table)
    drops = _publish_drops(store, ledger.part(done.number, "drops", 0), done)
    grown = manifest.model_copy(
        update={
            "sources": [
                *manifest.sources,
                *(dict(one) for one in sources if one not in manifest.sources),
            ],
            "funnel": _grow(manifest.funnel, done),
            "generations": [*manifest.generations, _generation(manifest, done)],
            "shards": [*manifest.shards, *shards],
            "drops": [*manifest.drops, drops],
            "times": _times(manifest.times, done, metadata),
        }
    )
    # Before the manifest: a lost row must stop the publication, not be found by `shards verify`.
    grown.check_counts()
    # Last: until the manifest names them, the files above do not belong to the corpus.
    save_manifest(out, grown)
    return grown


def _publish_shard(
    store: FolderStore, part: Path, number: int, shard: ShardDetails, generation: int
) -> tuple[ShardEntry, FileEntry]:
    table = f"{number:06d}.parquet"
    store.publish(part / shard.name, f"{SHARDS}/{shard.name}")
    store.publish(part / shard.offsets.name, f"{SHARDS}/{shard.offsets.name}")
    store.publish(part / shard.metadata.name, f"{METADATA}/{table}")
    entry = ShardEntry(
        name=shard.name,
        bytes=shard.bytes,
        sha256=shard.sha256,
        samples=shard.samples,
        generation=generation,
        offsets=FileEntry.model_validate(asdict(shard.offsets)),
        metadata=MetadataName(name=table),
    )
    return entry, FileEntry(name=table, bytes=shard.metadata.bytes, sha256=shard.metadata.sha256)


def _publish_drops(store: FolderStore, part: Path, done: FinishedGeneration) -> DropsEntry:
    path = checked(part / PART_DROPS)
    name = f"{done.number:06d}.parquet"
    store.publish(path, f"{DROPS}/{name}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DropsEntry(name=name, bytes=path.stat().st_size, sha256=digest, rows=done.drops.rows_in)


def _generation(manifest: Manifest, done: FinishedGeneration) -> Generation:
    return Generation(
        generation=done.number,
        candidates=done.candidates,
        samples=done.samples,
        drops=done.drops.rows_in,
        first_shard=len(manifest.shards),
        shards=len(done.shard),
    )


def _grow(funnel: Funnel, done: FinishedGeneration) -> Funnel:
    extracted = [receipt.details for receipt in done.extract.values()]
    rejected = Counter(funnel.rejected_texts)
    for one in extracted:
        rejected.update(one.rejected_texts)
    return Funnel(
        candidates=funnel.candidates + done.candidates,
        samples=funnel.samples + done.samples,
        dropped=_added(funnel.dropped, [done.drops.details.dropped]),
        known=funnel.known + sum(one.known for one in extracted),
        rejected_texts=dict(sorted(rejected.items())),
        pages=dict(sorted((Counter(funnel.pages) + Counter(done.pages)).items())),
        remarks=_added(funnel.remarks, [one.remarks for one in extracted]),
        retried=_added(funnel.retried, [done.retried]),
    )


def _added(
    total: Mapping[str, Mapping[str, int]], more: Sequence[Mapping[str, Mapping[str, int]]]
) -> dict[str, dict[str, int]]:
    """Adds counts of two levels, sorted by both keys."""
    added = {outer: Counter(inner) for outer, inner in total.items()}
    for counts in more:
        for outer, inner in counts.items():
            added.setdefault(outer, Counter()).update(inner)
    return {outer: dict(sorted(inner.items())) for outer, inner in sorted(added.items())}


def _times(times: Times, done: FinishedGeneration, metadata: Sequence[FileEntry]) -> Times:
    # Times are kept apart, with the digests of the metadata tables, which hold `fetched_at`, and
    # with what the kernel of a machine offers: the rest of the manifest is equal for equal builds.
    at = datetime.now(UTC).isoformat(timespec="seconds")
    published = Published(generation=done.number, at=at, sandbox=list(done.sandbox))
    return Times(
        published=[*times.published, published],
        metadata=[*times.metadata, *metadata],
    )
