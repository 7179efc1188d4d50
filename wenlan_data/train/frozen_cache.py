"""Computes the outputs of frozen modules once a batch, for the towers and their momentum copy.

Both see the same batch, and a frozen module has the same weights in both, so its output is the
same as long as its input is. Only an input that is the very same tensor counts as the same: the
cache therefore covers a chain of frozen modules from the input of a tower up to the first
operation in between that makes a new tensor.

timm and transformers call their submodules themselves, so features cannot be passed in as an
argument. Instead a forward hook on the module in the towers records its output, and the momentum
copy holds a `CachedModule` in its place, which returns that output.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor, nn

from wenlan_data.model.freezing import is_frozen


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    input: Tensor
    output: Tensor
    output_version: int
    """Tensor version of `output` when it was recorded: every in-place operation increments it."""


class FrozenCache:
    """Outputs of frozen modules for the batch that is being processed.

    A module's first tensor argument identifies its input; its other arguments (masks) must be a
    function of the batch.
    """

    def __init__(self) -> None:
        self._entries: dict[nn.Module, _CacheEntry] = {}
        self._recording = False

    def share(self, module: nn.Module) -> nn.Module:
        """Records the outputs of `module` from now on; returns the module that replays them."""
        module.register_forward_hook(self._record, with_kwargs=True)
        return CachedModule(module, self)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keeps outputs during one batch and releases their memory at the end.

        Outside, as in validation, nothing is kept and every module computes.
        """
        self._recording = True
        try:
            yield
        finally:
            self._recording = False
            self._entries.clear()

    def lookup(self, module: nn.Module, input: Tensor | None) -> Tensor | None:
        """The recorded output of `module` for this very tensor; None where it must be computed.

        An output that was written to in place since (an activation with `inplace=True` behind a
        frozen BatchNorm, as in a ResNet) no longer is what the module returned.
        """
        entry = self._entries.get(module)
        if entry is None or entry.input is not input:
            return None
        # `_version` has no public name. Autograd compares the same counter, to refuse a backward
        # pass over a tensor that was changed.
        return entry.output if entry.output._version == entry.output_version else None

    def _record(
        self, module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object], output: object
    ) -> None:
        input = first_tensor(args, kwargs)
        if self._recording and input is not None and isinstance(output, Tensor):
            self._entries[module] = _CacheEntry(input, output, output._version)


class CachedModule(nn.Module):
    """Takes the place of a frozen module in the momentum copy; see `FrozenCache`.

    The module is not registered as a child: its parameters belong to the towers, which train, save
    and move them. So `parameters()`, `buffers()` and `eval()` of the copy leave it alone.
    """

    def __init__(self, module: nn.Module, cache: FrozenCache) -> None:
        super().__init__()
        # nn.Module registers what is assigned as a module, but not what is inside a tuple.
        self._original = (module,)
        self._cache = cache

    @property
    def original(self) -> nn.Module:
        """The module of the towers."""
        return self._original[0]

    def forward(self, *args: object, **kwargs: object) -> object:
        """The recorded output for the same input, else that of the module."""
        cached = self._cache.lookup(self.original, first_tensor(args, kwargs))
        return self.original(*args, **kwargs) if cached is None else cached

    def __getattr__(self, name: str) -> Any:
        """Reads attributes of the module, as `feature_map` does of a backbone that is frozen."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.original, name)


def first_tensor(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Tensor | None:
    """The first tensor among the arguments of a call."""
    return next((one for one in chain(args, kwargs.values()) if isinstance(one, Tensor)), None)


def frozen_modules(module: nn.Module) -> Iterator[nn.Module]:
    """The largest frozen modules below `module` that are called as a whole.

    `freezing.set_training` keeps them in evaluation mode, so they have no dropout.
    """
    for child in module.children():
        # A ModuleList is never called, only the modules in it.
        if is_frozen(child) and not isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield child
        else:
            yield from frozen_modules(child)
