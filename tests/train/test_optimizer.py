"""What learns at which rate."""

import math

import pytest
import torch
from torch import nn

from tests.train.runs import config
from wenlan_data.errors import RecipeError
from wenlan_data.model.config import OptimizerConfig
from wenlan_data.model.towers import make_towers
from wenlan_data.train.optimizer import (
    learning_rate,
    make_optimizer,
    optimizer_shapes,
    optimizer_tensors,
    rate_factors,
    restore_optimizer,
    set_learning_rate,
    step_unless,
)


class _Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.ModuleDict({"backbone": nn.Linear(2, 2), "projection": nn.Linear(2, 2)})


def _moved(factor: float, decay: float = 0.0) -> dict[str, float]:
    """How far each parameter moves in one step with gradients of one, in shares of the rate."""
    towers = _Towers()
    before = {name: one.detach().clone() for name, one in towers.named_parameters()}
    config = OptimizerConfig(lr=1.0, backbone_lr_factor=factor, weight_decay=decay)
    optimizer = make_optimizer(towers, config)
    set_learning_rate(optimizer, 0.01)
    for one in towers.parameters():
        one.grad = torch.ones_like(one)
    optimizer.step()
    return {
        name: float((before[name] - one.detach()).abs().mean()) / 0.01
        for name, one in towers.named_parameters()
    }


def test_backbones_learn_at_their_share_of_the_rate() -> None:
    moved = _moved(0.1)
    assert round(moved["image.backbone.weight"], 3) == round(moved["image.backbone.bias"], 3) == 0.1
    assert (
        round(moved["image.projection.weight"], 3)
        == round(moved["image.projection.bias"], 3)
        == 1.0
    )


def test_all_learn_at_the_same_rate_by_default() -> None:
    assert {round(far, 3) for far in _moved(1.0).values()} == {1.0}


def test_vectors_do_not_decay_in_a_backbone_nor_outside() -> None:
    towers = _Towers()
    groups = make_optimizer(
        towers, OptimizerConfig(lr=1.0, backbone_lr_factor=0.5, weight_decay=0.2)
    ).param_groups
    decays = {id(one): group["weight_decay"] for group in groups for one in group["params"]}
    for name, one in towers.named_parameters():
        assert decays[id(one)] == (0.2 if name.endswith("weight") else 0.0)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("cosine", [0.5, 1, 1, 0.1 + 0.9 * (1 + math.cos(math.pi / 8)) / 2, 0.55, 0.1]),
        ("linear", [0.5, 1, 1, 1 - 0.9 / 8, 0.55, 0.1]),
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("cooldown", [0.5, 1, 1, 1, 1, 0.1]),
    ],
)
def test_schedules(schedule: str, rates: list[float]) -> None:
    given = OptimizerConfig(
        lr=1.0, schedule=schedule, warmup_steps=2, min_lr_share=0.1,
        cooldown_steps=4 if schedule == "cooldown" else 0,
    )  # fmt: skip
    found = [learning_rate(step, given, 10) for step in (0, 1, 2, 3, 6, 10)]
    assert found == pytest.approx(rates)
    if schedule == "cooldown":
        assert learning_rate(8, given, 10) == pytest.approx(0.55)


def test_a_cooldown_that_does_not_fit_is_refused() -> None:
    for wrong in (
        ["optimizer.schedule=cooldown"],
        ["optimizer.cooldown_steps=5"],
        ["optimizer.schedule=cooldown", "optimizer.cooldown_steps=9", "max_steps=10"],
    ):
        with pytest.raises(RecipeError, match=r"optimizer\.cooldown_steps"):
            config(*wrong)


def test_lower_blocks_learn_less_by_layer_decay() -> None:
    given = config(
        "optimizer.layer_decay=0.5", "optimizer.backbone_lr_factor=0.1",
        "text.small={layers: 3, width: 16, heads: 2, vocabulary: 300}",
    )  # fmt: skip
    towers = make_towers(given, 300)
    factors = rate_factors(towers, given.optimizer)
    assert factors.keys() == {name for name, one in towers.named_parameters() if one.requires_grad}
    text = "text.backbone.encoder.layer"
    assert factors[f"{text}.2.output.dense.weight"] == pytest.approx(0.1)
    assert factors[f"{text}.1.output.dense.weight"] == pytest.approx(0.05)
    assert factors[f"{text}.0.output.dense.bias"] == pytest.approx(0.025)
    assert factors["text.backbone.embeddings.word_embeddings.weight"] == pytest.approx(0.0125)
    image = {name: one for name, one in factors.items() if name.startswith("image.backbone.")}
    assert max(image.values()) == pytest.approx(0.1)
    assert min(image.values()) == image["image.backbone.stem.0.weight"] < 0.1 / 4
    others = {one for name, one in factors.items() if ".backbone." not in name}
    assert others == {1.0}


@pytest.mark.parametrize("is_skipped", [False, True])
def test_a_skipped_update_changes_neither_weights_nor_moments(is_skipped: bool) -> None:
    towers, plain = _Towers(), _Towers()
    plain.load_state_dict(towers.state_dict())
    optimizers = [make_optimizer(one, OptimizerConfig(lr=0.1)) for one in (towers, plain)]
    for number in range(3):
        for one in (towers, plain):
            for parameter in one.parameters():
                parameter.grad = torch.full_like(parameter, number + 1.0)
        skips = is_skipped and number == 1
        step_unless(optimizers[0], torch.tensor(skips))
        if not skips:
            optimizers[1].step()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, towers.state_dict()[name])
    ours, theirs = (
        optimizer_tensors(optimizer, one)
        for optimizer, one in zip(optimizers, (towers, plain), strict=True)
    )
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_restored_state_lies_on_the_device_of_its_parameter() -> None:
    towers = _Towers()
    optimizer = make_optimizer(towers, OptimizerConfig(lr=1.0))
    for one in towers.parameters():
        one.grad = torch.ones_like(one)
    optimizer.step()
    saved = optimizer_tensors(optimizer, towers)
    # A device other than that of the saved tensors, which every machine has. The fused optimizer
    # needs all of the state on the device of its parameters.
    on_meta = _Towers().to("meta")
    restored = torch.optim.AdamW(on_meta.parameters())
    restore_optimizer(restored, on_meta, saved)
    found = optimizer_tensors(restored, on_meta)
    assert found.keys() == saved.keys() == optimizer_shapes(towers).keys()
    assert {value.device.type for value in found.values()} == {"meta"}
