"""The random id that an output and its work folder share, and the lock of an output.

A corpus grows from the ids and hashes in its work folder. With another one it would lose images,
or publish them twice.
"""

import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import sync
from wenlan_data.layout import BUILD_ID, MANIFEST, RECEIPT, WorkFolder
from wenlan_data.part_files import redo_part
from wenlan_data.shard.manifest import Manifest, load_manifest
from wenlan_data.state_files import load_json, load_state

_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """Content of `build.json`: what the output of a work folder is made with."""

    recipe: dict[str, object]
    recipe_digest: str
    step_versions: dict[str, int]
    id: str = ""
    """Shared with the output; empty in work folders of older builds."""
    benchmark_parts: int | None = None
    """Parts of the step `against`; None in work folders of older builds."""


def load_build_record(work: Path) -> BuildRecord | None:
    """Returns what a work folder records; None where no build has begun in it."""
    path = WorkFolder(work).build
    remedy = "restore the file from a copy, or build into a new --out with a new --work"
    return load_state(path, BuildRecord, remedy)


def new_id() -> str:
    """Returns a new id of a work folder."""
    return uuid.uuid4().hex


def read_output_id(out: Path) -> str:
    """Returns the id of an output; empty where it has none."""
    path = out / BUILD_ID
    with os_errors(path):
        text = path.read_text("utf-8", "replace").strip() if path.is_file() else ""
    if text and not _ID.fullmatch(text):
        raise DamageError(f"{path}: not the id of a build: restore the file, or remove it")
    return text


@contextmanager
def locked_output(out: Path, work: Path) -> Iterator[None]:
    """Creates the output, and holds its lock. Raises `UsageError` where another build does."""
    path = out / BUILD_ID
    with os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        # Closed, and so unlocked, with the process: a killed build leaves no stale lock.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{out}: another build{_holder(work)} is running here: wait for it, or choose "
                "another --out"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holder(work: Path) -> str:
    lock = WorkFolder(work).lock
    process = lock.read_text("utf-8", "replace").strip() if lock.is_file() else ""
    return f" (process {process})" if process else ""


def write_output_id(out: Path, build_id: str) -> None:
    """Gives an output its id, if it has none. The caller holds its lock."""
    path = out / BUILD_ID
    if read_output_id(out) == build_id:
        return
    # In place, since a rename would take the lock away. Less than a disk sector is whole or absent.
    with os_errors(path), path.open("r+", encoding="utf-8") as file:
        file.truncate(0)
        file.write(f"{build_id}\n")
        file.flush()
        os.fsync(file.fileno())
        sync(out)


def check_work_folder(out: Path, work: Path) -> None:
    """Raises `UsageError` unless the work folder is the one that `out` was built with, or neither
    belongs to another.

    Without ids, as in older builds, the work folder must hold what `out` published last.
    """
    here, record = read_output_id(out), load_build_record(work)
    there = record.id if record else ""
    folder = WorkFolder(work)
    if here and here != there:
        raise UsageError(
            f"{out}: was built with another work folder than {work}: give that one by --work, or "
            "choose another --out"
        )
    if (out / MANIFEST).is_file():
        if record is not None:
            _check_published(load_manifest(out), out, work)
    elif there and not here and (folder.generations.root.is_dir() or folder.crawls.is_dir()):
        raise UsageError(
            f"{work}: this work folder belongs to another output than {out}: give that one by "
            "--out, or choose another --work"
        )


def _check_published(manifest: Manifest, out: Path, work: Path) -> None:
    """Raises `UsageError` where the work folder does not hold the last generation of `out`."""
    if not manifest.generations:
        return
    last = manifest.generations[-1]
    drops = _receipt(work, last.generation, "drops", 0)
    is_held = drops is not None and drops.get("rows_in") == last.drops
    for number in range(last.first_shard, last.first_shard + last.shards):
        shard = _receipt(work, last.generation, "shard", number)
        sha256 = manifest.shards[number].sha256
        # `--from` reads corpora of older versions, whose receipts may lack the digest.
        details = shard.get("details") if shard else None
        is_held &= isinstance(details, dict) and details.get("sha256", sha256) == sha256
    if not is_held:
        raise UsageError(
            f"{work}: does not hold generation {last.generation} of {out}: give the work folder "
            "that it was built with (--work, or --from-work for --from)"
        )


def _receipt(work: Path, generation: int, step: str, number: int) -> dict[str, Any] | None:
    folder = WorkFolder(work).generations.part(generation, step, number)
    value = load_json(folder / RECEIPT, redo_part(folder))
    return value if isinstance(value, dict) else None
