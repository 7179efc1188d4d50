"""State of a build as JSON files with a checksum, so that a changed one is found before its use.

    {"crc32c": "5f0a36b2", "value": ...}

The checksum is of the value as canonical JSON. Files of older builds hold the value alone; their
types are checked all the same.
"""

import json
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import google_crc32c
from pydantic import TypeAdapter

from wenlan_data.errors import DamageError, from_os_error, in_short, os_errors, retry_once
from wenlan_data.files import read_bounded, write_atomic

ValueT = TypeVar("ValueT")

Remedy = str | Callable[[], str]
"""What to do about a corrupt file: a text, or what returns it. Receipts are read in thousands, and
their remedies look for other parts."""

_KEYS = {"crc32c", "value"}
_MAX_BYTES = 1 << 29
"""A plan takes about 300 bytes for each of its parts."""


def encode_state(value: object) -> bytes:
    """Returns the bytes of a state file."""
    # Through JSON once: keys that are numbers become strings, which are ordered differently.
    text = _canonical(json.loads(json.dumps(value)))
    return f'{{"crc32c": "{_checksum(text)}", "value": {text}}}\n'.encode()


def save_state(path: Path, value: object) -> None:
    """Replaces a state file atomically."""
    data = encode_state(value)
    with os_errors(path):
        retry_once(lambda: write_atomic(path, data))


def load_state(path: Path, kind: type[ValueT], remedy: Remedy) -> ValueT | None:
    """Returns the value of a state file as `kind`, a type that pydantic can validate; None where
    there is no file.

    Raises `DamageError`, which states the `remedy`, for any other content.
    """
    value = load_json(path, remedy)
    return None if value is None else validated(path, value, kind, remedy)


def validated(path: Path, value: object, kind: type[ValueT], remedy: Remedy) -> ValueT:
    """Returns the value of a state file as `kind`. Raises `DamageError` for any other value."""
    try:
        return cast("ValueT", _adapter(cast("Hashable", kind)).validate_python(value))
    except (ValueError, TypeError, RecursionError) as error:
        raise _damage(path, in_short(error), remedy) from error


def load_json(path: Path, remedy: Remedy) -> Any:
    """Returns the JSON value of a state file, not None; None where there is no file.

    Raises `DamageError` where it is not JSON or its checksum differs.
    """
    try:
        data = retry_once(lambda: read_bounded(path, _MAX_BYTES))
    except FileNotFoundError:
        return None
    except DamageError as error:
        raise DamageError(f"{error}: {_text(remedy)}") from error
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _damage(path, in_short(error), remedy) from error
    if isinstance(value, dict) and value.keys() == _KEYS:
        if value["crc32c"] != _checksum(_canonical(value["value"])):
            raise _damage(path, "its checksum differs", remedy)
        value = value["value"]
    if value is None:
        raise _damage(path, "it holds null", remedy)
    return value


def _canonical(value: object) -> str:
    # ASCII: a path whose bytes are no UTF-8 has lone surrogates, which UTF-8 cannot hold.
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _checksum(text: str) -> str:
    return f"{google_crc32c.value(text.encode()):08x}"


def _damage(path: Path, problem: str, remedy: Remedy) -> DamageError:
    return DamageError(f"{path}: not as the build wrote it ({problem}): {_text(remedy)}")


def _text(remedy: Remedy) -> str:
    return remedy if isinstance(remedy, str) else remedy()


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Returns a cached validator: building it takes 1 ms, reading a receipt with it 0.01 ms."""
    return TypeAdapter(kind)
