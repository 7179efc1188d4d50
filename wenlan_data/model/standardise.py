"""Standardisation: a fixed mean and deviation for each channel, measured before training.

All vectors of a multilingual encoder point in nearly the same direction, and the channels of a CNN
lie far from 0. What all vectors share does not tell them apart, and a head must first unlearn it,
for which a small corpus has too few pairs.
"""

import torch
from torch import Tensor, nn

MIN_DEVIATION = 1e-6
"""Added to the deviation, which is 0 for a constant channel."""


class Standardise(nn.Module):
    """Subtracts a mean and divides by a deviation, by channel; the identity until `set` is called.

    Both are buffers: they do not train, and are part of checkpoints.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, vectors: Tensor) -> Tensor:
        """(..., C) to (..., C), in fp32."""
        return (vectors.float() - self.mean) / self.deviation

    @torch.no_grad()
    def set(self, mean_C: Tensor, deviation_C: Tensor) -> None:
        """Sets the statistics that were measured."""
        self.mean.copy_(mean_C)
        self.deviation.copy_(deviation_C + MIN_DEVIATION)
