"""Finds rules, detectors and sources by name.

A plug-in is a frozen dataclass. Its name is looked up in this package, then in the modules that the
operator named (`--plugins`), then among the entry points of installed packages. A recipe or sources
file never makes Python import a module: it holds names, and a name is only looked up.
"""

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from wenlan_data.errors import RecipeError, UsageError, in_short

OPTION = "--plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a plug-in does, and where plug-ins of this kind are found."""

    noun: str
    """As a message names it."""
    key: str
    """The key of a recipe or sources file that holds the name."""
    package: str
    """The package whose modules are the built-in plug-ins, one each."""
    group: str
    """The group of entry points in which installed packages declare theirs."""
    method: str
    """A method that a class of this role has, and a class of another role has not."""


RULES = Role(
    noun="text rule",
    key="rule",
    package="wenlan_data.clean.rules",
    group="wenlan_data.rules",
    method="__call__",
)
DETECTORS = Role(
    noun="detector",
    key="detector",
    package="wenlan_data.detect.detectors",
    group="wenlan_data.detectors",
    method="load_boxes",
)
SOURCES = Role(
    noun="source",
    key="kind",
    package="wenlan_data.sources",
    group="wenlan_data.sources",
    method="crawl_seeds",
)
OBJECTIVES = Role(
    noun="training objective",
    key="objective",
    package="wenlan_data.train.objectives",
    group="wenlan_data.objectives",
    method="after_part",
)
ROLES = (RULES, DETECTORS, SOURCES)
"""Roles of recipes and sources, which `--plugins` serves."""

