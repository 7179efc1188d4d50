"""Measure what `towers.standard.Standard` takes off: mean and deviation of what the heads read at the start."""

import math
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.standardise import Standard
from wenlan_data.model.towers import Towers
from wenlan_data.train import distributed as world
from wenlan_data.train.batches import Batch

PAIRS = 2048
"""How many are looked at: their mean is within a fortieth of a deviation of that of all."""


@torch.no_grad()
def measure(towers: Towers, parts: Iterable[Batch], config: TrainConfig) -> None:
    """Set both towers' `Standard` by the first pairs of all ranks, augmented as in training, without dropout.

    `parts` are this rank's parts of global micro-batches.
    """
    standards = [part for part in towers.modules() if isinstance(part, Standard)]
    towers.eval()
    sums = [_Sums() for _ in standards]
    with ExitStack() as hooks:
        for standard, found in zip(standards, sums, strict=True):
            hooks.callback(standard.register_forward_pre_hook(found.add).remove)
        for part in islice(parts, math.ceil(PAIRS * config.accumulation / config.batch_size)):
            with torch.autocast(
                part.ids.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"
            ):
                towers(part.inputs)
    for standard, found in zip(standards, sums, strict=True):
        standard.set(*found.over_all_ranks())
    towers.learn()


class _Sums:
    """Over rows of (1, value, value squared), by channel, in fp64."""

    def __init__(self) -> None:
        self._found: list[Tensor] = []

    def add(self, _: nn.Module, given: tuple[object, ...]) -> None:
        """As a hook: the rows (B, C) that a module is about to be given."""
        values = cast("Tensor", given[0]).double()
        self._found.append(torch.stack([torch.ones_like(values), values, values.square()]).sum(1))

    def over_all_ranks(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation, float64 (C,)."""
        count, first, second = world.mean(torch.stack(self._found).sum(0))
        mean = first / count
        return mean, (second / count - mean.square()).clamp_min(0).sqrt()
