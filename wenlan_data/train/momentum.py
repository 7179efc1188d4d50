"""Momentum towers, MoCo's key encoders: copies whose weights are a moving average."""

from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from wenlan_data.model.sharded_tensor import local
from wenlan_data.train.frozen_cache import frozen_modules

Tower = TypeVar("Tower", bound=nn.Module)


def _same(module: nn.Module) -> nn.Module:
    return module


def momentum_copy(
    tower: Tower, share: Callable[[nn.Module], nn.Module] = _same, *, shares_frozen: bool = True
) -> Tower:
    """Returns a copy without gradients, in evaluation mode.

    Frozen parameters are shared instead of copied, since an average of a constant is the constant.
    `share` returns what the copy holds in place of a frozen module: the module itself, or one that
    replays its outputs (`FrozenCache.share`). Without `shares_frozen` everything is copied.
    """
    memo: dict[int, object] = {id(one): one for one in tower.parameters() if not one.requires_grad}
    memo |= {id(module): share(module) for module in frozen_modules(tower)}
    copy = deepcopy(tower, memo=memo if shares_frozen else {})
    for parameter in copy.parameters():
        parameter.requires_grad_(False)
    return copy.eval()


def averaged_parameters(tower: nn.Module, copy: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """By name: the parameters of `copy` that are averages, and those of `tower` that they
    average."""
    trained = dict(tower.named_parameters())
    return {
        name: (own, trained[name])
        for name, own in copy.named_parameters()
        if trained[name].requires_grad
    }


@torch.no_grad()
def update_momentum(tower: nn.Module, copy: nn.Module, momentum: float) -> None:
    """Sets copy = momentum x copy + (1 - momentum) x tower, in place, in fp32; copies the buffers.

    fp32 matters: in bf16 a momentum of 0.999 would not change a weight of 1 at all. Buffers are
    copied, so that a key depends on its sample alone and not on the batches that the momentum
    towers saw.
    """
    average = get_ema_multi_avg_fn(momentum)  # type: ignore[no-untyped-call] # torch's own
    pairs = list(averaged_parameters(tower, copy).values())
    if pairs:
        average([local(own) for own, _ in pairs], [local(new) for _, new in pairs], None)
    buffers = dict(tower.named_buffers())
    for name, own in copy.named_buffers():
        if own is not buffers[name]:
            own.copy_(buffers[name])
