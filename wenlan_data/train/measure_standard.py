"""Measures mean and deviation of what the heads read, for the `Standardise` layer before them."""

import math
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.standardise import Standardise
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import Batch
from wenlan_data.train.distributed import all_reduce_mean

PAIRS = 2048
"""Pairs to measure over: their mean is within a fortieth of a deviation of that of all."""


@torch.no_grad()
def measure_standardisation(towers: Towers, batches: Iterable[Batch], config: TrainConfig) -> None:
    """Sets the `Standardise` layers of both towers from the first pairs of all ranks.

    `batches` are this rank's parts of the global micro-batches: augmented as in training, but
    passed through without dropout.
    """
    layers = [module for module in towers.modules() if isinstance(module, Standardise)]
    towers.eval()
    moments = [_ChannelMoments() for _ in layers]
    with ExitStack() as hooks:
        for layer, measured in zip(layers, moments, strict=True):
            hooks.callback(layer.register_forward_pre_hook(measured.add).remove)
        for batch in islice(batches, math.ceil(PAIRS * config.accumulation / config.batch_size)):
            with torch.autocast(
                batch.ids.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
            ):
                towers(batch.inputs)
    for layer, measured in zip(layers, moments, strict=True):
        layer.set(*measured.over_all_ranks())
    towers.set_training()


class _ChannelMoments:
    """Sums of 1, x and x squared over rows, by channel, in fp64."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []

    def add(self, _: nn.Module, args: tuple[object, ...]) -> None:
        """Adds the rows (B, C) that a module is about to read; a forward pre-hook."""
        values = cast("Tensor", args[0]).double()
        self._sums.append(torch.stack([torch.ones_like(values), values, values.square()]).sum(1))

    def over_all_ranks(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over all ranks, float64 (C,) each."""
        count, first, second = all_reduce_mean(torch.stack(self._sums).sum(0))
        mean = first / count
        return mean, (second / count - mean.square()).clamp_min(0).sqrt()
