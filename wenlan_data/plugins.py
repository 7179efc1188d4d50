"""Finds rules, detectors and sources by file name: a new file is a new plug-in, without a
registry."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from wenlan_data.errors import RecipeError


def names(package: str) -> list[str]:
    """Returns the sorted names of the plug-ins of `package`: its modules."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return []
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(module.name for module in found if not module.ispkg)


@cache
def find(package: str, name: str) -> type:
    """Returns the class of `package`'s plug-in `name`, or of a third-party one at a dotted path.

    A file `han_ratio.py` holds the class `HanRatio`. Raises `RecipeError` with the names that
    exist.
    """
    path = name if "." in name else f"{package}.{name}"
    class_name = "".join(word.capitalize() for word in path.rpartition(".")[2].split("_"))
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name and path.startswith(error.name):
            known = ", ".join(names(package))
            raise RecipeError(
                f"{name!r} is not known here: choose one of {known}, or give a dotted path"
            ) from error
        raise RecipeError(f"{name!r} needs the package {error.name!r}: pip install it") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise RecipeError(
            f"{path} holds no dataclass {class_name}: a plug-in has the name of its file"
        )
    return found


def build(package: str, name: str, parameters: Mapping[str, object]) -> object:
    """Builds the plug-in and validates its parameters against its fields.

    Raises `RecipeError`, whose message starts with the wrong parameter.
    """
    kind = find(package, name)
    known = [field.name for field in fields(kind) if field.init]
    for parameter in parameters:
        if parameter not in known:
            allowed = ", ".join(known) or "none"
            raise RecipeError(f"{parameter}: {name} has no such parameter (it has: {allowed})")
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    try:
        return adapter.validate_python(dict(parameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        raise RecipeError(f"{where}: {first['msg']}") from error
