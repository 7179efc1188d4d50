"""The log of a run: a line a step on stderr, a progress bar on a terminal, TensorBoard, and
`log.jsonl`."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, BinaryIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard.writer import SummaryWriter

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import os_errors, print_line
from wenlan_data.files import atomic_path, inner_folder, open_regular
from wenlan_data.printable import printable
from wenlan_data.train.checkpoint_writer import SavedCheckpoint
from wenlan_data.train.epoch_record import EpochRecord
from wenlan_data.train.throughput import DeviceUse
from wenlan_data.train.validation import VALIDATION_RULE
from wenlan_data.train.wandb_run import WandbRun, start_wandb

LOG = "log.jsonl"
MAX_LINE_BYTES = 1 << 16
"""The line of a step has some 600 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What is logged of a step. The field names are keys of `log.jsonl`."""

    step: int
    epoch: int
    figures: dict[str, float]
    queue_fill: int
    queue_slots: int
    wait_s: float
    """Seconds that the slowest rank waited for data."""
    samples: int
    rate: float
    """The learning rate."""


class RunLog:
    """Writes the log on the main rank; does nothing on others. A context manager.

    `log.jsonl` holds one JSON object a line of steps, validation, checkpoint or epoch. A resumed
    run removes the entries after the step of its checkpoint: those steps are done again.
    """

    device_use: DeviceUse | None = None
    """Set once it is known; the figures of throughput are logged then."""

    def __init__(
        self, folder: Path, *, is_main: bool, step: int, max_steps: int, wandb: str = ""
    ) -> None:
        self._is_main = is_main
        self._max_steps = max_steps
        self._last_s = time.monotonic()
        self._log: IO[str] | None = None
        self._board: SummaryWriter | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._wandb: WandbRun | None = None
        if is_main:
            with os_errors(folder):
                _truncate_log(folder / LOG, step)
                self._log = (folder / LOG).open("a", encoding="utf-8", buffering=1)
                self._board = SummaryWriter(
                    str(inner_folder(folder, "tensorboard")), purge_step=step + 1
                )
            if wandb:
                self._wandb = start_wandb(wandb, folder)
            if sys.stderr.isatty():
                self._start_bar(step)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()
        if self._log:
            self._log.close()
        if self._board:
            self._board.close()
        if self._wandb:
            self._wandb.finish()

    def step(self, record: StepRecord) -> None:
        """Logs a step."""
        now = time.monotonic()
        took_s, self._last_s = now - self._last_s, now
        if not self._is_main:
            return
        per_second = record.samples / max(took_s, 1e-9)
        use = self.device_use.figures(per_second) if self.device_use else {}
        self._write(
            {"kind": "step", **asdict(record), "took_s": took_s, "samples_per_s": per_second, **use}
        )
        self._chart(
            record.step,
            {
                **record.figures,
                "rate": record.rate,
                "samples_per_s": per_second,
                "wait_s": record.wait_s,
                **use,
            },
        )
        self._print(_terminal_line(record, per_second, self._max_steps, use.get("mfu")))
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=record.step)

    def restart_clock(self) -> None:
        """Makes the time of the next step start now: what came before is no training, such as the
        start of the loader or a checkpoint."""
        self._last_s = time.monotonic()

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """Logs a validation. Its time does not count as time of the next step."""
        self.restart_clock()
        if self._is_main:
            rule = {"equal_texts": VALIDATION_RULE}
            self._write({"kind": "validation", "step": step, **rule, "metrics": metrics})
            self._chart(step, {f"validation/{name}": value for name, value in metrics.items()})
            shown = " ".join(f"{name} {value:.4f}" for name, value in sorted(metrics.items()))
            self._print(f"step {step}: validation (equal texts: {VALIDATION_RULE}) {shown}")

    def checkpoint(self, saved: SavedCheckpoint) -> None:
        """Logs a checkpoint that is on the disk."""
        if self._is_main:
            times = {"copy_s": saved.copy_s, "write_s": saved.write_s}
            self._write({"kind": "checkpoint", "step": saved.step, **times})
            self._print(
                f"saved {saved.path} (copied in {saved.copy_s:.2f} s, written in "
                f"{saved.write_s:.2f} s)"
            )

    def epoch(self, record: EpochRecord) -> None:
        """Logs the end of an epoch."""
        if self._is_main:
            self._write({"kind": "epoch", **asdict(record)})
            self._print(_epoch_line(record))

    def message(self, line: str) -> None:
        """Prints a line for the operator."""
        if self._is_main:
            self._print(line)

    def _start_bar(self, step: int) -> None:
        self._progress = Progress(
            TextColumn("train"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
        )
        self._task = self._progress.add_task("train", total=self._max_steps, completed=step)
        self._progress.start()

    def _write(self, value: dict[str, object]) -> None:
        if self._log:
            self._log.write(json.dumps(value) + "\n")

    def _chart(self, step: int, values: dict[str, float]) -> None:
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        if self._wandb:
            self._wandb.log({**values, "step": step})

    def _print(self, line: str) -> None:
        if self._progress:
            self._progress.console.print(printable(line), markup=False, highlight=False)
        else:
            print_line(line)


def read_log(folder: Path) -> Iterator[dict[str, object]]:
    """Yields the entries of `log.jsonl`; skips a line that a kill truncated, and any other that
    this program did not write."""
    path = folder / LOG
    if not path.is_file():
        return
    with open_regular(path) as file:
        for line in _lines(file):
            try:
                entry = parse_json(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and _is_entry(entry):
                yield entry


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yields the lines of a file but those longer than `MAX_LINE_BYTES`."""
    is_whole = True
    while piece := file.readline(MAX_LINE_BYTES):
        ends = piece.endswith(b"\n")
        if is_whole and (ends or len(piece) < MAX_LINE_BYTES):
            yield piece
        is_whole = ends


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
        return False
    if entry.get("kind") == "validation":
        return isinstance(entry.get("metrics"), dict)
    if entry.get("kind") == "checkpoint":
        return all(isinstance(entry.get(name), int | float) for name in ("copy_s", "write_s"))
    if entry.get("kind") == "epoch":
        return isinstance(entry.get("sources"), dict)
    figures = entry.get("figures")
    return (
        entry.get("kind") == "step"
        and isinstance(entry.get("samples"), int)
        and isinstance(figures, dict)
        and all(isinstance(value, int | float) for value in figures.values())
    )


