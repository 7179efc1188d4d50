"""Settings files: small YAML, found by name or path, with overrides and errors of one line."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import cast

import yaml
from pydantic import BaseModel, ValidationError

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import DamageError, RecipeError, in_short
from wenlan_data.files import read_bounded

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NUMBER_CHARS = 100
# libyaml, where it is there: a file of 1 MiB takes the scanner in Python 10 s.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
# Replaces messages that name Python types, or that differ between a model and a dataclass.
_MESSAGES = {
    "dataclass_type": "a mapping of keys to values is expected",
    "model_type": "a mapping of keys to values is expected",
    "tuple_type": "a list is expected, such as [a, b]",
}
_UNKNOWN_KEY = {"extra_forbidden", "unexpected_keyword_argument"}
"""pydantic's types of this error, for a model and for a dataclass."""


def pipelines_folder() -> Path:
    """Returns the folder of the named recipes and configs: in the wheel, or in the checkout."""
    installed = Path(__file__).parent / "_pipelines"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "pipelines"


def names_in(folder: Path) -> list[str]:
    """Returns the sorted names of the settings files in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_named(
    name_or_path: str, folder: Path, what: str, overrides: Sequence[str] = ()
) -> tuple[dict[str, object], str]:
    """Reads a settings file of `folder` by its name, or any .yaml file, and applies the overrides.

    Returns the mapping, and the path of the file. An override is `key.path=value`, with the value
    in YAML; `what` is the kind of file in messages ("recipe"). Raises `RecipeError`.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = folder / f"{name_or_path}.yaml"
        if not path.is_file():
            known = ", ".join(names_in(folder))
            if Path(name_or_path).is_file():
                raise RecipeError(
                    f"{name_or_path}: not a .yaml file: give a {what} in YAML, or one of {known}"
                )
            raise RecipeError(
                f"{what} {name_or_path!r} is not known: choose one of {known}, or give a .yaml file"
            )
    value = read_yaml(path)
    for override in overrides:
        _set_key(value, override)
    return value, str(path)


def read_yaml(path: Path) -> dict[str, object]:
    """Reads the mapping in a small YAML file. Raises `RecipeError`, see `parse_yaml`."""
    try:
        raw = read_bounded(path, MAX_FILE_BYTES)
    except DamageError as error:
        raise RecipeError(str(error)) from error
    except OSError as error:
        raise RecipeError(
            f"{path}: {error.strerror}: give the path of a readable YAML file"
        ) from error
    try:
        value = parse_yaml(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise RecipeError(f"{path}: not valid YAML ({in_short(error, 300)})") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: a mapping of keys to values is expected")
    return cast("dict[str, object]", value)


def parse_yaml(text: str) -> object:
    """Returns the value of a YAML document.

    Refuses what can take time or memory without bound: aliases (nested ones expand), tags, nesting
    beyond `MAX_DEPTH`, and numbers of more than `MAX_NUMBER_CHARS`. Raises `ValueError`.
    """
    try:
        _check_tokens(text)
        return yaml.load(text, Loader=_Loader)
    # A date of month 13 is a `ValueError`, a number in base 60 may be an `OverflowError`.
    except (yaml.YAMLError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_tokens(text: str) -> None:
    depth = 0
    # One by one: the scanner itself takes quadratic time for deep nesting.
    for token in yaml.scan(text, Loader=_Loader):
        if isinstance(token, _OPENING):
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} deep")
        elif isinstance(token, _CLOSING):
            depth -= 1
        elif isinstance(token, yaml.AliasToken):
            raise ValueError("YAML aliases (*name) are not supported: write the value out")
        elif isinstance(token, yaml.TagToken):
            raise ValueError("YAML tags (!name) are not supported: leave them out")
        elif isinstance(token, yaml.ScalarToken) and token.plain and _is_long_number(token.value):
            raise ValueError(f"a number of {len(token.value)} characters")


def _is_long_number(text: str) -> bool:
    return len(text) > MAX_NUMBER_CHARS and text[0] in "+-.0123456789"


def origin_of(error: ValidationError, path: str, overrides: Sequence[str]) -> str:
    """Returns what the first pydantic error is to be blamed on: the last override that sets its key
    or a part of it, or else the file.

    An example: `--set text.min_confidence=2`.
    """
    place = [str(part) for part in error.errors(include_url=False)[0]["loc"]]
    for override in reversed(overrides):
        key = override.partition("=")[0].split(".")
        if key == place[: len(key)] or place == key[: len(place)]:
            return f"--set {override}"
    return path


def describe(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Describes the first pydantic error: the path to the key, then what `model` would accept."""
    first = error.errors(include_url=False)[0]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]
    ).lstrip(".")
    message = _MESSAGES.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] in _UNKNOWN_KEY:
        keys = ", ".join(_keys(model, first["loc"][:-1]))
        message = "there is no such key here" + (f"; there are {keys}" if keys else "")
    more = error.error_count() - 1
    message, path = message[:500], path[:200]
    return (f"{path}: {message}" if path else message) + (f" (and {more} more)" if more else "")


def _keys(model: type[BaseModel] | None, path: Sequence[int | str]) -> list[str]:
    """Returns the keys of the part of `model` at `path`; none if lists or mappings lie between."""
    kind: object = model
    for part in path:
        kind = _field_types(kind).get(str(part))
    return list(_field_types(kind))


def _field_types(kind: object) -> dict[str, object]:
    """Name and type of each field of a pydantic model or a dataclass; empty for any other type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return {field.name: field.type for field in fields(kind)}
    return {}


def _set_key(value: dict[str, object], override: str) -> None:
    """Sets `key.path=value` (the value is YAML) in nested mappings. Raises `RecipeError`."""
    path, sign, raw = override.partition("=")
    if not sign:
        raise RecipeError(
            f"--set {override}: write it as KEY=VALUE, with dots between groups and key"
        )
    *parents, last = path.split(".")
    target = value
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: {parent} is not a group of keys")
        target = inner
    try:
        target[last] = _parse_value(raw)
    except ValueError as error:
        raise RecipeError(f"--set {override}: the value is not valid YAML") from error


def _parse_value(raw: str) -> object:
    try:
        return parse_yaml(raw)
    except ValueError:
        # JSON writes an emoji as two surrogates, which YAML refuses.
        if "\\ud" not in raw:
            raise
        return parse_json(raw.encode())
