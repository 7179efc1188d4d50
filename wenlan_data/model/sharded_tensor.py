"""Tensors of which each rank holds a part (`parallel: fsdp`), and whole ones."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """The part that this rank holds, in the same memory; the tensor itself where it is whole."""
    part: Tensor = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return part


def part_of(whole: Tensor, own: Tensor) -> Tensor:
    """The part of a whole tensor that this rank holds of `own`, which has the same shape."""
    if not isinstance(own, DTensor):
        return whole
    return local(
        distribute_tensor(
            # All ranks have the whole tensor: nothing is sent.
            whole.to(own.device), own.device_mesh, own.placements, src_data_rank=None
        )
    )  # fmt: skip


def gathered(tensor: Tensor) -> Tensor:
    """The whole tensor; a collective where each rank holds a part."""
    whole: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return whole


@torch.no_grad()
def copy_whole(own: Tensor, whole: Tensor) -> None:
    """Copies a whole tensor into `own`, of which this rank may hold a part."""
    local(own).copy_(part_of(whole, own))
