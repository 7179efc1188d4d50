"""Writes the checkpoints of a run, in the background while training goes on."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import exit_code_of, in_short
from wenlan_data.model.checkpoint import CheckpointState, best_checkpoint, prune, save_checkpoint
from wenlan_data.model.config import TrainConfig
from wenlan_data.train.host_copy import HostCopy, HostMemoryError, NamedTensors


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint that is on the disk."""

    path: Path
    step: int
    copy_s: float
    """Seconds that training waited for the copy of its tensors; 0 without one."""
    write_s: float


class CheckpointWriter:
    """Writes checkpoints one at a time, then removes old ones; used on the main rank only.

    With `checkpoints.background` the tensors are copied, and a thread writes the copy. An error of
    a write is kept: it is raised where all ranks can end with it, and nothing is written after it.
    """

    def __init__(self, folder: Path, config: TrainConfig, files: Mapping[str, bytes]) -> None:
        self._folder = folder
        self._config = config
        self._files = files
        """The contents of `tokenizer.json` and `shards.parquet`, by name."""
        self._memory = HostCopy()
        self._thread: threading.Thread | None = None
        self._saved: list[SavedCheckpoint] = []
        self._lines: list[str] = []
        self._error: BaseException | None = None

    @property
    def exit_code(self) -> int:
        """That of the error of a write; 0 without one."""
        return 0 if self._error is None else exit_code_of(self._error)

    def save(
        self,
        state: CheckpointState,
        tensors: NamedTensors,
        *,
        is_last: bool,
        copy_s: float | None = None,
    ) -> None:
        """Begins to write a checkpoint, after the one before is written.

        The last one of a run is written at once, without a copy: nothing goes on beside it.
        `copy_s`: where `tensors` are a copy already, the seconds that it took.
        """
        self.wait()
        if self._error is not None:
            return
        if is_last or not self._config.checkpoints.background:
            self._write(state, tensors, copy_s or 0.0)
            return
        start = time.perf_counter()
        try:
            copies = tensors if copy_s is not None else self._memory.copy(tensors)
        except HostMemoryError as error:
            self._lines.append(
                f"no memory for a copy of the checkpoint ({error}): training waits until it is "
                "written; --set checkpoints.background=false does so without this message"
            )
            self._write(state, tensors, 0.0)
            return
        copy_s = copy_s if copy_s is not None else time.perf_counter() - start
        self._thread = threading.Thread(
            target=self._write, args=(state, copies, copy_s), name="checkpoint", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Waits until nothing is being written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def raise_error(self) -> None:
        """Raises the error of a write, if there was one, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def report(
        self, message: Callable[[str], None], log: Callable[[SavedCheckpoint], None]
    ) -> None:
        """Passes on what was written since the last call.

        The thread itself prints nothing: a loader worker that is forked meanwhile would inherit
        the lock of the stream.
        """
        while self._lines:
            message(self._lines.pop(0))
        while self._saved:
            log(self._saved.pop(0))

    def close(self, message: Callable[[str], None], log: Callable[[SavedCheckpoint], None]) -> None:
        """Waits for the write, and reports what was not yet reported, an error included: where one
        is left, the run ends with another one."""
        self.wait()
        self.report(message, log)
        if self._error is not None:
            message(f"checkpoint not saved: {in_short(self._error)}")

    def _write(self, state: CheckpointState, tensors: NamedTensors, copy_s: float) -> None:
        start = time.perf_counter()
        try:
            path = save_checkpoint(self._folder, state, tensors, self._files)
            write_s = time.perf_counter() - start
            self._saved.append(
                SavedCheckpoint(path=path, step=state.step, copy_s=copy_s, write_s=write_s)
            )
            metric = self._config.validation.metric
            best = best_checkpoint(self._folder, metric, self._lines.append)
            prune(self._folder, self._config.checkpoints.keep, best)
        except BaseException as error:  # noqa: BLE001 # raised by `raise_error`, in the main thread
            self._error = error
