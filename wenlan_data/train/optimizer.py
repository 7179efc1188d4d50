"""AdamW without weight decay on norms and biases, and the learning-rate schedule."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from timm.models import group_parameters
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from wenlan_data.model.config import OptimizerConfig
from wenlan_data.model.sharded_tensor import copy_whole, gathered

_TEXT_LAYER = re.compile(r"layers?\.(\d+)\.")
"""As in `encoder.layer.3.attention`, the name in all encoders that are permitted."""

_STATE = ("exp_avg", "exp_avg_sq", "step")
"""AdamW's state of a parameter."""


def make_optimizer(towers: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Makes a fused AdamW over the parameters that train.

    Vectors and scalars (norms, biases, the temperature) have no weight decay. Backbones have a
    share of the learning rate, and lower blocks of them less than higher ones with `layer_decay`:
    the `rate_factor` of their groups.
    """
    factors = rate_factors(towers, config)
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    # Two passes keep the order of groups: new layers first, matrices before vectors.
    for factor in sorted(set(factors.values()), reverse=True):
        for decays in (True, False):
            groups[factor, decays] = [
                one
                for name, one in towers.named_parameters()
                if name in factors and factors[name] == factor and (one.ndim > 1) is decays
            ]
    return torch.optim.AdamW(
        [
            {
                "params": alike,
                "weight_decay": config.weight_decay if decays else 0.0,
                "rate_factor": factor,
            }
            for (factor, decays), members in groups.items()
            for alike in _by_sharding(members)
        ],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


def rate_factors(towers: nn.Module, config: OptimizerConfig) -> dict[str, float]:
    """The learning rate of each parameter that trains, as a share of that of the new layers."""
    depths = _depths(towers) if config.layer_decay < 1 else {}
    return {
        name: config.backbone_lr_factor * config.layer_decay ** depths.get(name, 0)
        if name.startswith(("image.backbone.", "text.backbone."))
        else 1.0
        for name, parameter in towers.named_parameters()
        if parameter.requires_grad
    }


def _depths(towers: nn.Module) -> dict[str, int]:
    image, text = towers.get_submodule("image.backbone"), towers.get_submodule("text.backbone")
    return {
        **{f"image.backbone.{name}": depth for name, depth in image_depths(image).items()},
        **{f"text.backbone.{name}": depth for name, depth in text_depths(text).items()},
    }


def image_depths(backbone: nn.Module) -> dict[str, int]:
    """How many blocks lie above each trained parameter of the image backbone, by timm's groups."""
    matcher: Any = backbone.group_matcher
    groups = group_parameters(backbone, matcher(coarse=False), reverse=True)
    return _below_highest(backbone, groups)


def text_depths(backbone: nn.Module) -> dict[str, int]:
    """How many layers lie above each trained parameter of the text encoder; the embeddings are the
    lowest layer."""
    numbers = {
        name: int(found[1]) + 1 if (found := _TEXT_LAYER.search(name)) else 0
        for name, _ in backbone.named_parameters()
    }
    return _below_highest(backbone, numbers)


def _below_highest(module: nn.Module, numbers: Mapping[str, int]) -> dict[str, int]:
    # Not those of a head that no forward pass reads: nothing would have the full rate.
    trained = {name for name, one in module.named_parameters() if one.requires_grad}
    highest = max((numbers[name] for name in trained), default=0)
    return {name: highest - numbers[name] for name in trained}


def learning_rate(step: int, config: OptimizerConfig, max_steps: int) -> float:
    """The learning rate of `step`, from 0: a linear warm-up, then the schedule down to
    `min_lr_share`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    start = max_steps - config.cooldown_steps if config.schedule == "cooldown" else 0
    start = max(start, config.warmup_steps)
    done = min(1.0, max(0, step - start) / max(1, max_steps - start))
    low = config.lr * config.min_lr_share
    if config.schedule == "cosine":
        return low + (config.lr - low) * (1 + math.cos(math.pi * done)) / 2
    return low + (config.lr - low) * (1 - done)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of all groups, times their `rate_factor`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def step_unless(optimizer: torch.optim.Optimizer, is_skipped: Tensor) -> None:
    """Updates the weights, unless the bool scalar is True, in which case neither weights nor
    moments change. Does not wait for the device of the scalar.

    As `torch.amp.GradScaler` tells a fused optimizer of gradients that are not finite.
    """
    fused: Any = optimizer
    fused.found_inf = is_skipped.float()
    fused.step()
    del fused.found_inf


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scales gradients down to an L2 norm of `max_norm` (0: never); returns the norm before, a
    scalar."""
    with_gradient = [one for one in parameters if one.grad is not None]
    norm = _total_norm([one.grad for one in with_gradient if one.grad is not None])
    if max_norm:
        torch.nn.utils.clip_grads_with_norm_(with_gradient, max_norm, norm)
    return norm


def _total_norm(gradients: Iterable[Tensor]) -> Tensor:
    """The L2 norm over all gradients; a collective where ranks hold parts of some of them."""
    groups = _by_sharding(gradients)
    norms = [gathered(torch.nn.utils.get_total_norm(group)) for group in groups]
    return norms[0] if len(norms) == 1 else torch.stack(norms).square().sum().sqrt()


def _by_sharding(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Whole tensors and those of which each rank holds a part: no operation takes both."""
    groups: dict[bool, list[Tensor]] = {}
    for one in tensors:
        groups.setdefault(isinstance(one, DTensor), []).append(one)
    return [*groups.values()]


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state by parameter name: `NAME.exp_avg`, `NAME.exp_avg_sq`, `NAME.step`."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    return {
        f"{names[parameter]}.{key}": value
        for parameter, moments in optimizer.state.items()
        for key, value in moments.items()
    }


def optimizer_shapes(module: nn.Module) -> dict[str, Tensor]:
    """Tensors of the names, shapes and types of `optimizer_tensors` after a step, without
    memory."""
    shapes: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            moment = torch.empty(parameter.shape, dtype=parameter.dtype, device="meta")
            shapes |= {f"{name}.exp_avg": moment, f"{name}.exp_avg_sq": moment}
            shapes[f"{name}.step"] = torch.empty((), dtype=torch.float32, device="meta")
    return shapes


def restore_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Restores the state that `optimizer_tensors` returned."""
    for name, parameter in module.named_parameters():
        keys = [key for key in _STATE if f"{name}.{key}" in tensors]
        if keys and parameter.requires_grad:
            # In the memory layout of the parameter: the fused step ignores strides, and would pair
            # the moments of a channels-last weight with other elements of it. On its device, the
            # count of steps too: on a GPU the fused step reads it there.
            optimizer.state[parameter] = {
                key: tensors[f"{name}.{key}"].to(parameter.device, copy=True)
                if key == "step"
                else _moment(parameter, tensors[f"{name}.{key}"])
                for key in keys
            }


def _moment(parameter: Tensor, whole: Tensor) -> Tensor:
    moment = torch.empty_like(parameter, requires_grad=False)
    copy_whole(moment, whole)
    return moment
