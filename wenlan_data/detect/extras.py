"""Libraries that only some detectors need."""

import importlib
from types import ModuleType

from wenlan_data.errors import RecipeError


def import_extra(module: str, *, by: str, extra: str) -> ModuleType:
    """The imported module. Raises `RecipeError` with the pip line to run where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"{by} needs the package {error.name}: run  pip install 'wenlan-data[{extra}]'"
        ) from error
