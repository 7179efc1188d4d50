"""What learns at which rate."""

import torch
from torch import nn

from wenlan_data.model.config import OptimizerConfig
from wenlan_data.train.optimizer import (
    make_optimizer,
    optimizer_shapes,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
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
