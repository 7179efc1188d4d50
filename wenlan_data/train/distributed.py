"""What ranks say to each other: one process is a world of its own, and every function here works for it."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among all."""

    rank: int
    ranks: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this one writes files and lines."""
        return self.rank == 0


def join() -> Ranks:
    """Join the world that the environment names (`RANK`, `WORLD_SIZE`, as torchrun sets them), or be alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device(f"cuda:{local}") if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", device_id=_id(device))
    return Ranks(rank, world, device)


def leave() -> None:
    """Leave the world, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def gather(rows: Tensor) -> Tensor:
    """(B, ...) of every rank to (ranks x B, ...), in the order of ranks; without gradients."""
    if not dist.is_initialized():
        return rows.detach()
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


def gather_with_gradients(rows: Tensor) -> Tensor:
    """As `gather`; the gradient of a row is the sum of what all ranks give it.

    With the mean over ranks that DDP takes, the gradient is that of the mean of the ranks' losses.
    """
    if not dist.is_initialized():
        return rows
    found: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call] # torch's own
    return found


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: FunctionCtx, rows: Tensor) -> Tensor:  # noqa: ARG004 # the role of torch names it
        return gather(rows)

    @staticmethod
    def backward(context: FunctionCtx, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        whole = _reduced(gradients[0].contiguous(), dist.ReduceOp.SUM)
        return whole.chunk(dist.get_world_size())[dist.get_rank()]


def mean(values: Tensor) -> Tensor:
    """The mean over ranks of each value."""
    return (
        _reduced(values, dist.ReduceOp.SUM) / dist.get_world_size()
        if dist.is_initialized()
        else values
    )


def most(values: Tensor) -> Tensor:
    """The largest over ranks of each value."""
    return _reduced(values, dist.ReduceOp.MAX) if dist.is_initialized() else values


def wait_for_all() -> None:
    """Go on when every rank is here."""
    if dist.is_initialized():
        dist.barrier()


def _reduced(values: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
    found = values.clone()
    dist.all_reduce(found, how)
    return found


def _id(device: torch.device) -> torch.device | None:
    return device if device.type == "cuda" else None
