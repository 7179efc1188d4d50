"""Vectors of mean 0 and deviation 1 in each channel.

All vectors of a multilingual encoder point nearly one way, and the channels of a CNN lie far from 0. What all of them
share tells nothing apart; a head that sees it has to unlearn it first, and with few pairs it does not get far.
"""

from typing import cast

import torch
from torch import Tensor, nn

LEAST_DEVIATION = 1e-6
"""Added to the deviation: a channel that never moves is no reason to divide by zero."""


class Standard(nn.Module):
    """(..., C) to the same, less a mean and over a deviation that do not learn; nothing changes before `set`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, vectors: Tensor) -> Tensor:
        """In fp32."""
        found: Tensor = (vectors.float() - cast("Tensor", self.mean)) / cast(
            "Tensor", self.deviation
        )
        return found

    @torch.no_grad()
    def set(self, mean_C: Tensor, deviation_C: Tensor) -> None:
        """Take what was measured."""
        cast("Tensor", self.mean).copy_(mean_C)
        cast("Tensor", self.deviation).copy_(deviation_C + LEAST_DEVIATION)
