"""What learns and what stays: freeze rules by name, BatchNorm statistics, and frozen parts without dropout."""

import re

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wenlan_data.errors import UsageError
from wenlan_data.model.config import ImageConfig, TextConfig

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def freeze_image(backbone: nn.Module, config: ImageConfig) -> None:
    """Leave gradients to the parameters under the names that `image.train` gives.

    Raises `UsageError` for a name that the backbone does not have.
    """
    names = [name for name, _ in backbone.named_parameters()]
    if isinstance(config.train, tuple):
        for wanted in config.train:
            if not any(_under(name, wanted) for name in names):
                blocks = sorted({".".join(name.split(".")[:2]) for name in names})
                raise UsageError(
                    f"image.train: {config.backbone} has no {wanted!r}; it has {', '.join(blocks[:30])}"
                )
    for name, parameter in backbone.named_parameters():
        chosen = isinstance(config.train, tuple) and any(
            _under(name, wanted) for wanted in config.train
        )
        if not (chosen or config.train == "all"):
            parameter.requires_grad_(False)


def freeze_text(backbone: nn.Module, config: TextConfig) -> None:
    """Leave gradients to all, none, or the last so many layers (then the embeddings stay as they are).

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
            f"text.train: {last} layers are to learn, and {config.backbone!r} has {layers}"
        )
    for name, parameter in backbone.named_parameters():
        number = numbers[name]
        if number is None or number < layers - last:
            parameter.requires_grad_(False)


def set_training(module: nn.Module, *, batch_norm_learns: bool) -> None:
    """Training mode, but for parts without a learning parameter and, unless it learns, BatchNorm.

    A frozen part without dropout gives the same values for the tower that learns and for its momentum copy.
    """
    module.train()
    for part in module.modules():
        frozen = not any(parameter.requires_grad for parameter in part.parameters())
        if (isinstance(part, _BatchNorm) and not batch_norm_learns) or (
            frozen and any(True for _ in part.parameters())
        ):
            part.eval()


def _under(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}.")
