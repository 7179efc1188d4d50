"""Checkpoints: tensors in safetensors, the rest in JSON, whole or not there. Nothing in them can be code.

    checkpoints/step-00000120/
      model.safetensors       both towers that learn, by parameter name
      momentum.safetensors    the averaged parameters of the key towers (brivl)
      queues.safetensors      image, text, ids, pages
      optimizer.safetensors   NAME.exp_avg, NAME.exp_avg_sq, NAME.step
      tokenizer.json
      state.json              step, place, counters, config, corpus; sizes and SHA-256 of the files above; written last

A folder gets its name by one rename once all of it is on the disk.
"""

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
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
from wenlan_data.files import PARTIAL, sync, write_synced
from wenlan_data.model.towers import Towers
from wenlan_data.settings import describe

FOLDER = "checkpoints"
STATE = "state.json"
TOKENIZER = "tokenizer.json"
FILES = ("model", "momentum", "queues", "optimizer")
MAX_STATE_BYTES = 1 << 26
_NAME = re.compile(r"step-(\d{8})")
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileMark(_Part):
    """A file beside `state.json`."""

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ShardMark(BaseModel):
    """One shard, as the checkpoint remembers it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    bytes: int
    sha256: str
    """Of a corpus, by its manifest; empty for a tar that stands alone."""


class CorpusMark(BaseModel):
    """What a run was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    digest: str
    """SHA-256 over the manifests, or over names and sizes of tars that stand alone."""
    shards: list[ShardMark]


class State(_Part):
    """Everything of a run that is no tensor. The same on any number of ranks."""

    format: Literal["wenlan-checkpoint"] = "wenlan-checkpoint"
    format_version: Literal[1] = 1
    code_version: str
    step: Count
    """Steps done, skipped ones too."""
    epoch: Count
    position: Count
    """Global batches of the epoch that were used."""
    samples: Count
    queue_fill: Count
    queue_pointer: Count
    skipped: Count
    """Steps left out because something was not finite."""
    skipped_in_a_row: Count
    seed: Count
    """All randomness is a function of it and of step, micro-step and rank, or of epoch and sample."""
    config: dict[str, object]
    config_digest: str
    text_encoder: dict[str, object]
    """The configuration of the text encoder, so that it can be made again without looking for it."""
    corpus: CorpusMark
    metrics: dict[str, float]
    """Of the validation at this step, if there was one."""
    files: dict[Literal["model.safetensors", "momentum.safetensors", "queues.safetensors", "optimizer.safetensors",
                        "tokenizer.json"], FileMark] = {}  # fmt: skip


class Checkpoint(BaseModel):
    """What a folder holds."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)
    path: Path
    state: State
    tensors: dict[str, dict[str, Tensor]]
    """By file name without its suffix, then by tensor name."""


def save_checkpoint(
    run: Path, state: State, tensors: Mapping[str, Mapping[str, Tensor]], tokenizer: bytes
) -> Path:
    """Write all of it under a hidden name, flush, rename. An equal step that is there is replaced.

    Raises `DiskError` or `UsageError` where it cannot be written; what was there before stays as it was.
    """
    target = run / FOLDER / f"step-{state.step:08d}"
    partial = target.with_name(f".{target.name}{PARTIAL}")
    with os_errors(partial):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _write_all(partial, state, tensors, tokenizer)
            _rename(partial, target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if error.errno == errno.EIO:
                raise DiskError(
                    f"{partial}: {error.strerror}: the disk fails: --resume auto goes on elsewhere"
                ) from error
            raise
    return target


def load_checkpoint(path: Path, only: tuple[str, ...] = FILES) -> Checkpoint:
    """Read a folder, every file held against its recorded size and hash before any of it is used.

    Raises `DamageError` naming the file; other formats than ours are not read at all.
    """
    state = load_state(path)
    found: dict[str, dict[str, Tensor]] = {}
    for name, mark in state.files.items():
        stem = name.partition(".")[0]
        if name == TOKENIZER or stem in only:
            _check(path / name, mark)
        if name != TOKENIZER and stem in only:
            found[stem] = _read_tensors(path / name)
    return Checkpoint(path=path, state=state, tensors=found)


def load_state(path: Path) -> State:
    """`state.json` of a folder; raises `DamageError` where it is missing, too long, or not what we write."""
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
        return State.model_validate(value)
    except ValidationError as error:
        raise DamageError(f"{file}: {describe(error)}: take an older checkpoint") from error


def checkpoints(run: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())


def set_aside(path: Path) -> Path:
    """Give a checkpoint that cannot be used a name that is none of a checkpoint, `step-NNNNNNNN.unusable`; its path."""
    aside = path.with_name(f"{path.name}.unusable")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.unusable-{number}")
    with os_errors(path):
        path.rename(aside)
    return aside


def step_of(path: Path) -> int:
    """The step in a checkpoint's name."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def prune(run: Path, keep: int, best: Path | None) -> None:
    """Remove all but the newest `keep` and the best one, and what killed runs left unfinished."""
    for path in checkpoints(run)[:-keep]:
        if path != best:
            # Renamed first: a folder that is half removed must not look like a checkpoint.
            gone = path.with_name(f".{path.name}.removed")
            shutil.rmtree(gone, ignore_errors=True)
            path.rename(gone)
    for left in (run / FOLDER).glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)


