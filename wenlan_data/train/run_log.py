"""What is seen while a training runs: one line a step, a bar on a terminal, TensorBoard, and a log for the report."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

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

from wenlan_data.errors import os_errors, print_line
from wenlan_data.files import write_atomic

LOG = "log.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLine:
    """What a step has to say."""

    step: int
    epoch: int
    figures: dict[str, float]
    queue_fill: int
    queue_slots: int
    wait_s: float
    samples: int
    rate: float
    keys: list[str]
    """Of this rank's samples."""


class Watch:
    """Writes for the first rank; for the others it does nothing. A context manager.

    `log.jsonl` holds one JSON object a step or validation. A run that goes on drops what it had logged beyond its step.
    """

    def __init__(
        self, folder: Path, *, first: bool, done: int, steps: int, quiet: bool = False
    ) -> None:
        self._first, self._quiet = first, quiet
        self._steps = steps
        self._last = time.monotonic()
        self._log: IO[str] | None = None
        self._board: SummaryWriter | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if first:
            with os_errors(folder):
                _cut_log(folder / LOG, done)
                self._log = (folder / LOG).open("a", encoding="utf-8", buffering=1)
                self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
            if sys.stderr.isatty():
                self._start_bar(done)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()
        if self._log:
            self._log.close()
        if self._board:
            self._board.close()

    def step(self, line: StepLine) -> None:
        """Log a step."""
        now = time.monotonic()
        took_s, self._last = now - self._last, now
        if not self._first:
            return
        per_second = line.samples / max(took_s, 1e-9)
        self._write(
            {"kind": "step", **_without_keys(line), "took_s": took_s, "samples_per_s": per_second}
        )
        self._chart(
            line.step,
            {**line.figures, "rate": line.rate, "samples_per_s": per_second, "wait_s": line.wait_s},
        )
        self._print(_words(line, per_second, self._steps))
        if self._progress and self._task is not None:
            self._progress.update(self._task, completed=line.step)

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        """Log a validation; the time it took is not the next step's."""
        self._last = time.monotonic()
        if self._first:
            self._write({"kind": "validation", "step": step, "metrics": metrics})
            self._chart(step, {f"validation/{name}": value for name, value in metrics.items()})
            shown = " ".join(f"{name} {value:.4f}" for name, value in sorted(metrics.items()))
            self._print(f"step {step}: validation {shown}")

    def say(self, line: str) -> None:
        """Something that the operator should read."""
        if self._first:
            self._print(line)

    def _start_bar(self, done: int) -> None:
        self._progress = Progress(
            TextColumn("train"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
        )
        self._task = self._progress.add_task("train", total=self._steps, completed=done)
        self._progress.start()

    def _write(self, value: dict[str, object]) -> None:
        if self._log:
            self._log.write(json.dumps(value) + "\n")

    def _chart(self, step: int, values: dict[str, float]) -> None:
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def _print(self, line: str) -> None:
        if self._quiet:
            return
        if self._progress:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            print_line(line)


def read_log(folder: Path) -> list[dict[str, object]]:
    """The entries of `log.jsonl`; a line that a kill cut off is left out."""
    path = folder / LOG
    if not path.is_file():
        return []
    found: list[dict[str, object]] = []
    for line in path.read_text("utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _cut_log(path: Path, done: int) -> None:
    kept = [
        one
        for one in read_log(path.parent)
        if isinstance(one.get("step"), int) and one["step"] <= done  # type: ignore[operator]
    ]
    write_atomic(path, "".join(json.dumps(one) + "\n" for one in kept).encode())


def _without_keys(line: StepLine) -> dict[str, object]:
    value: dict[str, object] = asdict(line)
    del value["keys"]
    return value


def _words(line: StepLine, per_second: float, steps: int) -> str:
    figures = line.figures
    return (
        f"step {line.step}/{steps} epoch {line.epoch} loss {figures['loss']:.4f} "
        f"top1 i2t {figures['image_to_text_top1']:.3f} t2i {figures['text_to_image_top1']:.3f} "
        f"similarity positive {figures['positive']:.3f} negative {figures['negative']:.3f} "
        f"temperature {figures['temperature']:.4f} queue {line.queue_fill}/{line.queue_slots} "
        f"data {line.wait_s:.3f}s samples/s {per_second:.1f} lr {line.rate:.2e} norm {figures['gradient_norm']:.3f}"
    )
