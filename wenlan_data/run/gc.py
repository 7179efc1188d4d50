"""Removes files that are not needed to read, extend or rebuild a corpus."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.files import PARTIAL
from wenlan_data.layout import (
    CANDIDATES,
    IMAGE_WARC,
    INDEX_FOLDER,
    LATER_REQUESTS,
    MANIFEST,
    PART_DROPS,
    PART_METADATA,
    STORED_JPEGS,
    WORK,
)
from wenlan_data.run.generations import GenerationPlan
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.output_id import check_work_folder
from wenlan_data.run.removal import check_removable, remove_file
from wenlan_data.run.steps import published_segments
from wenlan_data.shard.manifest import load_manifest


@dataclass(frozen=True, slots=True)
class RemovedFiles:
    """Files that were, or would be, removed; abandoned attempts are removed too and not counted."""

    files: int
    bytes: int
    """Disk space that is freed; a file with another hard link frees none."""


def collect(corpus: Path, work: Path, *, warcs: bool, dry_run: bool) -> RemovedFiles:
    """Removes attempts, and of published generations what neither growing nor `--from` reads.

    `warcs` removes the recorded responses as well. Nothing outside the two folders is removed, and
    no link is followed. Raises `UsageError` where there is no corpus, the work folder is not its
    own, a link is on the way, or a build is running.
    """
    if not (corpus / MANIFEST).is_file():
        raise UsageError(f"{corpus}: holds no {MANIFEST}: gc takes a corpus")
    if work.is_symlink() and work == corpus / WORK:
        raise UsageError(f"{work}: is a link: give the folder that it leads to by --work")
    if not work.is_dir():
        return RemovedFiles(0, 0)
    check_work_folder(corpus, work)
    published = len(load_manifest(corpus).generations)
    # Under the lock: workers of a running build write to the attempts, which are removed.
    with Ledger(work) as ledger:
        removable = [
            path for number in range(published) for path in _removable(ledger, number, warcs=warcs)
        ]
        removable += _merged_segments(ledger, published)
        removable += _partial_files(corpus, work)
        check_removable(removable, (work, corpus))
        states = [path.lstat() for path in removable]
        size = sum(one.st_size for one in states if one.st_nlink == 1)
        if not dry_run:
            for path in removable:
                remove_file(path, work if path.is_relative_to(work) else corpus)
            shutil.rmtree(ledger.folder.attempts, ignore_errors=True)
    return RemovedFiles(len(removable), size)


def remove_stored_jpegs(ledger: Ledger, published: Iterable[int]) -> None:
    """Removes the JPEGs that the fetch parts of these published generations made: shards hold them
    now."""
    for number in published:
        for path in ledger.tree.files(number, "fetch", STORED_JPEGS):
            remove_file(path, ledger.folder.root)


def _partial_files(corpus: Path, work: Path) -> list[Path]:
    """Returns what killed builds left half-written; older ones named such files `.tmp`."""
    # Manifest and descriptions lie in the corpus, shards and tables one level below, plans in the
    # generations of the work folder.
    patterns = (
        (corpus, f".*{PARTIAL}"),
        (corpus, f"*/.*{PARTIAL}"),
        (corpus, "*/.*.tmp"),
        (work, f".*{PARTIAL}"),
        (work, f"generations/*/.*{PARTIAL}"),
    )
    # A work folder inside the corpus is matched twice.
    found = {path for folder, pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if path.is_file())


def _merged_segments(ledger: Ledger, published: int) -> Iterator[Path]:
    """Yields the files of index segments that a later segment contains."""
    alive = set(published_segments(ledger, published))
    for number in range(published):
        index = ledger.part(number, "dedupe", 0) / INDEX_FOLDER
        if str(index) not in alive:
            yield from index.glob("*.npy")


def _removable(ledger: Ledger, number: int, *, warcs: bool) -> Iterator[Path]:
    # Only intermediate files of published generations. What stays is read later: raw candidates and
    # fetch results by `--from` and retries, ids and indexes by new generations.
    tree = ledger.tree
    for step, name in (
        ("fetch", STORED_JPEGS),
        ("fetch", LATER_REQUESTS),
        ("shard", "wenlan-*"),
        ("shard", PART_METADATA),
        ("slice", "slice-*.parquet"),
        ("dedupe", "shard-*.parquet"),
        ("drops", PART_DROPS),
        ("extract", CANDIDATES),
    ):
        yield from tree.files(number, step, name)
    if warcs:
        yield from tree.files(number, "fetch", IMAGE_WARC)
        plan = GenerationPlan.load(tree, number)
        crawled = (Path(one.part.path) for one in plan.entries if one.is_crawled) if plan else ()
        yield from (path for path in crawled if path.is_file())
