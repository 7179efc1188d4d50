"""Removes what a corpus does not need to be read, extended or rebuilt."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from wenlan_data.dedupe.step import INDEX, index_folders
from wenlan_data.errors import UsageError
from wenlan_data.fetch.jpeg_store import ENCODED
from wenlan_data.files import PARTIAL
from wenlan_data.run.generations import GenerationPlan
from wenlan_data.run.ledger import Ledger
from wenlan_data.shard.manifest import MANIFEST, load_manifest


@dataclass(frozen=True, slots=True)
class Removed:
    """What was, or would be, removed."""

    files: int
    bytes: int


def collect(corpus: Path, work: Path, *, warcs: bool, dry_run: bool) -> Removed:
    """Remove attempts, and of published generations what neither growing nor `--from` reads.

    Raises `UsageError` where there is no corpus, or a build is at work.
    """
    if not (corpus / MANIFEST).is_file():
        raise UsageError(f"{corpus}: holds no {MANIFEST}: gc takes a corpus")
    if not work.is_dir():
        return Removed(0, 0)
    published = len(load_manifest(corpus).generations)
    with Ledger(work) as ledger:
        doomed = [
            path for number in range(published) for path in _doomed(ledger, number, warcs=warcs)
        ]
        doomed += _held_elsewhere(ledger, published)
        doomed += _partial_files(corpus)
        size = sum(path.stat().st_size for path in doomed if path.stat().st_nlink == 1)
        if not dry_run:
            for path in doomed:
                path.unlink()
            shutil.rmtree(work / "attempts", ignore_errors=True)
    return Removed(len(doomed), size)


def forget_encoded(ledger: Ledger, published: range) -> None:
    """Remove the JPEGs that the fetch parts of these published generations made: they stand in the shards."""
    for number in published:
        for path in ledger.generation(number).glob(f"fetch/*/{ENCODED}"):
            path.unlink()


def _partial_files(corpus: Path) -> list[Path]:
    """Returns what killed builds left half-written; older ones named such files `.tmp`."""
    found = (path for pattern in (f".*{PARTIAL}", ".*.tmp") for path in corpus.glob(f"*/{pattern}"))
    return [path for path in found if path.is_file()]


def _held_elsewhere(ledger: Ledger, published: int) -> Iterator[Path]:
    """Files of indexes that a later generation's index holds as well."""
    receipts = [ledger.receipt(number, "dedupe", 0) for number in range(published)]
    held = [cast("int", receipt.details["holds"]) if receipt else 0 for receipt in receipts]
    parts = [ledger.part(number, "dedupe", 0) for number in range(published)]
    alive = set(index_folders(parts, held))
    for part in parts:
        if str(part / INDEX) not in alive:
            yield from (part / INDEX).glob("*.npy")


def _doomed(ledger: Ledger, number: int, *, warcs: bool) -> Iterator[Path]:
    folder = ledger.generation(number)
    yield from folder.glob(f"fetch/*/{ENCODED}")
    yield from folder.glob("shard/*/wenlan-*")
    yield from folder.glob("shard/*/metadata.parquet")
    yield from folder.glob("slice/*/slice-*.parquet")
    yield from folder.glob("dedupe/*/shard-*.parquet")
    yield from folder.glob("drops/*/drops.parquet")
    yield from folder.glob("extract/*/candidates.parquet")
    if warcs:
        yield from folder.glob("fetch/*/images.warc")
        plan = GenerationPlan.load(folder)
        crawled = (Path(entry.part.path) for entry in plan.entries if entry.pages) if plan else ()
        yield from (path for path in crawled if path.is_file())
