"""Towers whose parameters are divided among the ranks (`parallel: fsdp`, torch's FSDP2).

Each block of a tower is gathered for its forward and its backward pass, and freed after it. A rank
keeps its part of weights, gradients, moments and averages, all cut alike, so that updates are local.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from wenlan_data.model.backbones import zero_key_third
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.sharded_tensor import gathered, local, part_of
from wenlan_data.model.towers import Towers
from wenlan_data.train.distributed import Distributed, all_reduce_mean, world_size


def is_sharded(config: TrainConfig) -> bool:
    """Whether the towers of this run are divided among the ranks; one rank holds all of them."""
    return config.parallel == "fsdp" and world_size() > 1


def shard_towers(towers: Towers, device: torch.device) -> None:
    """Divides the parameters of both towers among the ranks, in place, and moves them to `device`.

    Block by block, so that no device ever holds a whole tower. The temperature stays whole.
    """
    mesh = init_device_mesh(device.type, (world_size(),))
    for tower in (towers.image, towers.text):
        for unit in (*_blocks(tower), tower):
            fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    towers.to(device)
    if towers.log_scale.requires_grad:
        _after_gradient(towers.log_scale, _average_gradient)
    for name, parameter in towers.named_parameters():
        if name.endswith("attn.qkv.bias") and parameter.requires_grad:
            # Hooks of the whole parameter do not see its parts.
            kept = part_of(zero_key_third(torch.ones(parameter.shape)), parameter)
            _after_gradient(parameter, _Masked(kept))


def _after_gradient(parameter: Tensor, hook: Callable[[Tensor], None]) -> None:
    register: Any = parameter.register_post_accumulate_grad_hook
    register(hook)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of the outermost lists and sequences of layers, such as a transformer's."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            # Models call the layers of nested ones themselves, to recompute activations.
            yield from _layers(child)
        else:
            yield from _blocks(child)


def _layers(container: nn.Module) -> Iterator[nn.Module]:
    for child in container.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from _layers(child)
        elif next(child.children(), None) and next(child.parameters(), None) is not None:
            # Single norms and layers stay with the tower: some return views of their input, which
            # the next operation may write to.
            yield child


def _average_gradient(parameter: Tensor) -> None:
    # What was summed over earlier micro-batches is the same on all ranks, so its mean is itself.
    if parameter.grad is not None:
        parameter.grad = all_reduce_mean(parameter.grad)


class _Masked:
    """Multiplies the gradient of a part by zeros and ones."""

    def __init__(self, kept: Tensor) -> None:
        self._kept = kept

    def __call__(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            local(parameter.grad).mul_(self._kept)


@torch.no_grad()
def copy_frozen(towers: nn.Module, copy: nn.Module) -> None:
    """Copies the frozen parameters of the towers into a copy that has its own."""
    trained = dict(towers.named_parameters())
    for name, own in copy.named_parameters():
        if own is not trained[name] and not trained[name].requires_grad:
            local(own).copy_(local(trained[name]))


@contextmanager
def gathered_towers(towers: Towers) -> Iterator[None]:
    """In the body each rank holds all parameters, and ranks may embed different numbers of batches.

    Without it each forward pass is a collective.
    """
    units = [module for module in towers.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(reshard_after_forward=False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        for unit in units:
            unit.reshard()
            unit.set_reshard_after_forward(reshard_after_forward=True, recurse=False)


@torch.no_grad()
def gather_on_main(
    tensors: Mapping[str, Mapping[str, Tensor]], distributed: Distributed
) -> dict[str, dict[str, Tensor]]:
    """Copies whole tensors to the main rank's host memory, one by one; a collective.

    Other ranks get nothing.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for stem, named in tensors.items():
        copies: dict[str, Tensor] = {}
        for name, one in named.items():
            whole = gathered(one.detach())
            if distributed.is_main:
                copies[name] = whole.to("cpu", copy=True).contiguous()
        found[stem] = copies
    return found
