"""Weight averages against a plain loop over the weights of each step."""

from pathlib import Path

import pytest
import torch

from tests.train.runs import corpus, trained
from wenlan_data.eval.embed import load_model
from wenlan_data.model.checkpoint import list_checkpoints, load_checkpoint

EMA = ("ema.decay=0.3", "checkpoints={every_steps: 1, keep: 9}", "text.train=none", "dropout=0.0")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("corpus") / "corpus")


def test_the_average_is_that_of_a_plain_loop(shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = trained(shards, run, *EMA, "max_steps=5")
    name = next(name for name, one in training.towers.named_parameters() if one.requires_grad)
    # The first weights are not saved, so the loop starts with the first average.
    steps = [load_checkpoint(path).tensors for path in list_checkpoints(run)]
    average = steps[0]["ema"][name].double()
    for step, tensors in enumerate(steps[1:], 1):
        decay = min(0.3, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * tensors["model"][name].double()
        assert torch.allclose(tensors["ema"][name].double(), average, atol=1e-6)
        assert not torch.equal(tensors["ema"][name], tensors["model"][name])
    frozen = {name for name, one in training.towers.named_parameters() if not one.requires_grad}
    assert frozen
    assert not frozen & steps[-1]["ema"].keys()


def test_averages_are_evaluated_and_survive_a_restart(shards: Path, tmp_path: Path) -> None:
    whole = trained(shards, tmp_path / "whole", *EMA, "max_steps=5")
    trained(shards, tmp_path / "parts", *EMA, "max_steps=2", "optimizer.schedule=constant")
    trained(shards, tmp_path / "again", *EMA, "max_steps=5", "optimizer.schedule=constant")
    resumed = trained(
        shards, tmp_path / "parts", *EMA, "max_steps=5", "optimizer.schedule=constant",
        resume="auto",
    )  # fmt: skip
    own = load_checkpoint(list_checkpoints(tmp_path / "parts")[-1]).tensors["ema"]
    other = load_checkpoint(list_checkpoints(tmp_path / "again")[-1]).tensors["ema"]
    assert own.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in own.items())
    assert resumed.ema is not None
    assert whole.ema is not None
    towers = load_model(tmp_path / "whole").towers.state_dict()
    for name, value in whole.ema.towers.state_dict().items():
        assert torch.equal(value, towers[name]), name


def test_averages_change_no_training(shards: Path, tmp_path: Path) -> None:
    with_ema = trained(shards, tmp_path / "with", *EMA, "max_steps=3")
    without = trained(shards, tmp_path / "without", *EMA, "ema.decay=0", "max_steps=3")
    for name, value in without.towers.state_dict().items():
        assert torch.equal(value, with_ema.towers.state_dict()[name]), name
