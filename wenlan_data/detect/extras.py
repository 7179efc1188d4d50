"""Optional packages of single detectors."""

import importlib
from types import ModuleType

from wenlan_data.errors import RecipeError


def import_extra(module: str, *, by: str, extra: str) -> ModuleType:
    """Imports and returns a module.

    Raises `RecipeError` with the pip command if its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"{by} needs the package {error.name}: run  pip install 'wenlan-data[{extra}]'"
        ) from error
