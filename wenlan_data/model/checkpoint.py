"""Checkpoints: tensors as safetensors, the rest as JSON. None of it can run code when it is loaded.

    checkpoints/step-00000120/
      model.safetensors       parameters and buffers of the towers, by name
      momentum.safetensors    averaged parameters and buffers of the momentum towers (brivl)
      queues.safetensors      image, text, ids, pages
      optimizer.safetensors   NAME.exp_avg, NAME.exp_avg_sq, NAME.step
      tokenizer.json
      state.json              step, position, counters, config, corpus; size and SHA-256 of the
                              files above; written last

A folder gets its name by one rename once all of it is on the disk, so it is complete or absent.
"""

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from wenlan_data.errors import (
    DamageError,
    DiskError,
    RecipeError,
    UsageError,
    os_errors,
    print_line,
)
from wenlan_data.files import partial_path, sha256_of, sync, write_synced
from wenlan_data.model.towers import Towers
from wenlan_data.settings import describe

FOLDER = "checkpoints"
STATE = "state.json"
TOKENIZER = "tokenizer.json"
FILES = ("model", "momentum", "queues", "optimizer")
"""Names of the safetensors files, without their suffix."""
MAX_STATE_BYTES = 1 << 26
_NAME = re.compile(r"step-(\d{8})")
Count = Annotated[int, Field(ge=0)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileMark(_StrictModel):
    """Size and hash of a file beside `state.json`."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ShardMark(_StrictModel):
    """A shard that a run was trained on."""

    name: str
    bytes: int
    sha256: str
    """From the manifest of a corpus; empty for a tar that is part of none."""


class CorpusMark(_StrictModel):
    """The corpus that a run was trained on."""

    digest: str
    """SHA-256 over the manifests, or over names and sizes of tars that are part of no corpus."""
    shards: list[ShardMark]


class CheckpointState(_StrictModel):
    """Contents of `state.json`: all of a run but tensors. The same on any number of ranks."""

    format: Literal["wenlan-checkpoint"] = "wenlan-checkpoint"
    format_version: Literal[1] = 1
    code_version: str
    step: Count
    """Steps done, skipped ones included."""
    epoch: Count
    position: Count
    """Global micro-batches of the epoch that were used."""
    samples: Count
    queue_fill: Count
    queue_pointer: Count
    skipped: Count
    """Steps whose loss or gradients were not finite."""
    skipped_in_a_row: Count
    seed: Count
    """All randomness is a function of the seed with step, micro-step and rank, or with epoch and
    sample, so there is no generator state."""
    config: dict[str, object]
    config_digest: str
    text_encoder: dict[str, object]
    """The configuration of the text encoder, from which it is made again without its weights."""
    corpus: CorpusMark
    metrics: dict[str, float]
    """Of the validation at this step; empty without one."""
    files: dict[Literal["model.safetensors", "momentum.safetensors", "queues.safetensors", "optimizer.safetensors",
                        "tokenizer.json"], FileMark] = {}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was read."""

    path: Path
    state: CheckpointState
    tensors: dict[str, dict[str, Tensor]]
    """By file name without its suffix, then by tensor name."""


def save_checkpoint(
    run: Path,
    state: CheckpointState,
    tensors: Mapping[str, Mapping[str, Tensor]],
    tokenizer: bytes,
) -> Path:
    """Writes all files to a hidden folder, syncs and renames it; replaces one of the same step.

    Raises `DiskError` or `UsageError` where it cannot be written. Earlier checkpoints stay intact.
    """
    target = run / FOLDER / f"step-{state.step:08d}"
    partial = partial_path(target)
    with os_errors(partial):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _write_files(partial, state, tensors, tokenizer)
            _publish(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if error.errno == errno.EIO:
                raise DiskError(
                    f"{partial}: {error.strerror}: the disk fails: "
                    "copy the run to another one and use --resume auto"
                ) from error
            raise
    return target


def load_checkpoint(path: Path, only: tuple[str, ...] = FILES) -> Checkpoint:
    """Reads a checkpoint, or some of its `FILES`, after checking sizes and hashes.

    Raises `DamageError` naming a file that is missing or corrupt. Files of other formats are not
    read at all.
    """
    state = load_state(path)
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, mark in state.files.items():
        stem = name.partition(".")[0]
        if name == TOKENIZER or stem in only:
            _check_file(path / name, mark)
        if name != TOKENIZER and stem in only:
            tensors[stem] = _read_tensors(path / name)
    return Checkpoint(path=path, state=state, tensors=tensors)


def load_state(path: Path) -> CheckpointState:
    """Reads `state.json`; raises `DamageError` where it is missing, too large or invalid."""
    file = path / STATE
    try:
        if file.stat().st_size > MAX_STATE_BYTES:
            raise DamageError(
                f"{file}: larger than {MAX_STATE_BYTES} bytes: not a state that this program wrote"
            )
        value = json.loads(file.read_bytes())
    except OSError as error:
        raise DamageError(
            f"{file}: {error.strerror}: this is no checkpoint of wenlan-data"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DamageError(f"{file}: not valid JSON: take an older checkpoint") from error
    try:
        return CheckpointState.model_validate(value)
    except ValidationError as error:
        raise DamageError(f"{file}: {describe(error)}: take an older checkpoint") from error


def load_towers(towers: Towers, checkpoint: Checkpoint) -> None:
    """Fills the towers; raises `RecipeError` where the checkpoint was made with another config."""
    given, expected = checkpoint.tensors["model"], model_tensors(towers)
    wrong = [
        name for name in expected if name not in given or given[name].shape != expected[name].shape
    ]
    different = wrong + sorted(set(given) - set(expected))
    if different:
        raise RecipeError(
            f"{checkpoint.path}: made with another config (see {different[0]}): "
            "use the config that made it"
        )
    towers.load_state_dict(given, strict=False)


def model_tensors(towers: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name."""
    return cast("dict[str, Tensor]", dict(towers.state_dict()))


def list_checkpoints(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def checkpoint_step(path: Path) -> int:
    """The step in a checkpoint's name; 0 for other names."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def best_checkpoint(
    run: Path, metric: str, message: Callable[[str], None] = print_line
) -> Path | None:
    """The checkpoint with the highest `metric`, the earliest of equals; None without validation.

    Reports and skips checkpoints whose state cannot be read.
    """
    scores = [(state.metrics.get(metric), path) for path, state in _states(run, message)]
    known = [(score, path) for score, path in scores if score is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def checkpoint_path(given: Path, message: Callable[[str], None] = print_line) -> Path:
    """The checkpoint itself, or of a run its best one, its newest where none was validated.

    Reports states that cannot be read. Raises `UsageError` where there is no checkpoint,
    `DamageError` where no state can be read.
    """
    if (given / STATE).is_file():
        return given
    if not list_checkpoints(given):
        raise UsageError(
            f"{given}: no checkpoint here: give a run, or a folder such as {FOLDER}/step-00000100"
        )
    states = dict(_states(given, message))
    if not states:
        raise DamageError(f"{given / FOLDER}: no checkpoint is intact: restore one from a copy")
    newest = max(states)
    validation = cast("dict[str, object]", states[newest].config.get("validation", {}))
    metric = str(validation.get("metric", ""))
    return best_checkpoint(given, metric, lambda _: None) or newest


def quarantine(path: Path) -> Path:
    """Renames a corrupt checkpoint to `step-NNNNNNNN.unusable`, which no run reads."""
    target = path.with_name(f"{path.name}.unusable")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.unusable-{number}")
    with os_errors(path):
        path.rename(target)
    return target


def prune(run: Path, keep: int, best: Path | None) -> None:
    """Removes all checkpoints but the newest `keep` and the best, and leftovers of killed runs."""
    for path in list_checkpoints(run)[:-keep]:
        if path != best:
            # Renamed first: a folder that is half removed must not look like a checkpoint.
            removed = path.with_name(f".{path.name}.removed")
            shutil.rmtree(removed, ignore_errors=True)
            path.rename(removed)
    for leftover in (run / FOLDER).glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_files(
    partial: Path,
    state: CheckpointState,
    tensors: Mapping[str, Mapping[str, Tensor]],
    tokenizer: bytes,
) -> None:
    marks: dict[str, FileMark] = {}
    for stem, named in tensors.items():
        data = save({name: value.detach().cpu().contiguous() for name, value in named.items()})
        marks[f"{stem}.safetensors"] = _write_file(partial / f"{stem}.safetensors", data)
    marks[TOKENIZER] = _write_file(partial / TOKENIZER, tokenizer)
    with_files = CheckpointState.model_validate(
        {**state.model_dump(), "files": {name: mark.model_dump() for name, mark in marks.items()}}
    )
    text = json.dumps(with_files.model_dump(mode="json"), ensure_ascii=False, indent=1)
    _write_file(partial / STATE, text.encode() + b"\n")
    sync(partial)


def _write_file(path: Path, data: bytes) -> FileMark:
    write_synced(path, data)
    return FileMark(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _publish(partial: Path, target: Path) -> None:
    if target.exists():
        # rename(2) does not replace a folder that is not empty.
        old = target.with_name(f".{target.name}.removed")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        partial.rename(target)
    sync(target.parent)


def _check_file(path: Path, mark: FileMark) -> None:
    try:
        size = path.stat().st_size
        if size != mark.bytes:
            raise DamageError(
                f"{path}: {size} bytes instead of {mark.bytes}: take an older checkpoint"
            )
        digest = sha256_of(path)
    except OSError as error:
        raise DamageError(f"{path}: {error.strerror}: take an older checkpoint") from error
    if digest != mark.sha256:
        raise DamageError(f"{path}: corrupt (SHA-256 differs): take an older checkpoint")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamageError(
            f"{path}: not a safetensors file ({error}): take an older checkpoint"
        ) from error


def _states(run: Path, message: Callable[[str], None]) -> Iterator[tuple[Path, CheckpointState]]:
    for path in list_checkpoints(run):
        try:
            yield path, load_state(path)
        except DamageError as error:
            message(f"{error} (skipped)")