def _write_all(
    partial: Path, state: State, tensors: Mapping[str, Mapping[str, Tensor]], tokenizer: bytes
) -> None:
    marks: dict[str, FileMark] = {}
    for stem, named in tensors.items():
        data = save({name: value.detach().cpu().contiguous() for name, value in named.items()})
        marks[f"{stem}.safetensors"] = _write(partial / f"{stem}.safetensors", data)
    marks[TOKENIZER] = _write(partial / TOKENIZER, tokenizer)
    whole = State.model_validate(
        {**state.model_dump(), "files": {name: mark.model_dump() for name, mark in marks.items()}}
    )
    _write(
        partial / STATE,
        json.dumps(whole.model_dump(mode="json"), ensure_ascii=False, indent=1).encode() + b"\n",
    )
    sync(partial)


def _write(path: Path, data: bytes) -> FileMark:
    write_synced(path, data)
    return FileMark(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _rename(partial: Path, target: Path) -> None:
    if target.exists():
        old = target.with_name(f".{target.name}.removed")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        partial.rename(target)
    sync(target.parent)


def _check(path: Path, mark: FileMark) -> None:
    try:
        size = path.stat().st_size
        if size != mark.bytes:
            raise DamageError(
                f"{path}: {size} bytes, and {mark.bytes} were written: take an older checkpoint"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DamageError(f"{path}: {error.strerror}: take an older checkpoint") from error
    if digest != mark.sha256:
        raise DamageError(
            f"{path}: not the bytes that were written (SHA-256 differs): take an older checkpoint"
        )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DamageError(
            f"{path}: not a safetensors file ({error}): take an older checkpoint"
        ) from error


def best_checkpoint(run: Path, metric: str, say: Callable[[str], None] = print_line) -> Path | None:
    """The checkpoint with the highest `metric`, the earliest of equals; None where none was validated.

    One whose state cannot be read is said and is not the best.
    """
    scored = [(state.metrics.get(metric), path) for path, state in _states(run, say)]
    known = [(value, path) for value, path in scored if value is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def checkpoint_path(given: Path, say: Callable[[str], None] = print_line) -> Path:
    """A checkpoint's folder, or of a run the best one, or its newest where none was validated.

    Says which states cannot be read. Raises `UsageError` where there is none, `DamageError` where no state can be.
    """
    if (given / "state.json").is_file():
        return given
    found = checkpoints(given)
    if not found:
        raise UsageError(
            f"{given}: no checkpoint here: give a run, or a folder such as {FOLDER}/step-00000100"
        )
    states = dict(_states(given, say))
    if not states:
        raise DamageError(f"{given / FOLDER}: no checkpoint is sound: restore one from a copy")
    newest = max(states)
    metric = str(states[newest].config.get("validation", {}).get("metric", ""))  # type: ignore[attr-defined]
    return best_checkpoint(given, metric, lambda _: None) or newest


def _states(run: Path, say: Callable[[str], None]) -> Iterator[tuple[Path, State]]:
    for path in checkpoints(run):
        try:
            yield path, load_state(path)
        except DamageError as error:
            say(f"{error} (passed over)")


def load_towers(towers: Towers, checkpoint: Checkpoint) -> None:
    """Fill the towers with those of a checkpoint."""
    given, wanted = checkpoint.tensors["model"], model_tensors(towers)
    wrong = [
        name for name in wanted if name not in given or given[name].shape != wanted[name].shape
    ]
    if wrong or set(given) - set(wanted):
        odd = (wrong + sorted(set(given) - set(wanted)))[0]
        raise RecipeError(
            f"{checkpoint.path}: made with another config (see {odd}): give the config that made it"
        )
    towers.load_state_dict(given, strict=False)


def model_tensors(towers: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return cast("dict[str, Tensor]", dict(towers.state_dict()))
