import torch
from torch import nn

from wenlan_data.train.momentum import averaged_parameters, momentum_copy, update_momentum


def _tower() -> nn.Sequential:
    tower = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    tower[0].requires_grad_(False)
    return tower


def test_a_copy_shares_what_is_frozen_and_owns_what_trains() -> None:
    tower = _tower()
    copy = momentum_copy(tower)
    assert copy[0].weight is tower[0].weight
    assert copy[2].weight is not tower[2].weight
    assert set(averaged_parameters(tower, copy)) == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert tower[2].weight.requires_grad


def test_a_copy_moves_by_one_minus_the_momentum_and_copies_the_buffers() -> None:
    tower = _tower()
    copy = momentum_copy(tower)
    before = copy[2].weight.clone()
    with torch.no_grad():
        tower[2].weight += 1
        tower[1].running_mean += 2
    update_momentum(tower, copy, 0.9)
    assert torch.allclose(copy[2].weight, before + 0.1, atol=1e-7)
    assert torch.equal(copy[1].running_mean, tower[1].running_mean)


def test_a_momentum_of_one_keeps_the_weights_and_of_zero_copies_them() -> None:
    tower = _tower()
    copy = momentum_copy(tower)
    before = copy[2].weight.clone()
    with torch.no_grad():
        tower[2].weight += 1
    update_momentum(tower, copy, 1.0)
    assert torch.equal(copy[2].weight, before)
    update_momentum(tower, copy, 0.0)
    assert torch.allclose(copy[2].weight, tower[2].weight)