def _truncate_log(path: Path, step: int) -> None:
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        for entry in read_log(path.parent):
            if isinstance(logged := entry.get("step"), int) and logged <= step:
                file.write(json.dumps(entry) + "\n")


def _terminal_line(record: StepRecord, per_second: float, max_steps: int, mfu: float | None) -> str:
    used = "" if mfu is None else f" MFU {mfu:.1%}"
    return (
        f"step {record.step}/{max_steps} epoch {record.epoch} loss {record.figures['loss']:.4f} "
        f"{_objective_figures(record)} "
        f"data {record.wait_s:.3f}s samples/s {per_second:.1f}{used} lr {record.rate:.2e} "
        f"norm {record.figures['gradient_norm']:.3f}"
    )


def _objective_figures(record: StepRecord) -> str:
    figures = record.figures
    if "image_to_text_top1" not in figures:
        others = (name for name in figures if name not in ("loss", "gradient_norm"))
        return " ".join(f"{name} {figures[name]:.4g}" for name in others)
    return (
        f"top1 i2t {figures['image_to_text_top1']:.3f} t2i {figures['text_to_image_top1']:.3f} "
        f"similarity positive {figures['positive']:.3f} negative {figures['negative']:.3f} "
        f"temperature {figures['temperature']:.4f} queue {record.queue_fill}/{record.queue_slots} "
        f"negatives {figures['negatives']:.0f}"
    )


def _epoch_line(record: EpochRecord) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in record.sources.items())
    corpora = f" ({counts})" if len(record.sources) > 1 else ""
    total_s = sum(record.stage_s.values()) or 1.0
    stages = ", ".join(
        f"{stage} {seconds / total_s:.0%}" for stage, seconds in record.stage_s.items() if seconds
    )
    waited = record.wait_s / record.elapsed_s if record.elapsed_s else 0.0
    return (
        f"epoch {record.epoch}: {record.samples} samples{corpora}, waited for data {waited:.0%}; "
        f"of the loading: {stages}"
    )
