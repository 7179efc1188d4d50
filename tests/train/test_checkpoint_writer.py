"""Checkpoints that are written while training goes on: same bytes, and errors that end the run."""

import errno
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.runs import losses, ranks_command, trained
from wenlan_data.errors import DiskError, InterruptedBuildError
from wenlan_data.model import checkpoint as checkpoint_module
from wenlan_data.model.checkpoint import (
    CheckpointState,
    checkpoint_step,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from wenlan_data.train.host_copy import HostCopy, HostMemoryError
from wenlan_data.train.run_log import read_log

Save = Callable[[Path, CheckpointState, Any, Any], Path]


def _before_saves(patch: pytest.MonkeyPatch, action: Callable[[CheckpointState], None]) -> None:
    """Calls `action` in the thread that writes, before each write."""

    def save(run: Path, state: CheckpointState, tensors: Any, others: Any) -> Path:
        action(state)
        return save_checkpoint(run, state, tensors, others)

    patch.setattr("wenlan_data.train.checkpoint_writer.save_checkpoint", save)


def test_later_steps_change_nothing_of_what_is_being_written(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("max_steps=9", "checkpoints.every_steps=3")
    trained(shards, tmp_path / "plain", *settings, "checkpoints.background=false")
    done: dict[int, int] = {}

    def wait_for_two_steps(state: CheckpointState) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(losses(out)) < min(9, state.step + 2):
            time.sleep(0.01)
        done[state.step] = len(losses(out))

    out = tmp_path / "background"
    _before_saves(monkeypatch, wait_for_two_steps)
    trained(shards, out, *settings)
    assert done[3] >= 5
    assert done[6] >= 8
    assert losses(out) == losses(tmp_path / "plain")
    one, other = list_checkpoints(tmp_path / "plain"), list_checkpoints(out)
    assert [path.name for path in one] == [path.name for path in other]
    for plain, background in zip(one, other, strict=True):
        names = {path.name for path in plain.iterdir()}
        assert names == {path.name for path in background.iterdir()}
        for name in names - {"state.json"}:
            assert (plain / name).read_bytes() == (background / name).read_bytes(), name
        states = [load_checkpoint(path).state for path in (plain, background)]
        same = {"config": {}, "config_digest": "", "state_sha256": ""}
        assert states[0].model_copy(update=same) == states[1].model_copy(update=same)
    entries = [entry for entry in read_log(out) if entry["kind"] == "checkpoint"]
    assert [entry["step"] for entry in entries] == [3, 6, 9]
    # The last one is written without a copy: nothing goes on beside it.
    assert [bool(entry["copy_s"]) for entry in entries] == [True, True, False]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_of_the_background_ends_the_run_at_the_next_step(
    number: int, shards: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in copy.glob("checkpoints/*/*")}

    def full(path: Path, tensors: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(checkpoint_module, "write_tensors", full)
    with pytest.raises(DiskError, match="step-00000008"):
        trained(shards, copy, "max_steps=5000", resume="auto")
    assert 8 <= len(losses(copy)) < 5000
    assert {path: path.read_bytes() for path in copy.glob("checkpoints/*/*")} == before
    assert not list(copy.glob("checkpoints/.*"))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_full_disk_ends_all_ranks_with_one_line(ranks: int, shards: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        process = ranks_command(
            shards, tmp_path / "run", ranks, "--max-steps", "5000", "--save-every", "3"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _, stderr = process.communicate(timeout=240)
    shown = stderr.decode()
    assert process.returncode == 3, shown
    lines = [line for line in shown.splitlines() if line.startswith("wenlan-data:")]
    assert len(lines) == 1
    assert "no room to write" in lines[0]
    assert "model.safetensors" in lines[0]
    assert list_checkpoints(tmp_path / "run") == []
    assert not list(tmp_path.glob("run/checkpoints/.*"))


def test_a_signal_while_a_checkpoint_is_written_loses_neither_it_nor_the_last_step(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def interrupt(state: CheckpointState) -> None:
        if state.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    _before_saves(monkeypatch, interrupt)
    with pytest.raises((InterruptedBuildError, KeyboardInterrupt)):
        trained(shards, out, "max_steps=100000")
    saved = list_checkpoints(out)
    assert saved[0].name == "step-00000002"
    assert checkpoint_step(saved[-1]) == len(losses(out))
    for path in saved:
        load_checkpoint(path)
    assert not list(out.glob("checkpoints/.*"))


def test_without_memory_for_a_copy_training_waits_and_reports_it(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("wenlan_data.train.host_copy.available_bytes", lambda: 1 << 20)
    trained(shards, tmp_path / "run", "max_steps=4", "checkpoints.every_steps=2")
    shown = capsys.readouterr().err
    assert shown.count("no memory for a copy of the checkpoint") == 1
    assert "1 MiB available" in shown
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == [
        "step-00000002",
        "step-00000004",
    ]


def test_a_copy_is_contiguous_and_takes_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = HostCopy()
    weight = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    first = memory.copy({"model": {"weight": weight}})["model"]["weight"]
    assert first.is_contiguous()
    assert torch.equal(first, weight)
    weight += 1
    assert not torch.equal(first, weight)
    monkeypatch.setattr("wenlan_data.train.host_copy.available_bytes", lambda: 0)
    assert memory.copy({"model": {"weight": weight}})["model"]["weight"] is first
    assert torch.equal(first, weight)
    with pytest.raises(HostMemoryError):
        memory.copy({"model": {"weight": weight, "more": weight}})
