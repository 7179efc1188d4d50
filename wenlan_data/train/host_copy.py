"""A copy of a checkpoint's tensors in the memory of the host, which later steps cannot change."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from wenlan_data.errors import WenlanError

NamedTensors = Mapping[str, Mapping[str, Tensor]]
"""By file name without its suffix, then by tensor name."""


class HostMemoryError(WenlanError):
    """The host has no memory for a copy."""


class HostCopy:
    """Memory for one copy. It is kept, so that only the first copy takes new memory.

    Pinned where the tensors are on a GPU: the GPU then writes to it directly, several times faster.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def copy(self, tensors: NamedTensors) -> dict[str, dict[str, Tensor]]:
        """Returns contiguous copies; valid until the next call.

        Raises `HostMemoryError` where there is no memory for them; nothing is kept then.
        """
        try:
            self._allocate(tensors)
        except HostMemoryError:
            self._buffers.clear()
            raise
        copies: dict[str, dict[str, Tensor]] = {}
        for stem, named in tensors.items():
            copies[stem] = {name: self._buffers[stem, name] for name in named}
            for name, one in named.items():
                copies[stem][name].copy_(one, non_blocking=True)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return copies

    def _allocate(self, tensors: NamedTensors) -> None:
        missing = {
            (stem, name): one
            for stem, named in tensors.items()
            for name, one in named.items()
            if not _fits(self._buffers.get((stem, name)), one)
        }
        needed = sum(_buffer_bytes(one) for one in missing.values())
        available = available_bytes()
        if available is not None and needed > available:
            raise HostMemoryError(f"{needed >> 20} MiB needed, {available >> 20} MiB available")
        try:
            for key, one in missing.items():
                self._buffers[key] = torch.empty(
                    one.shape, dtype=one.dtype, pin_memory=one.device.type == "cuda"
                )
        except (MemoryError, RuntimeError) as error:
            raise HostMemoryError(f"{needed >> 20} MiB needed") from error


def _buffer_bytes(tensor: Tensor) -> int:
    size = tensor.numel() * tensor.element_size()
    # torch allocates pinned memory in powers of two.
    return 1 << max(0, size - 1).bit_length() if tensor.device.type == "cuda" else size


def _fits(buffer: Tensor | None, tensor: Tensor) -> bool:
    return buffer is not None and buffer.shape == tensor.shape and buffer.dtype == tensor.dtype


def available_bytes() -> int | None:
    """Memory that this host, or the container, can give without swapping; None where that is not
    known. Linux grants more than it has and kills the process that then writes to it."""
    found: list[int] = []
    with suppress(OSError, ValueError, KeyError):
        found.append(_fields(Path("/proc/meminfo"))["MemAvailable:"] << 10)
    group = Path("/sys/fs/cgroup")
    # `memory.max` is `max` without a limit, a `ValueError`.
    with suppress(OSError, ValueError, KeyError):
        used = int((group / "memory.current").read_text())
        cache = _fields(group / "memory.stat")["inactive_file"]
        found.append(int((group / "memory.max").read_text()) - used + cache)
    return max(0, min(found)) if found else None


def _fields(path: Path) -> dict[str, int]:
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: int(words[1]) for words in lines}
