"""What a training minimises: a role, and how an objective is found by its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar, cast

from torch import Tensor, nn

from wenlan_data import plugins
from wenlan_data.model.checkpoint import Checkpoint
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.sharded_tensor import copy_whole
from wenlan_data.model.towers import Towers
from wenlan_data.train.batches import Batch

Outputs = TypeVar("Outputs")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The vectors and ids of a micro-batch, of all ranks: G rows each."""

    image_GD: Tensor
    text_GD: Tensor
    ids_G: Tensor
    pages_G: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLoss:
    """The loss of a micro-batch, of this rank."""

    loss: Tensor
    """A scalar; the mean over ranks is the loss of the whole micro-batch."""
    figures: Tensor
    """float64 (len(objective.figures),); finite where the loss is."""
    others: int = 0
    """Entries beside the positive that are negatives of a query unless they are masked."""
    keys: Gathered | None = None
    """What `after_part` keeps; None where it keeps nothing."""


class Objective(Protocol[Outputs]):
    """A loss over what the model makes of a batch, with the state that it keeps between steps.

    The methods are called in the order in which they are listed, `outputs` to `after_part` for each
    micro-batch. `objectives/NAME.py` holds the class of `objective: NAME`; installed packages may
    declare others as entry points of `wenlan_data.objectives`.
    """

    figures: tuple[str, ...]
    """Names of what is logged of a step; the first one is `loss`."""
    spans_step: bool
    """Whether the loss is one over all micro-batches of a step, such as one whose negatives come
    from the batch. `outputs` returns (image, text, scale) then."""

    @classmethod
    def start(cls, towers: Towers, config: TrainConfig) -> Self:
        """The objective at step 0. The towers are on their device and in training mode."""

    def copies(self) -> list[Towers]:
        """The copies of the towers that it holds, which are divided among the ranks as they are
        (`parallel: fsdp`)."""

    def before_step(self) -> None:
        """Is called once before each step."""

    def outputs(self, module: nn.Module, inputs: Inputs) -> Outputs:
        """Runs the model. `module` is the towers, or a wrapper around them; autocast is on."""

    def loss(self, outputs: Outputs, batch: Batch) -> PartLoss:
        """The loss of this rank's part of a micro-batch."""

    def after_part(self, part: PartLoss) -> None:
        """Is called after the backward pass of a micro-batch."""

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of a checkpoint besides weights and optimizer, by file and name."""

    def counters(self) -> dict[str, int]:
        """`queue_fill` and `queue_pointer` of `CheckpointState`, where it has queues."""

    def check(self, checkpoint: Checkpoint) -> None:
        """Raises `RecipeError` or `DamageError` where a checkpoint does not hold its tensors,
        before any is read."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores its state from a checkpoint that was checked."""


def find_objective(name: str) -> type[Objective[Any]]:
    """The class of an objective. Raises `RecipeError` with the names that exist."""
    return cast("type[Objective[Any]]", plugins.find(plugins.OBJECTIVES, name))


def copy_tensors(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Copies the values of `given` into the tensors of the same names."""
    for name, tensor in own.items():
        copy_whole(tensor, given[name])