_modules: dict[str, ModuleType] = {}
"""The modules that the operator named, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugIn:
    """A plug-in that may be named; its code may not be imported yet."""

    name: str
    origin: str
    """`wenlan-data`, a module of `--plugins`, or an installed package with its version."""
    load: Callable[[], type]
    """Imports it and returns its class. Raises `RecipeError` if that fails."""
    is_loaded: bool
    """Whether `load` imports nothing that another package wrote."""


def use_modules(modules: Sequence[str]) -> None:
    """Imports the modules that the operator names, and makes their plug-ins available by name.

    Every public dataclass of such a module with the method of a role is a plug-in; its name is that
    of the class in lower case with underscores (`HanRatio` is `han_ratio`). Replaces the modules of
    an earlier call. Parts of a build refer to these classes by module and name, so that the module
    must be importable in every worker as well. Raises `UsageError`.
    """
    found = {module: _import_module(module) for module in modules}
    for name, module in found.items():
        mine = [class_name for role in ROLES for class_name in _classes(module, role)]
        if not mine:
            raise UsageError(
                f"{OPTION} {name}: this module holds no plug-in: write a dataclass that is a text "
                "rule, a detector or a source (wenlan_data.protocols)"
            )
    for role in ROLES:
        built_in = _built_in(role)
        taken: dict[str, str] = {}
        for name, module in found.items():
            for class_name in _classes(module, role):
                if class_name in built_in or class_name in taken:
                    raise UsageError(
                        f"{OPTION} {name}: the {role.noun} {class_name!r} exists already in "
                        f"{taken.get(class_name, 'wenlan-data')}: rename the class"
                    )
                taken[class_name] = name
    _modules.clear()
    _modules.update(found)


def module_paths() -> list[str]:
    """Returns the files and folders of the top-level modules of `use_modules`, for workers on other
    machines."""
    paths = dict.fromkeys(
        path
        for name in _modules
        for path in _path_of(importlib.import_module(name.partition(".")[0]))
    )
    return list(paths)


def names(role: Role) -> list[str]:
    """Returns the sorted names of the plug-ins of a role. Imports none of them."""
    return sorted(plug_ins(role))


def plug_ins(role: Role) -> dict[str, PlugIn]:
    """Returns the plug-ins of a role by name, those of this package first.

    A name of this package stays what it is, whatever is installed. A name that two installed
    packages declare is refused when it is used.
    """
    found = {
        name: PlugIn(
            name=name,
            origin="wenlan-data",
            load=partial(_load_built_in, role, name),
            is_loaded=True,
        )
        for name in sorted(_built_in(role))
    }
    others = [*_of_modules(role), *_of_packages(role)]
    for one in others:
        if one.name not in found:
            found[one.name] = one
        elif found[one.name].origin != "wenlan-data":
            found[one.name] = _either(role, found[one.name], one)
    return found


@cache
def _load_built_in(role: Role, name: str) -> type:
    module = importlib.import_module(f"{role.package}.{name}")
    found: type = getattr(module, "".join(word.capitalize() for word in name.split("_")))
    return found


def find(role: Role, name: str) -> type:
    """Returns the class of the plug-in of that name.

    Raises `RecipeError` with the names that exist, and for the path of a module.
    """
    if name in _built_in(role):
        return _load_built_in(role, name)
    if "." in name:
        module, _, last = name.rpartition(".")
        # Classes have a capital letter, by custom: the module is what stands before.
        module = module if last[:1].isupper() else name
        raise RecipeError(
            f"{name!r} names a module, and modules are not imported by name from here: install a "
            f"package that declares the {role.noun} as an entry point of {role.group}, or name "
            f"its module on the command line ({OPTION} {module}); then write its name without dots"
        )
    found = plug_ins(role)
    if name not in found:
        known = ", ".join(sorted(found))
        raise RecipeError(
            f"{name!r} is not known here: choose one of {known}; a {role.noun} of another package "
            f"must be installed with an entry point of {role.group}, or be in a module that is "
            f"named on the command line ({OPTION} MODULE)"
        )
    return found[name].load()


def build(role: Role, name: str, parameters: Mapping[str, object]) -> object:
    """Builds the plug-in and validates its parameters against its fields.

    Raises `RecipeError`, whose message starts with the wrong parameter.
    """
    kind = find(role, name)
    known = [field.name for field in fields(kind) if field.init]
    for parameter in parameters:
        if parameter not in known:
            allowed = ", ".join(known) or "none"
            raise RecipeError(f"{parameter}: {name} has no such parameter (it has: {allowed})")
    try:
        return type_adapter(kind).validate_python(dict(parameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        raise RecipeError(f"{where}: {first['msg']}") from error


def type_adapter(kind: type) -> TypeAdapter[object]:
    """Returns what validates the parameters of a plug-in. Raises `RecipeError` for a class whose
    fields have types that cannot be checked."""
    try:
        return TypeAdapter(kind)
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise RecipeError(
            f"{kind.__module__}.{kind.__qualname__}: a field has a type that cannot be checked "
            f"({in_short(error)}): use int, float, str, bool, or tuples of them"
        ) from error


@cache
def _built_in(role: Role) -> frozenset[str]:
    spec = importlib.util.find_spec(role.package)
    if spec is None or spec.submodule_search_locations is None:
        return frozenset()
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return frozenset(module.name for module in found if not module.ispkg)


def _import_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"{OPTION} {name}: write the name of a module, such as my_package.rules, and no path"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"{OPTION} {name}: there is no module {error.name!r}: install it, or set "
                "PYTHONPATH to the folder that holds it"
            ) from error
        raise UsageError(
            f"{OPTION} {name}: it needs the package {error.name!r}: install it"
        ) from error
    # A module of another package may do anything when it is imported, also exit.
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{OPTION} {name}: cannot be imported ({type(error).__name__}: {in_short(error)}): "
            "correct the module"
        ) from error


def _classes(module: ModuleType, role: Role) -> dict[str, type]:
    """The plug-ins of a role in a module, by name; not those that it imports from elsewhere."""
    return {
        _snake_case(name): kind
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and is_dataclass(kind)
        and f"{kind.__module__}.".startswith(f"{module.__name__}.")
        and not name.startswith("_")
        and any(role.method in vars(base) for base in kind.__mro__)
    }


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _of_modules(role: Role) -> list[PlugIn]:
    return [
        PlugIn(
            name=name,
            origin=module.__name__,
            load=partial(_same, kind),
            is_loaded=True,
        )
        for module in _modules.values()
        for name, kind in _classes(module, role).items()
    ]


def _same(kind: type) -> type:
    return kind


def _of_packages(role: Role) -> list[PlugIn]:
    try:
        declared = entry_points(group=role.group)
    # The reader of entry points raises whatever a malformed file makes it stumble on.
    except Exception as error:
        raise RecipeError(
            "the entry points of an installed package cannot be read "
            f"({type(error).__name__}: {in_short(error)}): reinstall that package"
        ) from error
    return [
        PlugIn(
            name=point.name,
            origin=_origin(point),
            load=partial(_load_entry_point, role, point),
            is_loaded=False,
        )
        # Sorted: the order of the files of a folder must not decide what a message says.
        for point in sorted(declared, key=_origin)
        if "." not in point.name
    ]


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module


@cache
def _load_entry_point(role: Role, point: EntryPoint) -> type:
    where = f"{point.name!r} ({point.value}, {point.dist.name if point.dist else point.group})"
    try:
        found = point.load()
    # As in `_import_module`.
    except (Exception, SystemExit) as error:
        raise RecipeError(
            f"{where}: cannot be imported ({type(error).__name__}: {in_short(error)}): "
            "reinstall the package, or correct it"
        ) from error
    if not (isinstance(found, type) and is_dataclass(found)):
        raise RecipeError(f"{where}: is no dataclass, as a {role.noun} must be")
    return found


def _either(role: Role, one: PlugIn, other: PlugIn) -> PlugIn:
    """A name that is declared twice: usable only if both declare the same class."""

    def load() -> type:
        found = one.load()
        if other.load() is not found:
            raise RecipeError(
                f"the {role.noun} {one.name!r} exists in {one.origin} and in {other.origin}: "
                "uninstall one of them, or rename it"
            )
        return found

    return PlugIn(name=one.name, origin=f"{one.origin}, {other.origin}", load=load, is_loaded=False)


def _path_of(module: ModuleType) -> list[str]:
    if hasattr(module, "__path__"):
        return [str(Path(path)) for path in module.__path__]
    return [str(Path(module.__file__))] if module.__file__ else []
