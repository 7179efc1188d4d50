"""Training under faults, and that it learns; faults P5 and P9."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.runs import WORDS, brivl_of, config, corpus, losses, trained
from wenlan_data.errors import FailureBudgetError, InterruptedBuildError
from wenlan_data.model.checkpoint import list_checkpoints, load_state
from wenlan_data.model.config import TrainConfig
from wenlan_data.train import loop as loop_module
from wenlan_data.train import step as step_module
from wenlan_data.train.batches import Batch
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.objective import PartLoss
from wenlan_data.train.run_log import RunLog, StepRecord
from wenlan_data.train.state import TrainingState

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


def _spoil(monkeypatch: pytest.MonkeyPatch, steps: set[int], where: str) -> None:
    """Makes a value of these steps not finite: an image, the loss, or a gradient."""
    real = step_module.micro_step

    def spoiled(
        training: TrainingState,
        module: torch.nn.Module,
        part: Batch,
        config: TrainConfig,
        ranks: Distributed,
    ) -> PartLoss:
        if training.step not in steps:
            return real(training, module, part, config, ranks)
        if where == "image":
            part.inputs.image[0, 0, 0, 0] = float("nan")
        found = real(training, module, part, config, ranks)
        if where == "loss":
            infinite = float("inf")
            return replace(found, loss=found.loss * infinite, figures=found.figures * infinite)
        if where == "gradient":
            learning = next(one for one in training.towers.parameters() if one.requires_grad)
            steep = (learning.flatten()[0] - learning.flatten()[0].detach()).abs().sqrt()
            return replace(found, loss=found.loss + steep)
        return found

    monkeypatch.setattr(step_module, "micro_step", spoiled)


@pytest.mark.parametrize("where", ["image", "loss", "gradient"])
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    where: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, {2, 4}, where)
    training = trained(shards, tmp_path / "run", "max_steps=6")
    assert (training.step, training.skipped, training.skipped_in_a_row) == (6, 2, 0)
    assert all(
        torch.isfinite(one).all()
        for one in training.towers.state_dict().values()
        if one.is_floating_point()
    )
    assert all(torch.isfinite(one).all() for one in brivl_of(training).queues.tensors().values())
    assert all(torch.isfinite(one).all() for one in brivl_of(training).momentum_towers.parameters())
    assert load_state(list_checkpoints(tmp_path / "run")[-1]).skipped == 2


def test_five_in_a_row_stop_with_the_last_good_checkpoint_kept(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, set(range(5, 99)), "image")
    with pytest.raises(FailureBudgetError, match="5 steps in a row") as stopped:
        trained(shards, tmp_path / "run", "max_steps=50")
    assert stopped.value.exit_code == 9
    kept = list_checkpoints(tmp_path / "run")
    assert load_state(kept[-1]).step == 4
    monkeypatch.undo()
    assert trained(shards, tmp_path / "run", "max_steps=8", resume="auto").step == 8


def test_a_skipped_step_leaves_weights_and_optimizer_as_they_were(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained(shards, tmp_path / "before", "max_steps=3", "optimizer.min_lr_share=1.0")
    _spoil(monkeypatch, {3}, "image")
    after = trained(shards, tmp_path / "after", "max_steps=4", "optimizer.min_lr_share=1.0")
    for name, value in before.towers.state_dict().items():
        assert torch.equal(value, after.towers.state_dict()[name]), name


def test_sigterm_saves_and_exits_with_11_and_the_same_command_continues(
    shards: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = [
        "--config",
        "brivl-tiny",
        "--shards",
        str(shards),
        "--out",
        str(out),
        "--workers",
        "0",
        *WORDS,
    ]
    words += ["--resume", "auto", "--set", "optimizer.min_lr_share=1.0", "--save-every", "100000"]
    command = [sys.executable, "-m", "wenlan_data", "train", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--max-steps", "100000"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(losses(out)) < 3:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 11
    finally:
        process.kill()
    saved = load_state(list_checkpoints(out)[-1]).step
    assert saved >= 3
    trained(
        shards,
        out,
        "checkpoints.every_steps=100000",
        f"max_steps={saved + 5}",
        "optimizer.min_lr_share=1.0",
        resume="auto",
    )
    trained(shards, tmp_path / "whole", f"max_steps={saved + 5}", "optimizer.min_lr_share=1.0")
    assert len(losses(out)) == saved + 5


def test_accumulated_parts_make_one_step_with_the_queue_filled_part_by_part(
    shards: Path, tmp_path: Path
) -> None:
    training = trained(shards, tmp_path / "run", "max_steps=3", "accumulation=2")
    assert brivl_of(training).queues.fill == 24
    assert training.position.samples == 24


@pytest.mark.parametrize("objective", ["brivl", "clip"])
def test_both_objectives_learn_pairs_that_they_see_again(
    objective: str, shards: Path, tmp_path: Path
) -> None:
    overrides = (
        ["objective=clip", "negatives={queue: 0, batch: true, mask: [id]}"]
        if objective == "clip"
        else []
    )
    training = trained(shards, tmp_path / "run", *overrides, "max_steps=40", "optimizer.lr=0.003",
                       "augment.jitter_share=0", "checkpoints.every_steps=1000")  # fmt: skip
    found = losses(tmp_path / "run")
    assert sum(found[-5:]) / 5 < sum(found[5:10]) / 5
    assert training.samples == 320


@pytest.mark.parametrize(
    "override", ["regions={mode: boxes, most: 5}", "precision=bf16", "recompute=true", "temperature.learned=true",
                 "compat=released", "dropout=0.2", "negatives.batch=false", "image.backbone=test_resnet"],
)  # fmt: skip
def test_switches_train(override: str, shards: Path, tmp_path: Path) -> None:
    more = ["image.batch_norm=train"] if "resnet" in override else []
    training = trained(shards, tmp_path / "run", override, *more, "max_steps=4")
    assert training.skipped == 0
    assert training.step == 4


def test_the_key_biases_of_attention_do_not_move(shards: Path, tmp_path: Path) -> None:
    from wenlan_data.model.towers import make_towers

    training = trained(shards, tmp_path / "run", "max_steps=4")
    start = make_towers(config(), 50).state_dict()
    for name, value in training.towers.state_dict().items():
        if name.endswith("key.bias"):
            assert torch.equal(value, start[name])
        if name.endswith("in_proj_bias"):
            assert torch.equal(value.chunk(3)[1], start[name].chunk(3)[1])
            assert not torch.equal(value.chunk(3)[2], start[name].chunk(3)[2])


def test_a_run_whose_last_step_was_skipped_saves_it(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, {2}, "image")
    training = trained(shards, tmp_path / "run", "max_steps=3", "checkpoints.every_steps=2")
    assert training.skipped_in_a_row == 1
    saved = list_checkpoints(tmp_path / "run")
    assert [path.name for path in saved] == ["step-00000002", "step-00000003"]
    state = load_state(saved[-1])
    assert (state.skipped, state.skipped_in_a_row) == (1, 1)
    monkeypatch.undo()
    assert trained(shards, tmp_path / "run", "max_steps=4", resume="auto").skipped_in_a_row == 0


@pytest.mark.parametrize("are_weights_finite", [True, False])
def test_a_stop_in_a_skipped_step_reports_what_was_saved(
    are_weights_finite: bool, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, {2, 3}, "image")
    log_step = RunLog.step

    def stopping(log: RunLog, record: StepRecord) -> None:
        log_step(log, record)
        if record.step == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RunLog, "step", stopping)
    if not are_weights_finite:
        monkeypatch.setattr(loop_module, "_is_finite", lambda _: False)
    what = "checkpoint saved" if are_weights_finite else "not saved.* last checkpoint step 2"
    with pytest.raises(InterruptedBuildError, match=f"stopped at step 3, {what}"):
        trained(shards, tmp_path / "run", "max_steps=9")
    saved = list_checkpoints(tmp_path / "run")[-1]
    assert load_state(saved).step == (3 if are_weights_finite else 2)
