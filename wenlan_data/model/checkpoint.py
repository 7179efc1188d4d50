"""Checkpoints: tensors as safetensors, the rest as JSON. None of it can run code when it is loaded.

    checkpoints/step-00000120/
      model.safetensors       parameters and buffers of the towers, by name
      momentum.safetensors    averaged parameters and buffers of the momentum towers (brivl)
      queues.safetensors      image, text, ids, pages
      optimizer.safetensors   NAME.exp_avg, NAME.exp_avg_sq, NAME.step
      ema.safetensors         averaged parameters, which are evaluated (with ema.decay)
      tokenizer.json
      shards.parquet          name, bytes and SHA-256 of each shard of the corpus
      state.json              step, position, counters, config, corpus; size and SHA-256 of the
                              files above, and the SHA-256 of all these values; written last

A folder gets its name by one rename once all of it is on the disk, so it is complete or absent.
A checkpoint may come from a stranger: `state.json` is bounded in size, and headers of tensors are
compared with the config before a tensor is read or a tower is made.
"""

import errno
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from torch import Tensor, nn

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import (
    DamageError,
    DiskError,
    UsageError,
    from_os_error,
    in_short,
    os_errors,
    print_line,
    retry_once,
)
from wenlan_data.files import (
    exchange,
    open_regular,
    partial_path,
    read_bounded,
    sha256_of,
    sync,
    write_synced,
)
from wenlan_data.model.checkpoint_tensors import CheckpointTensors
from wenlan_data.model.config import MAX_STEPS, TrainConfig
from wenlan_data.model.sharded_tensor import copy_whole
from wenlan_data.model.tensor_file import (
    TensorReader,
    write_tensors,
)
from wenlan_data.model.towers import Towers, make_towers
from wenlan_data.settings import describe

FOLDER = "checkpoints"
STATE = "state.json"
TOKENIZER = "tokenizer.json"
SHARDS = "shards.parquet"
EMA = "ema"
FILES = ("model", "momentum", "queues", "optimizer", EMA)
"""Names of the safetensors files, without their suffix."""
MAX_STATE_BYTES = 1 << 24
"""Some 10 kB are usual. Format versions 1 and 2 listed the shards here, up to about 130,000."""
DIGEST = "state_sha256"
_ALWAYS = ("model.safetensors", "optimizer.safetensors", TOKENIZER)
_REPLACED = ".replaced"
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL}
"""Errors that say what is at a path. EINVAL is that of `open_regular`."""
_NAME = re.compile(r"step-(\d{8})")
Count = Annotated[int, Field(ge=0, le=2**53)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileMark(_StrictModel):
    """Size and hash of a file beside `state.json`."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ShardMark(NamedTuple):
    """A shard that a run was trained on: a row of `shards.parquet`."""

    name: str
    bytes: int
    sha256: str
    """From the manifest of a corpus; empty for a tar that is part of none."""


def shards_digest(shards: Iterable[ShardMark]) -> str:
    """SHA-256 over names, sizes and digests of shards, in their order."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(json.dumps(shard, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


class _ListedShard(_StrictModel):
    name: str
    bytes: int
    sha256: str


_LISTED = TypeAdapter(list[_ListedShard])


class CorpusMark(_StrictModel):
    """The corpus that a run was trained on."""

    digest: str
    """SHA-256 over the manifests, or over names and sizes of tars that are part of no corpus."""
    shards: Count
    """The number of shards."""
    shards_sha256: str
    """`shards_digest`: of a corpus that has grown, that of the first shards is still the same."""

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        """Takes the list of shards of format versions 1 and 2."""
        if not isinstance(value, dict) or not isinstance(value.get("shards"), list):
            return value
        shards = [ShardMark(**one.model_dump()) for one in _LISTED.validate_python(value["shards"])]
        return {**value, "shards": len(shards), "shards_sha256": shards_digest(shards)}


class CheckpointState(_StrictModel):
    """Contents of `state.json`: all of a run but tensors. The same on any number of ranks."""

    format: Literal["wenlan-checkpoint"] = "wenlan-checkpoint"
    format_version: Literal[1, 2, 3] = 3
    """1 had no `state_sha256`. 1 and 2 listed the shards in `corpus`, and had no
    `shards.parquet`."""
    code_version: str
    step: Annotated[int, Field(ge=0, le=MAX_STEPS)]
    """Steps done, skipped ones included."""
    epoch: Count
    position: Count
    """Samples of the epoch that were used; global micro-batches in `order_version` 1."""
    order_version: Count = 1
    """`load.shuffle.ORDER_VERSION` of the run: what `epoch` and `position` refer to."""
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
                        "ema.safetensors", "tokenizer.json", "shards.parquet"], FileMark] = {}  # fmt: skip
    state_sha256: str = ""
    """`state_digest` of the file."""


