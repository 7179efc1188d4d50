"""What frozen parts give for a batch is computed once: the momentum towers have the very same parts."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class _Given:
    first: Tensor
    """The input that it was computed from."""
    output: Tensor
    version: int
    """Of the output: it grows when something writes into it."""


class FrozenOutputs:
    """Remembers the outputs of frozen parts while `remembering`, and gives them again for the same input.

    The same input is the same tensor as the first argument, no copy of it; what else a part is given (a mask) must be
    a function of the batch. An output that something wrote into is computed again.
    """

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        self._given: dict[int, _Given] = {}
        self._remembers = False
        for number, part in enumerate(parts):
            part.forward = partial(self._once, number, part.forward)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """For the passes of all towers over one batch. The outputs are let go of at the end."""
        self._remembers = True
        try:
            yield
        finally:
            self._remembers = False
            self._given.clear()

    def _once(
        self, number: int, forward: Callable[..., object], *given: object, **named: object
    ) -> object:
        first = next((one for one in chain(given, named.values()) if isinstance(one, Tensor)), None)
        known = self._given.get(number)
        if known is not None and known.first is first and known.output._version == known.version:
            return known.output
        output = forward(*given, **named)
        if self._remembers and first is not None and isinstance(output, Tensor):
            self._given[number] = _Given(first, output, output._version)
        return output


def is_frozen(module: nn.Module) -> bool:
    """Whether it has parameters and none learns. Such a part stays in evaluation mode (`freezing.set_training`)."""
    learns = [parameter.requires_grad for parameter in module.parameters()]
    return bool(learns) and not any(learns)


def frozen_parts(module: nn.Module) -> Iterator[nn.Module]:
    """The largest frozen parts below a module that are called as a whole."""
    for child in module.children():
        # A list is never called, only what is in it.
        if is_frozen(child) and not isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield child
        else:
            yield from frozen_parts(child)
