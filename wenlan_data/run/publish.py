"""Publishes a generation: every file under its final name, then the manifest by one rename."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from wenlan_data import __version__
from wenlan_data.files import partial_path, sync
from wenlan_data.image.hash import HASH_VERSION
from wenlan_data.plan import step_versions
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import Recipe
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.versions import library_versions
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


class Store(Protocol):
    """The role that publishing and reading go through."""

    def publish(self, source: Path, name: str) -> None:
        """Make the file `source` the object `name`, whole or not at all; again gives the same."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Bytes `start` to `start + length` of an object."""

    def names(self, prefix: str) -> list[str]:
        """The objects whose names begin with `prefix`, sorted."""


class FolderStore:
    """A corpus in a folder of this machine or of a shared file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, source: Path, name: str) -> None:
        """Link `source` (copy it, where links cannot be made), then rename."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = partial_path(target)
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            # Another file system, or one without hard links: then it is a copy, flushed before it gets its name.
            shutil.copyfile(source, temporary)
            sync(temporary)
        temporary.replace(target)
        # A rename between two links of one file leaves both: so it is when a killed build had published this one.
        temporary.unlink(missing_ok=True)
        sync(target.parent)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Bytes `start` to `start + length` of an object."""
        with (self.root / name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def names(self, prefix: str) -> list[str]:
        """The objects whose names begin with `prefix`, sorted."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(
            name
            for path in files
            if (name := path.relative_to(self.root).as_posix()).startswith(prefix)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The receipts of a generation whose every part is committed."""

    number: int
    extract: Mapping[int, Receipt]
    dedupe: Receipt
    shard: Mapping[int, Receipt]
    drops: Receipt
    pages: Mapping[str, int] = field(default_factory=dict)
    """Of crawled pages: outcome to count."""


def empty_manifest(recipe: Recipe) -> Manifest:
    """The manifest of a corpus without a generation."""
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
    done: Finished,
    sources: Sequence[Mapping[str, object]],
) -> Manifest:
    """Publish one generation; the new manifest. Done again after a crash it gives the same.

    Raises `DamageError` unless candidates = samples + drops.
    """
    store = FolderStore(out)
    shards, metadata = [], []
    for number, receipt in done.shard.items():
        shard, table = _publish_shard(
            store, ledger.part(done.number, "shard", number), number, receipt, done.number
        )
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
            "times": _times(manifest.times, done.number, metadata),
        }
    )
    grown.check_counts()
    save_manifest(out, grown)
    return grown


def _publish_shard(
    store: FolderStore, part: Path, number: int, receipt: Receipt, generation: int
) -> tuple[ShardEntry, FileEntry]:
    made = cast("dict[str, dict[str, object]]", receipt.details)
    name = str(made["name"])
    offsets = FileEntry.model_validate(made["offsets"])
    table = f"{number:06d}.parquet"
    store.publish(part / name, f"shards/{name}")
    store.publish(part / offsets.name, f"shards/{offsets.name}")
    store.publish(part / "metadata.parquet", f"metadata/{table}")
    shard = ShardEntry.model_validate(
        {
            **{key: made[key] for key in ("name", "bytes", "sha256", "samples")},
            "generation": generation,
            "offsets": offsets,
            "metadata": MetadataName(name=table),
        }
    )
    return shard, FileEntry.model_validate({"name": table, **made["metadata"]})


def _publish_drops(store: FolderStore, part: Path, done: Finished) -> DropsEntry:
    path = part / "drops.parquet"
    name = f"{done.number:06d}.parquet"
    store.publish(path, f"drops/{name}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DropsEntry(name=name, bytes=path.stat().st_size, sha256=digest, rows=done.drops.rows_in)


def _generation(manifest: Manifest, done: Finished) -> Generation:
    return Generation(
        generation=done.number,
        candidates=sum(receipt.rows_in for receipt in done.extract.values()),
        samples=sum(receipt.rows_out for receipt in done.shard.values()),
        drops=done.drops.rows_in,
        first_shard=len(manifest.shards),
        shards=len(done.shard),
    )


def _grow(funnel: Funnel, done: Finished) -> Funnel:
    dropped = {step: Counter(reasons) for step, reasons in funnel.dropped.items()}
    for step, reasons in cast("dict[str, dict[str, int]]", done.drops.details["dropped"]).items():
        dropped.setdefault(step, Counter()).update(reasons)
    rejected = Counter(funnel.rejected_texts)
    for receipt in done.extract.values():
        rejected.update(cast("dict[str, int]", receipt.details.get("rejected_texts", {})))
    return Funnel(
        candidates=funnel.candidates + sum(receipt.rows_in for receipt in done.extract.values()),
        samples=funnel.samples + sum(receipt.rows_out for receipt in done.shard.values()),
        dropped={step: dict(sorted(reasons.items())) for step, reasons in sorted(dropped.items())},
        known=funnel.known
        + sum(cast("int", receipt.details.get("known", 0)) for receipt in done.extract.values()),
        rejected_texts=dict(sorted(rejected.items())),
        pages=dict(sorted((Counter(funnel.pages) + Counter(done.pages)).items())),
        remarks=_remarks(funnel, done),
    )


def _remarks(funnel: Funnel, done: Finished) -> dict[str, dict[str, int]]:
    total = {kind: Counter(values) for kind, values in funnel.remarks.items()}
    for receipt in done.extract.values():
        for kind, values in cast(
            "dict[str, dict[str, int]]", receipt.details.get("remarks", {})
        ).items():
            total.setdefault(kind, Counter()).update(values)
    return {kind: dict(sorted(values.items())) for kind, values in sorted(total.items())}


def _times(times: Times, generation: int, metadata: Sequence[FileEntry]) -> Times:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Times(
        published=[*times.published, Published(generation=generation, at=at)],
        metadata=[*times.metadata, *metadata],
    )
