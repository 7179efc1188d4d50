"""Momentum towers: copies that follow the towers that learn."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from wenlan_data.train.frozen_cache import is_frozen

Tower = TypeVar("Tower", bound=nn.Module)


def momentum_copy(tower: Tower) -> Tower:
    """A copy without gradients, in evaluation mode. What never trains is shared, not copied: it cannot differ."""
    shared: dict[int, object] = {
        id(one): one for one in tower.parameters() if not one.requires_grad
    }
    shared |= {id(part): part for part in tower.modules() if is_frozen(part)}
    copy = deepcopy(tower, memo=shared)
    for parameter in copy.parameters():
        parameter.requires_grad_(False)
    return copy.eval()


def averaged(tower: nn.Module, copy: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """By name, the parameters of `copy` that follow and those of `tower` that they follow."""
    learning = dict(tower.named_parameters())
    return {
        name: (mine, learning[name])
        for name, mine in copy.named_parameters()
        if mine is not learning[name]
    }


@torch.no_grad()
def follow(tower: nn.Module, copy: nn.Module, momentum: float) -> None:
    """Move the copy: momentum x copy + (1 - momentum) x tower, in place and in fp32; buffers are copied.

    In bf16 a momentum of 0.999 would not move a weight of 1 at all.
    """
    pairs = list(averaged(tower, copy).values())
    if pairs:
        torch._foreach_lerp_(
            [mine for mine, _ in pairs], [theirs for _, theirs in pairs], 1 - momentum
        )
    for mine, theirs in zip(copy.buffers(), tower.buffers(), strict=True):
        if mine is not theirs:
            mine.copy_(theirs)
