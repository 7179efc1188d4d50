"""A line of the log for several steps, figures of throughput, and other loggers."""

import math
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import pytest
import torch

from tests.train.runs import brivl_of, config, corpus, losses, trained
from wenlan_data.errors import FailureBudgetError, RecipeError, UsageError
from wenlan_data.model.checkpoint import list_checkpoints, load_state
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.towers import make_towers
from wenlan_data.train import step as step_module
from wenlan_data.train.objective import PartLoss, find_objective
from wenlan_data.train.run_log import read_log
from wenlan_data.train.throughput import flops_of_pair

EVERY = "checkpoints={every_steps: 6, keep: 3}"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


def test_a_line_for_several_steps_holds_their_means_and_changes_no_training(
    shards: Path, tmp_path: Path
) -> None:
    each = trained(shards, tmp_path / "each", "max_steps=8", EVERY)
    four = trained(shards, tmp_path / "four", "max_steps=8", EVERY, "log.every_steps=4")
    for name, value in each.towers.state_dict().items():
        assert torch.equal(value, four.towers.state_dict()[name]), name
    singles = losses(tmp_path / "each")
    lines = [line for line in read_log(tmp_path / "four") if line["kind"] == "step"]
    # A checkpoint reads the figures too: after step 6.
    assert [line["step"] for line in lines] == [4, 6, 8]
    assert [line["samples"] for line in lines] == [32, 16, 16]
    means = [sum(singles[:4]) / 4, sum(singles[4:6]) / 2, sum(singles[6:]) / 2]
    found = [cast("dict[str, float]", line["figures"])["loss"] for line in lines]
    assert found == pytest.approx(means)


@pytest.mark.parametrize(("bad", "counts"), [({2, 4, 7}, (3, 0)), ({6, 7}, (2, 2))])
def test_skipped_steps_are_counted_within_a_window(
    bad: set[int],
    counts: tuple[int, int],
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _spoil(monkeypatch, bad)
    training = trained(shards, tmp_path / "run", "max_steps=9", EVERY, "log.every_steps=4")
    assert training.skipped == counts[0]
    assert load_state(list_checkpoints(tmp_path / "run")[0]).skipped == len(bad - {6, 7})
    assert all(torch.isfinite(one).all() for one in brivl_of(training).queues.tensors().values())


def test_too_many_skipped_steps_end_the_run_at_the_next_line(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, set(range(2, 99)))
    with pytest.raises(FailureBudgetError, match="6 steps in a row were not finite"):
        trained(shards, tmp_path / "run", "max_steps=50", "log.every_steps=4",
                "checkpoints.every_steps=50")  # fmt: skip


def test_a_run_of_bad_steps_inside_of_a_window_ends_the_run(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil(monkeypatch, set(range(1, 7)))
    with pytest.raises(FailureBudgetError, match="6 steps in a row were not finite, up to 8"):
        trained(shards, tmp_path / "run", "max_steps=50", "log.every_steps=8",
                "checkpoints.every_steps=50")  # fmt: skip
    # The means are those of the steps that were finite.
    assert all(math.isfinite(loss) for loss in losses(tmp_path / "run"))


def _spoil(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    real = step_module.micro_step

    def spoiled(training, module, part, config, ranks) -> PartLoss:  # type: ignore[no-untyped-def]
        if training.step in steps:
            part.inputs.image[0, 0, 0, 0] = float("nan")
        found = real(training, module, part, config, ranks)
        return replace(found)

    monkeypatch.setattr(step_module, "micro_step", spoiled)


def test_the_log_holds_figures_of_throughput(shards: Path, tmp_path: Path) -> None:
    trained(shards, tmp_path / "run", "max_steps=2")
    line = next(line for line in read_log(tmp_path / "run") if line["kind"] == "step")
    numbers = cast("dict[str, float]", line)
    assert numbers["samples_per_s_rank"] == numbers["samples_per_s"]
    assert numbers["tflops_rank"] > 0
    assert numbers["peak_memory_bytes"] > 1 << 20
    # The peak of a CPU is not known.
    assert "mfu" not in numbers


@pytest.mark.parametrize("objective", ["brivl", "clip"])
def test_counting_operations_leaves_no_trace(objective: str) -> None:
    negatives = "{queue: 24}" if objective == "brivl" else "{queue: 0, batch: true}"
    given = config(f"objective={objective}", f"negatives={negatives}", "dropout=0.2")
    towers = make_towers(given, 300)
    towers.set_training()
    criterion = find_objective(objective).start(towers, given)
    inputs = Inputs(
        image=torch.rand(2, 3, 32, 32),
        boxes=torch.zeros(2, 0, 4),
        box_mask=torch.ones(2, 0, dtype=torch.bool),
        tokens=torch.ones(2, 8, dtype=torch.long),
        token_mask=torch.ones(2, 8, dtype=torch.bool),
    )
    before = {name: value.clone() for name, value in towers.state_dict().items()}
    modes = [module.training for module in towers.modules()]
    generator = torch.get_rng_state()
    count = flops_of_pair(towers, criterion, inputs)
    assert count == flops_of_pair(towers, criterion, inputs)
    assert torch.equal(generator, torch.get_rng_state())
    assert modes == [module.training for module in towers.modules()]
    assert all(parameter.grad is None for parameter in towers.parameters())
    assert all(torch.equal(value, before[name]) for name, value in towers.state_dict().items())
    # A linear layer takes 2 operations a weight forward and 4 backward, for each of its rows.
    linear = (
        6
        * 8
        * sum(
            module.weight.numel()
            for module in towers.text.backbone.modules()
            if isinstance(module, torch.nn.Linear)
        )
    )
    assert count > linear


def test_an_objective_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(RecipeError, match=r"objective: .*choose one of brivl, clip"):
        config("objective=siglip")


def test_wandb_is_used_where_a_project_is_named(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not find_spec("wandb"):
        with pytest.raises(UsageError, match="pip install wandb"):
            trained(shards, tmp_path / "run", "max_steps=1", "log.wandb=trial")
        return
    monkeypatch.setenv("WANDB_MODE", "offline")
    trained(shards, tmp_path / "run", "max_steps=2", "log.wandb=trial")
    assert "wandb" in sys.modules
    [written] = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"image_to_text_top1" in written.read_bytes()
