"""The tensors of a checkpoint, by file and name, each read when it is looked up."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from wenlan_data.errors import RecipeError
from wenlan_data.model.tensor_file import TensorSpec, different_names


class LazyTensors(Mapping[str, Tensor]):
    """The tensors of a file by name, each read when it is looked up."""

    def __init__(self, specs: Mapping[str, TensorSpec], read: Callable[[str], Tensor]) -> None:
        self._specs = specs
        self._read = read

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._specs:
            raise KeyError(name)
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)


class CheckpointTensors(Mapping[str, LazyTensors]):
    """The tensors of a checkpoint by file name without its suffix, then by tensor name.

    `read` returns one of them, by both names.
    """

    def __init__(
        self,
        path: Path,
        specs: Mapping[str, Mapping[str, TensorSpec]],
        read: Callable[[str, str], Tensor],
    ) -> None:
        self._path = path
        self.specs = specs
        self._read = read

    def __getitem__(self, stem: str) -> LazyTensors:
        return LazyTensors(self.specs[stem], partial(self._read, stem))

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)

    def check(
        self,
        stem: str,
        expected: Mapping[str, Tensor],
        optional: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        """Raises `RecipeError` unless a file holds the expected names, shapes and types.

        It may hold the optional ones too.
        """
        given: Mapping[str, TensorSpec] = self.specs.get(stem, {})
        also = {name: one for name, one in optional.items() if name in given}
        wanted = {**also, **expected}
        different = next(different_names(given, wanted), None)
        if different is not None:
            raise RecipeError(
                f"{self._path / stem}.safetensors: made with another config (see {different}): "
                "use the config that made it"
            )
