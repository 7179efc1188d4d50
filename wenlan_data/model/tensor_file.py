"""Safetensors files: writing, and names, shapes and types from the header, before a tensor is
read."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from wenlan_data.files import sync

MAX_HEADER_BYTES = 1 << 24
"""A header has about 100 bytes a tensor, and takes ten times its size in memory."""
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How the library, written in Rust, reports an error of the system."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and type of a tensor."""

    shape: tuple[int, ...]
    dtype: str
    """torch's name, such as `float32`."""


def spec_of(tensor: Tensor) -> TensorSpec:
    """The shape and type of a tensor, which may be on the meta device."""
    return TensorSpec(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def read_specs(path: Path) -> dict[str, TensorSpec]:
    """Reads the header of a safetensors file: what it holds, by name. Reads no tensor.

    The library has checked that the tensors fill the file exactly. Raises `ValueError` with the
    reason where it is no such file, `OSError` where it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    if header_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {header_bytes} bytes, more than {MAX_HEADER_BYTES}")
    try:
        with safe_open(path, framework="pt") as opened:
            views = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            kinds = {name: (one.get_shape(), str(one.get_dtype())) for name, one in views.items()}
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    unknown = [f"{name} is {kind}" for name, (_, kind) in kinds.items() if kind not in _DTYPES]
    if unknown:
        raise ValueError(f"{unknown[0]}, not one of {', '.join(_DTYPES)}")
    return {name: TensorSpec(tuple(shape), _DTYPES[kind]) for name, (shape, kind) in kinds.items()}


class TensorReader:
    """Reads the tensors of a safetensors file one by one; raises as `read_specs` does."""

    def __init__(self, path: Path) -> None:
        self.specs = read_specs(path)
        try:
            self._file: Any = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ValueError(str(error)) from error

    def read(self, name: str) -> Tensor:
        """The tensor of that name, which may be a view of the file."""
        try:
            tensor: Tensor = self._file.get_tensor(name)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        return tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads all tensors of a safetensors file; raises as `read_specs` does."""
    reader = TensorReader(path)
    return {name: reader.read(name) for name in reader.specs}


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes a new file and flushes it; raises `OSError`.

    The library takes no second copy of the tensors, and other threads run meanwhile.
    """
    with path.open("xb") as file:
        mode = os.fstat(file.fileno()).st_mode
    try:
        save_file({name: one.detach().cpu().contiguous() for name, one in tensors.items()}, path)
    except SafetensorError as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error
    # The library replaces the file by one that only its owner may read.
    path.chmod(mode & 0o777)
    sync(path)


def different_names(
    given: Mapping[str, TensorSpec], expected: Mapping[str, Tensor]
) -> Iterator[str]:
    """Yields names of expected tensors that are missing or of another shape or type, then names
    that are not expected."""
    for name, tensor in expected.items():
        if given.get(name) != spec_of(tensor):
            yield name
    yield from sorted(given.keys() - expected.keys())
