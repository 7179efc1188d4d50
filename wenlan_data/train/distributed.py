"""Collectives over `torch.distributed`, each a no-op in a single process.

One process needs no process group, so every function here also works when none was initialised.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

COLLECTIVE_TIMEOUT = timedelta(hours=2)
"""How long a rank waits for the others. Rank 0 reads a corpus for its tokenizer, and writes
checkpoints, while they wait; the death of a rank is noticed by its launcher, at once."""


@dataclass(frozen=True, slots=True)
class Distributed:
    """This process within the job: its rank, the number of ranks, and its device."""

    rank: int
    world_size: int
    device: torch.device
    nodes: int = 1
    """Machines that the ranks are on."""

    @property
    def is_main(self) -> bool:
        """Whether this rank (0) writes files and prints."""
        return self.rank == 0


def init_distributed() -> Distributed:
    """Initialises the process group from torchrun's variables; without them, a single process.

    Reads `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `LOCAL_WORLD_SIZE`. NCCL on GPUs, gloo on CPUs.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local_rank = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.is_available()
    device = torch.device(f"cuda:{local_rank}") if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(device)
    if world_size > 1 and not dist.is_initialized():
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            device_id=device if on_gpu else None,
            timeout=COLLECTIVE_TIMEOUT,
        )
    on_node = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    return Distributed(rank, world_size, device, nodes=-(-world_size // max(1, on_node)))


def destroy_distributed() -> None:
    """Destroys the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world_size() -> int:
    """The number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_rank() -> int:
    """The number of this rank."""
    return dist.get_rank() if dist.is_initialized() else 0


def all_gather(rows: Tensor) -> Tensor:
    """(B, ...) of every rank to (world_size x B, ...), in rank order; without gradients."""
    if not dist.is_initialized():
        return rows.detach()
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


def all_gather_packed(*columns: Tensor) -> list[Tensor]:
    """`all_gather` of several tensors (B, ...) in one collective, whatever their types.

    The latency of a collective, not its size, is what a few vectors cost.
    """
    if not dist.is_initialized():
        return [column.detach() for column in columns]
    packed = [
        column.detach().reshape(len(column), -1).contiguous().view(torch.uint8)
        for column in columns
    ]
    gathered = all_gather(torch.cat(packed, dim=1))
    parts = torch.split(gathered, [one.shape[1] for one in packed], dim=1)
    return [
        part.contiguous().view(column.dtype).reshape(-1, *column.shape[1:])
        for part, column in zip(parts, columns, strict=True)
    ]


def all_gather_rows(rows: Tensor) -> Tensor:
    """`all_gather` of parts that may have different numbers of rows."""
    if not dist.is_initialized():
        return rows
    counts = all_gather(torch.tensor([len(rows)], device=rows.device)).tolist()
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = torch.split(all_gather(padded), max(counts))
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def all_gather_with_gradients(rows: Tensor) -> Tensor:
    """`all_gather` whose backward pass sums the gradients that all ranks have for a row.

    DDP takes the mean of gradients over ranks. The sum here and that mean there give the gradient
    of the mean of the ranks' losses.
    """
    if not dist.is_initialized():
        return rows
    gathered: Tensor = _AllGather.apply(rows)  # type: ignore[no-untyped-call] # torch's own
    return gathered


class _AllGather(torch.autograd.Function):
    # The names of the parameters are those of torch's base class.
    @staticmethod
    def forward(context: FunctionCtx, rows: Tensor) -> Tensor:  # noqa: ARG004
        return all_gather(rows)

    @staticmethod
    def backward(context: FunctionCtx, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        parts = list(gradients[0].contiguous().chunk(dist.get_world_size()))
        own = torch.empty_like(parts[0])
        # A rank needs the sum of its own rows only: half the traffic of an all-reduce.
        dist.reduce_scatter(own, parts)
        return own


def all_reduce_mean(values: Tensor) -> Tensor:
    """The mean over ranks, elementwise."""
    if not dist.is_initialized():
        return values
    return _all_reduce(values, dist.ReduceOp.SUM) / dist.get_world_size()


def all_reduce_max(values: Tensor) -> Tensor:
    """The maximum over ranks, elementwise."""
    return _all_reduce(values, dist.ReduceOp.MAX) if dist.is_initialized() else values


def max_over_ranks(values: Sequence[float], distributed: Distributed) -> list[float]:
    """The largest of all ranks' values, one by one; a collective."""
    if distributed.world_size == 1:
        return [*values]
    own = torch.tensor(values, dtype=torch.float64, device=distributed.device)
    found: list[float] = all_reduce_max(own).tolist()
    return found


def sum_over_ranks(values: Sequence[float], distributed: Distributed) -> list[float]:
    """The sums of all ranks' values, one by one; a collective."""
    own = torch.tensor(values, dtype=torch.float64, device=distributed.device)
    found: list[float] = (all_reduce_mean(own) * distributed.world_size).tolist()
    return found


def on_any_rank(here: bool, distributed: Distributed) -> bool:
    """Whether `here` is true on any rank; a collective, so every rank must call it."""
    return bool(max_over_ranks([here], distributed)[0])


def _all_reduce(values: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    # A copy, since dist.all_reduce writes into its argument.
    reduced = values.clone()
    dist.all_reduce(reduced, operation)
    return reduced
