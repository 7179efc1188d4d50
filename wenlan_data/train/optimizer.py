"""AdamW without weight decay on norms and biases, and the learning-rate schedule."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from wenlan_data.model.config import OptimizerConfig

_STATE = ("exp_avg", "exp_avg_sq", "step")
"""AdamW's state of a parameter."""


def make_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Makes a fused AdamW over the parameters that train.

    Vectors and scalars (norms, biases, the temperature) have no weight decay. Backbones have a
    share of the learning rate, the `rate_factor` of their groups.
    """
    trained = [
        (name, parameter)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]
    groups = [
        {
            "params": [
                one
                for name, one in trained
                if (one.ndim > 1) is decays and _in_backbone(name) is in_backbone
            ],
            "weight_decay": config.weight_decay if decays else 0.0,
            "rate_factor": config.backbone_lr_factor if in_backbone else 1.0,
        }
        for in_backbone in (False, True)
        for decays in (True, False)
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


def learning_rate(step: int, config: OptimizerConfig, max_steps: int) -> float:
    """The learning rate of `step`, from 0: a linear warm-up, then a cosine to `min_lr_share`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, max_steps - config.warmup_steps)
    low = config.lr * config.min_lr_share
    return low + (config.lr - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of all groups, times their `rate_factor`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def _in_backbone(name: str) -> bool:
    return name.startswith(("image.backbone.", "text.backbone."))


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scales gradients down to an L2 norm of `max_norm` (0: never); returns the norm before, a
    scalar."""
    with_gradient = [one for one in parameters if one.grad is not None]
    norm = torch.nn.utils.get_total_norm(
        [one.grad for one in with_gradient if one.grad is not None]
    )
    if max_norm:
        torch.nn.utils.clip_grads_with_norm_(with_gradient, max_norm, norm)
    return norm


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
            moment = torch.empty_like(parameter, device="meta")
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
                else torch.empty_like(parameter, requires_grad=False).copy_(
                    tensors[f"{name}.{key}"]
                )
                for key in keys
            }
