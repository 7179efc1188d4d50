"""An exponential moving average of the weights, which is evaluated in place of the last ones."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from wenlan_data.model.checkpoint import EMA, Checkpoint
from wenlan_data.model.towers import Towers
from wenlan_data.train.momentum import averaged_parameters, momentum_copy, update_momentum
from wenlan_data.train.objective import copy_tensors


@dataclass(frozen=True, slots=True)
class WeightEma:
    """Towers whose trained parameters are averages; frozen ones are those of the towers."""

    towers: Towers
    decay: float

    @classmethod
    def start(cls, towers: Towers, decay: float, *, shares_frozen: bool = True) -> Self:
        """The average of the weights at step 0, on the device of the towers; `shares_frozen` as in
        `momentum_copy`."""
        return cls(momentum_copy(towers, shares_frozen=shares_frozen), decay)

    def update(self, towers: Towers, step: int) -> None:
        """Adds the weights after `step`, from 0.

        At the start the decay is less, min(decay, (1 + step) / (10 + step)), as in TensorFlow's
        ExponentialMovingAverage: else the first weights, which are random, would stay for long.
        """
        update_momentum(towers, self.towers, min(self.decay, (1 + step) / (10 + step)))

    def tensors(self, towers: Towers) -> dict[str, Tensor]:
        """The averaged parameters, by the names of the towers."""
        pairs = averaged_parameters(towers, self.towers)
        return {name: averaged for name, (averaged, _) in pairs.items()}

    def check(self, checkpoint: Checkpoint, towers: Towers) -> None:
        """Raises `RecipeError` where a checkpoint does not hold the averages."""
        checkpoint.tensors.check(EMA, self.tensors(towers))

    def restore(self, checkpoint: Checkpoint, towers: Towers) -> None:
        """Restores the averages from a checkpoint that was checked."""
        copy_tensors(self.tensors(towers), checkpoint.tensors[EMA])
        buffers = dict(towers.named_buffers())
        copy_tensors(
            {name: one for name, one in self.towers.named_buffers() if one is not buffers[name]},
            buffers,
        )
