"""Freezing of parameters by name, and the training mode of frozen modules and BatchNorm."""

import re

from torch import nn

from wenlan_data.errors import UsageError
from wenlan_data.model.config import ImageConfig, TextConfig

# Their base class is private.
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def freeze_image(backbone: nn.Module, config: ImageConfig) -> None:
    """Freezes all parameters but those under the names in `image.train`.

    Raises `UsageError` for a name that the backbone does not have.
    """
    names = [name for name, _ in backbone.named_parameters()]
    if config.train == "all":
        return
    prefixes = () if config.train == "none" else config.train
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in names):
            blocks = sorted({".".join(name.split(".")[:2]) for name in names})
            raise UsageError(
                f"image.train: {config.backbone} has no {prefix!r}: choose from "
                f"{', '.join(blocks[:30])}"
            )
    for name, parameter in backbone.named_parameters():
        if not any(_under(name, prefix) for prefix in prefixes):
            parameter.requires_grad_(False)


def freeze_text(backbone: nn.Module, config: TextConfig) -> None:
    """Freezes none of the parameters, all, or all but those of the last `text.train` layers.

    Raises `UsageError` where the encoder has fewer layers.
    """
    if config.train == "all":
        return
    numbers = {
        name: match and int(match[1])
        for name, _ in backbone.named_parameters()
        for match in [_LAYER.search(name)]
    }
    layers = 1 + max((number for number in numbers.values() if number is not None), default=-1)
    last = 0 if config.train == "none" else config.train
    if last > layers:
        raise UsageError(
            f"text.train: {config.backbone!r} has {layers} layers, not {last}: "
            f"choose {layers} or fewer"
        )
    for name, parameter in backbone.named_parameters():
        number = numbers[name]
        if number is None or number < layers - last:
            parameter.requires_grad_(False)


def set_training(module: nn.Module, *, train_batch_norm: bool) -> None:
    """Sets training mode, but evaluation mode for frozen modules and, unless it trains, BatchNorm.

    Without dropout a frozen module has the same outputs in the tower and in its momentum copy, so
    they are computed once (`train.frozen_cache`).
    """
    module.train()
    for part in module.modules():
        if is_frozen(part) or (isinstance(part, _BATCH_NORMS) and not train_batch_norm):
            part.eval()


def is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters and none of them trains."""
    trains = [parameter.requires_grad for parameter in module.parameters()]
    return bool(trains) and not any(trains)


def _under(name: str, prefix: str) -> bool:
    # With the dot, so that `blocks.1` does not match `blocks.10`.
    return name == prefix or name.startswith(f"{prefix}.")
