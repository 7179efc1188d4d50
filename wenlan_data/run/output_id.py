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

from wenlan_data.errors import DamageError, UsageError, from_os_error, os_errors
from wenlan_data.files import PARTIAL, open_lock, open_regular, read_bounded, sync
from wenlan_data.layout import BUILD_ID, MANIFEST, PART_DROPS, WorkFolder
from wenlan_data.part_files import load_receipt
from wenlan_data.shard.manifest import DropsEntry, Generation, Manifest, load_manifest
from wenlan_data.state_files import load_state

_ID = re.compile(r"[0-9a-f]{32}")
_MAX_ID_BYTES, _MAX_LOCK_BYTES = 1 << 12, 20


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
    try:
        text = read_bounded(path, _MAX_ID_BYTES).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise from_os_error(error, path) from error
    except DamageError as error:
        raise DamageError(f"{error}: restore the file, or remove it") from error
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
        descriptor = open_lock(path)
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
    try:
        with open_regular(lock) as file:
            process = file.read(_MAX_LOCK_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""
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


def check_work_folder(out: Path, work: Path, option: str = "--work") -> None:
    """Raises an error unless the work folder is the one that `out` was built with, or a new one
    that fits a new output. `option` is the one that names it.

    Without ids, as in older builds, the work folder must hold what `out` published. Raises
    `UsageError`, and `DamageError` for a work folder that has lost its record.
    """
    here, record = read_output_id(out), load_build_record(work)
    if record is None:
        _check_new(out, work)
        if here or (out / MANIFEST).is_file():
            raise UsageError(
                f"{work}: the work folder of {out} is missing: give it by {option}, or build into "
                "a new --out"
            )
        return
    folder = WorkFolder(work)
    is_new = not (out / MANIFEST).is_file()
    is_begun = folder.generations.root.is_dir() or folder.crawls.is_dir()
    if (here and here != record.id) or (is_new and not here and record.id and is_begun):
        raise UsageError(
            f"{work}: this work folder belongs to another output than {out}: give the one that "
            f"{out} was built with by {option}, or choose a new folder for each"
        )
    if not is_new:
        _check_published(load_manifest(out), out, work, option)


def _check_new(out: Path, work: Path) -> None:
    """Raises an error where a work folder without a record holds anything that a build which was
    killed before it wrote the record does not leave."""
    folder = WorkFolder(work)
    if folder.generations.root.is_dir() and (folder.attempts.is_dir() or folder.crawls.is_dir()):
        raise DamageError(
            f"{folder.build}: is missing: restore it from a copy, or build into a new --out with a "
            "new --work"
        )
    with os_errors(work):
        is_new = not work.exists() or all(
            _is_of_start(path, out, folder) for path in work.iterdir()
        )
    if not is_new:
        raise UsageError(
            f"{work}: is neither empty nor a work folder of wenlan-data: choose a new folder for it"
        )


def _is_of_start(path: Path, out: Path, folder: WorkFolder) -> bool:
    """Whether a path in a work folder is the output, or what a start creates before the record."""
    if path == folder.lock:
        # A process id is all that a lock ever holds; a file with more is somebody else's.
        with open_regular(path) as file:
            held = file.read(_MAX_LOCK_BYTES + 1)
        return len(held) <= _MAX_LOCK_BYTES and not held.strip(b"0123456789")
    if path == folder.attempts:
        return path.is_dir() and not any(path.iterdir())
    partial = f".{folder.build.name}."
    return (
        (path.name.startswith(partial) and path.name.endswith(PARTIAL))
        or path == out / BUILD_ID
        or path.resolve() == out.resolve()
    )


def _check_published(manifest: Manifest, out: Path, work: Path, option: str) -> None:
    """Raises `UsageError` where the work folder does not hold every generation of `out`."""
    # Every one: copies of a corpus share its id, and two that have grown apart may hold the same
    # last generation. Receipts alone are read, 0.1 ms each.
    for number, one in enumerate(manifest.generations):
        tables = manifest.drops[number : number + 1]
        shards = range(one.first_shard, one.first_shard + one.shards)
        is_held = (
            one.generation == number
            and _holds_drops(work, one, tables[0] if tables else None)
            and all(
                _holds_shard(work, number, shard, manifest.shards[shard].sha256) for shard in shards
            )
        )
        if not is_held:
            raise UsageError(
                f"{work}: does not hold generation {one.generation} of {out}: give the work folder "
                f"that it was built with by {option}"
            )


def _holds_drops(work: Path, generation: Generation, table: DropsEntry | None) -> bool:
    receipt = load_receipt(WorkFolder(work).generations.part(generation.generation, "drops", 0))
    if receipt is None or receipt.get("rows_in") != generation.drops:
        return False
    # Receipts of older builds may lack sizes or the digest; `--from` reads such corpora.
    details, files = receipt.get("details"), receipt.get("files")
    file = files.get(PART_DROPS) if isinstance(files, dict) else None
    return table is None or (
        (not isinstance(file, dict) or file.get("bytes") == table.bytes)
        and (not isinstance(details, dict) or details.get("sha256") in (None, "", table.sha256))
    )


def _holds_shard(work: Path, generation: int, number: int, sha256: str) -> bool:
    receipt = load_receipt(WorkFolder(work).generations.part(generation, "shard", number))
    details = receipt.get("details") if receipt else None
    return isinstance(details, dict) and details.get("sha256", sha256) == sha256
