"""kill -9 at random moments, saves included: the losses are those of a run that nobody killed, to
the bit (P1)."""

import multiprocessing
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.train.runs import corpus, losses, trained

# A server that has imported everything and computed nothing: its forks start in milliseconds.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.train.runs"])


def _train(shards: Path, out: Path, steps: int) -> None:
    import torch

    torch.set_num_threads(1)
    # A constant rate: else the schedule would depend on how long the run is meant to be.
    trained(shards, out, f"max_steps={steps}", "optimizer.min_lr_share=1.0", resume="auto")


def _start(shards: Path, out: Path, steps: int) -> BaseProcess:
    process = _SERVER.Process(target=_train, args=(shards, out, steps), daemon=True)
    process.start()
    return process


def _wait_for_a_save(process: BaseProcess, out: Path, before: int, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while process.is_alive() and time.monotonic() < deadline and _saved_steps(out) <= before:
        time.sleep(0.005)


@pytest.mark.parametrize(
    "kills", [5, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_a_run_that_is_killed_repeatedly_has_the_losses_of_an_uninterrupted_one(
    kills: int, tmp_path: Path
) -> None:
    shards = corpus(tmp_path / "corpus")
    draw = random.Random(kills)
    out = tmp_path / "killed"
    for _ in range(kills):
        process = _start(shards, out, 100_000)
        # Only after a new checkpoint is there: else every start could be a first one, and nothing
        # would be resumed.
        _wait_for_a_save(process, out, _saved_steps(out))
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        process.join()
    steps = _saved_steps(out) + 20
    assert steps >= 20 + 2 * kills
    last = _start(shards, out, steps)
    last.join()
    assert last.exitcode == 0
    whole = _start(shards, tmp_path / "whole", steps)
    whole.join()
    assert losses(out) == losses(tmp_path / "whole")


def _saved_steps(out: Path) -> int:
    from wenlan_data.model.checkpoint import checkpoint_step, list_checkpoints

    found = list_checkpoints(out)
    return checkpoint_step(found[-1]) if found else 0