def _open_tensors(path: Path, stems: tuple[str, ...]) -> CheckpointTensors:
    """Reads the headers of the tensor files."""
    readers: dict[str, TensorReader] = {}
    for stem in stems:
        with _corrupt_files(path, stem) as file:
            readers[stem] = TensorReader(file)

    def read(stem: str, name: str) -> Tensor:
        with _corrupt_files(path, stem):
            return readers[stem].read(name)

    specs = {stem: reader.specs for stem, reader in readers.items()}
    return CheckpointTensors(path, specs, read)


@contextmanager
def _corrupt_files(path: Path, stem: str) -> Iterator[Path]:
    """Yields the path of a tensor file; converts errors of reading it."""
    file = path / f"{stem}.safetensors"
    with _missing_files(file, "take an older checkpoint"):
        try:
            yield file
        except ValueError as error:
            reason = in_short(error)
            raise DamageError(
                f"{file}: not a safetensors file ({reason}): take an older checkpoint"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose files were checked."""

    path: Path
    state: CheckpointState
    tensors: CheckpointTensors


def save_checkpoint(
    run: Path,
    state: CheckpointState,
    tensors: Mapping[str, Mapping[str, Tensor]],
    others: Mapping[str, bytes],
) -> Path:
    """Writes all files to a hidden folder, syncs and renames it; replaces one of the same step.

    `others` are the contents of `tokenizer.json` and `shards.parquet`, by name. Raises `DiskError`
    or `UsageError` where it cannot be written. Earlier checkpoints stay intact.
    """
    target = run / FOLDER / f"step-{state.step:08d}"
    partial = partial_path(target)
    with os_errors(partial):
        partial.mkdir(parents=True)
        try:
            _write_files(partial, state, tensors, others)
            _publish(partial, target)
        except OSError as error:
            if error.errno == errno.EIO:
                raise DiskError(
                    f"{partial}: {error.strerror}: the disk fails: "
                    "copy the run to another one and use --resume auto"
                ) from error
            raise
        finally:
            # Where it was published, nothing has this name, or the checkpoint that it replaced.
            shutil.rmtree(partial, ignore_errors=True)
    return target


def load_checkpoint(path: Path, only: tuple[str, ...] = (*FILES, "shards")) -> Checkpoint:
    """Checks sizes and hashes of a checkpoint, or of some of its files, and reads the headers of
    those with tensors.

    Raises `DamageError` naming a file that is missing or corrupt, and other errors as `load_state`
    does. Files of other formats are not read at all.
    """
    state = load_state(path)
    return retry_once(lambda: _check_files(path, state, only))


def _check_files(path: Path, state: CheckpointState, only: tuple[str, ...]) -> Checkpoint:
    missing = [name for name in _ALWAYS if name not in state.files]
    if missing:
        raise DamageError(f"{path / STATE}: does not list {missing[0]}: take an older checkpoint")
    for name, mark in state.files.items():
        if name == TOKENIZER or name.partition(".")[0] in only:
            _check_file(path / name, mark)
    stems = tuple(stem for stem in FILES if stem in only and f"{stem}.safetensors" in state.files)
    return Checkpoint(path=path, state=state, tensors=_open_tensors(path, stems))


def load_state(path: Path) -> CheckpointState:
    """Reads `state.json`; raises `DamageError` where it is missing, too large, invalid or changed
    since it was written. Checkpoints of format version 1 hold nothing to notice a change by.

    Where the device, rights or a lack of descriptors keep it from being read, it may be intact:
    raises by `from_os_error` then.
    """
    file = path / STATE
    with _missing_files(file, "this is no checkpoint of wenlan-data"):
        data = retry_once(lambda: read_bounded(file, MAX_STATE_BYTES))
    try:
        value = parse_json(data, max_bytes=MAX_STATE_BYTES)
    except ValueError as error:
        raise DamageError(f"{file}: not valid JSON: take an older checkpoint") from error
    try:
        state = CheckpointState.model_validate(value)
    except ValidationError as error:
        raise DamageError(f"{file}: {describe(error)}: take an older checkpoint") from error
    has_digest = state.format_version > 1 or bool(state.state_sha256)
    if has_digest and state.state_sha256 != state_digest(cast("Mapping[str, object]", value)):
        raise DamageError(
            f"{file}: changed since it was written (SHA-256 differs): take an older checkpoint"
        )
    return state


def state_digest(state: Mapping[str, object]) -> str:
    """SHA-256 of the values of a `state.json` without its own digest, whatever their layout."""
    values = {key: value for key, value in state.items() if key != DIGEST}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def checkpoint_towers(checkpoint: Checkpoint, config: TrainConfig, vocabulary: int) -> Towers:
    """Makes the towers of a checkpoint and fills them, with averaged weights where it holds some.

    Raises as `check_towers` does.
    """
    check_towers(checkpoint, config, vocabulary)
    towers = make_towers(config, vocabulary, checkpoint.state.text_encoder)
    load_towers(towers, checkpoint)
    if EMA in checkpoint.tensors:
        trained = {name: one for name, one in towers.named_parameters() if one.requires_grad}
        checkpoint.tensors.check(EMA, trained)
        towers.load_state_dict(checkpoint.tensors[EMA], strict=False)
    return towers


def check_towers(checkpoint: Checkpoint, config: TrainConfig, vocabulary: int) -> None:
    """Raises `RecipeError` where the tensors of a checkpoint are not those of its config and text
    encoder, `UsageError` where no such towers can be made.

    Takes no memory for tensors, so that it bounds the towers by the size of the checkpoint.
    """
    with torch.device("meta"):
        towers = make_towers(config, vocabulary, checkpoint.state.text_encoder)
    checkpoint.tensors.check("model", model_tensors(towers))


def load_towers(towers: Towers, checkpoint: Checkpoint) -> None:
    """Fills the towers; raises `RecipeError` where the checkpoint was made with another config."""
    own = model_tensors(towers)
    checkpoint.tensors.check("model", own)
    given = checkpoint.tensors["model"]
    for name, tensor in own.items():
        copy_whole(tensor, given[name])


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
    known = [(score, path) for score, path in scores if score is not None and math.isfinite(score)]
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
    validation = states[newest].config.get("validation")
    metric = str(validation.get("metric")) if isinstance(validation, dict) else ""
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


def restore_replaced(run: Path) -> None:
    """Gives back the name of a checkpoint that a killed run was replacing.

    Only where the file system cannot exchange two folders in one call; see `_publish`.
    """
    for old in (run / FOLDER).glob(f".step-*{_REPLACED}"):
        target = old.with_name(old.name.removeprefix(".").removesuffix(_REPLACED))
        if not target.exists():
            # Another rank may have done it, and a folder that is only read stays as it is.
            with suppress(OSError):
                old.rename(target)


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
    others: Mapping[str, bytes],
) -> None:
    marks: dict[str, FileMark] = {}
    for stem, named in tensors.items():
        file = partial / f"{stem}.safetensors"
        write_tensors(file, named)
        marks[file.name] = FileMark(bytes=file.stat().st_size, sha256=sha256_of(file))
    for name, data in others.items():
        write_synced(partial / name, data)
        marks[name] = FileMark(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    values = state.model_copy(update={"files": marks}).model_dump(mode="json")
    values[DIGEST] = state_digest(values)
    text = json.dumps(values, ensure_ascii=False, indent=1)
    write_synced(partial / STATE, text.encode() + b"\n")
    sync(partial)


def _publish(partial: Path, target: Path) -> None:
    # rename(2) does not replace a folder that is not empty. An exchange never leaves the step
    # without a checkpoint; where there is none, `restore_replaced` ends what a kill interrupted.
    old = target.with_name(f".{target.name}{_REPLACED}")
    if not target.exists():
        partial.rename(target)
    elif not exchange(partial, target):
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        partial.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _check_file(path: Path, mark: FileMark) -> None:
    with _missing_files(path, "take an older checkpoint"), open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != mark.bytes:
            raise DamageError(
                f"{path}: {size} bytes instead of {mark.bytes}: take an older checkpoint"
            )
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != mark.sha256:
        raise DamageError(f"{path}: corrupt (SHA-256 differs): take an older checkpoint")


@contextmanager
def _missing_files(path: Path, remedy: str) -> Iterator[None]:
    """Converts an `OSError` of reading a file: to `DamageError` where it is missing or no file, else
    by `from_os_error`, since the file may be intact."""
    try:
        yield
    except OSError as error:
        if error.errno in _MISSING:
            raise DamageError(f"{path}: {error.strerror}: {remedy}") from error
        raise from_os_error(error, path) from error


def _states(run: Path, message: Callable[[str], None]) -> Iterator[tuple[Path, CheckpointState]]:
    for path in list_checkpoints(run):
        try:
            yield path, load_state(path)
        except DamageError as error:
            message(f"{error} (skipped)")
