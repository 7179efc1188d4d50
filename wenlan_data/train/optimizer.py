"""AdamW without decay on norms and biases, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from wenlan_data.model.config import OptimizerConfig


def make_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Fused AdamW over what learns; vectors and scalars (norms, biases, the temperature) do not decay.

    What lies in a backbone learns at its own share of the rate (`rate_factor` of a group).
    """
    learning = [
        (name, parameter)
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    ]
    groups = [
        {
            "params": [
                one
                for name, one in learning
                if (one.ndim > 1) is decays and _in_backbone(name) is old
            ],
            "weight_decay": config.weight_decay if decays else 0.0,
            "rate_factor": config.backbone_lr_factor if old else 1.0,
        }
        for old in (False, True)
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
    """The rate of step `step` (from 0): a line up to the rate, then a cosine down to its `min_lr_share`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, max_steps - config.warmup_steps)
    low = config.lr * config.min_lr_share
    return low + (config.lr - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def _in_backbone(name: str) -> bool:
    return name.startswith(("image.backbone.", "text.backbone."))


def clip_gradients(parameters: Iterable[Tensor], most: float) -> Tensor:
    """The norm of all gradients together, a scalar; above `most` (0: never) they are scaled down to it."""
    found = [one for one in parameters if one.grad is not None]
    norm = torch.nn.utils.get_total_norm([one.grad for one in found if one.grad is not None])
    if most:
        torch.nn.utils.clip_grads_with_norm_(found, most, norm)
    return norm


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """What the optimizer remembers, by parameter name: `NAME.exp_avg` and so on."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
    return {
        f"{names[parameter]}.{key}": value
        for parameter, memory in optimizer.state.items()
        for key, value in memory.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor]
) -> None:
    """Take what `optimizer_tensors` gave."""
    for name, parameter in module.named_parameters():
        prefix = f"{name}."
        memory = {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.rpartition(".")[0] == name
        }
        if memory and parameter.requires_grad:
            # Laid out as the parameter is: the fused step walks through memory, whatever the strides say, and would
            # pair the averages of a channels-last weight with other elements of it.
            optimizer.state[parameter] = {
                key: value.clone()
                if key == "step"
                else torch.empty_like(parameter, requires_grad=False).copy_(value)
                for key, value in memory.items()
            }
