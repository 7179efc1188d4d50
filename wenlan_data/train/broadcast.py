"""What the main rank reads, for all ranks: values as JSON, and tensors in pieces.

Else each of 64 ranks would read and hash the same checkpoint.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from wenlan_data.errors import OtherRankError, exit_code_of
from wenlan_data.model.checkpoint import Checkpoint, CheckpointState
from wenlan_data.model.checkpoint_tensors import CheckpointTensors
from wenlan_data.model.tensor_file import TensorSpec
from wenlan_data.train.distributed import Distributed

PIECE_BYTES = 1 << 26
ResultT = TypeVar("ResultT")
_Specs = dict[str, dict[str, tuple[tuple[int, ...], str]]]
"""Shape and type, by file and name."""


def read_by_main(distributed: Distributed, read: Callable[[], ResultT]) -> ResultT:
    """Returns on all ranks what `read` returns on the main rank, in JSON types; a collective.

    An error of `read` is raised on the main rank. The others raise `OtherRankError` with its exit
    code then.
    """
    if distributed.world_size == 1:
        return read()
    results: list[ResultT] = []
    data = bytearray()

    def encode() -> int:
        results.append(read())
        data.extend(json.dumps(results[0]).encode())
        return len(data)

    size = _call_on_main(distributed, encode)
    body = torch.frombuffer(data or bytearray(size), dtype=torch.uint8).to(distributed.device)
    _broadcast(body)
    if results:
        return results[0]
    received: ResultT = json.loads(body.cpu().numpy().tobytes())
    return received


def broadcast_checkpoint(
    distributed: Distributed, load: Callable[[], Checkpoint | None]
) -> Checkpoint | None:
    """Returns on all ranks the checkpoint that `load` returns on the main rank; a collective.

    So is each look-up of one of its tensors, which all ranks do in the same order, and get on their
    device. Errors as those of `read_by_main`.
    """
    if distributed.world_size == 1:
        return load()
    loaded: list[Checkpoint] = []

    def describe() -> tuple[str, dict[str, object], _Specs] | None:
        found = load()
        if found is None:
            return None
        loaded.append(found)
        specs = {
            stem: {name: (one.shape, one.dtype) for name, one in named.items()}
            for stem, named in found.tensors.specs.items()
        }
        return str(found.path), found.state.model_dump(mode="json"), specs

    described = read_by_main(distributed, describe)
    if described is None:
        return None
    path, state, given = Path(described[0]), described[1], described[2]
    specs = {
        stem: {name: TensorSpec(tuple(shape), dtype) for name, (shape, dtype) in named.items()}
        for stem, named in given.items()
    }

    def read(stem: str, name: str) -> Tensor:
        found: list[Tensor] = []

        def load_tensor() -> int:
            found.append(loaded[0].tensors[stem][name].to(distributed.device).contiguous())
            return 0

        _call_on_main(distributed, load_tensor)
        tensor = found[0] if found else _empty(specs[stem][name], distributed.device)
        _broadcast(tensor)
        return tensor

    return Checkpoint(
        path=path,
        state=CheckpointState.model_validate(state),
        tensors=CheckpointTensors(path, specs, read),
    )


def broadcast_tensors(distributed: Distributed, tensors: Iterable[Tensor]) -> None:
    """Sets tensors, in place, to those of the main rank; a collective."""
    if distributed.world_size == 1:
        return
    for one in tensors:
        found = one.detach().to(distributed.device).contiguous()
        _broadcast(found)
        with torch.no_grad():
            one.copy_(found)


def _call_on_main(distributed: Distributed, action: Callable[[], int]) -> int:
    """Returns on all ranks the number that `action` returns on the main rank, or raises."""
    failure: Exception | None = None
    number = 0
    if distributed.is_main:
        try:
            number = action()
        except Exception as error:  # noqa: BLE001 # raised below, once the other ranks know of it
            failure = error
    exit_code = 0 if failure is None else exit_code_of(failure)
    header = torch.tensor([exit_code, number], device=distributed.device)
    dist.broadcast(header, 0)
    exit_code, number = (int(value) for value in header.tolist())
    if failure is not None:
        raise failure
    if exit_code:
        raise OtherRankError("the main rank failed", exit_code)
    return number


def _broadcast(tensor: Tensor) -> None:
    """Sends a contiguous tensor from the main rank to the same one of the others."""
    flat = tensor.reshape(-1).view(torch.uint8)
    for start in range(0, len(flat), PIECE_BYTES):
        dist.broadcast(flat[start : start + PIECE_BYTES], 0)


def _empty(spec: TensorSpec, device: torch.device) -> Tensor:
    return torch.empty(spec.shape, dtype=getattr(torch, spec.dtype), device=device)
