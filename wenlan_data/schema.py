"""The JSON Schema of a recipe, for editors: every rule and detector with its parameters."""

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from wenlan_data import plugins
from wenlan_data.plugins import DETECTORS, RULES, PlugIn, Role
from wenlan_data.recipe import Recipe

Schema = dict[str, object]

_NOT_MIXED = {"boxes", "mix"}
_BYTES: Schema = {
    "default": "1GiB",
    "anyOf": [
        {"type": "integer", "minimum": 1 << 12},
        {"type": "string", "pattern": r"^\d+\s*(B|[KMG]iB|[kMG]B)?$"},
    ],
}


def recipe_schema() -> Schema:
    """Returns the schema of a recipe, with type, range and default of plug-in parameters.

    Plug-ins of installed packages are listed by name, with any parameters: their code is not
    imported.
    """
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    sizes = definitions["ShardRules"]["properties"]
    sizes["max_bytes"] = {"description": sizes["max_bytes"]["description"], **_BYTES}
    rules = [_plugin_schema(RULES, one, {}) for one in _sorted(RULES)]
    definitions["RuleSpec"] = {"anyOf": rules}
    detectors = _sorted(DETECTORS)
    mixed = [_plugin_schema(DETECTORS, one, {}) for one in detectors if one.name not in _NOT_MIXED]
    definitions["MixedDetector"] = {"anyOf": mixed}
    definitions["DetectRules"] = _detect_schema(detectors, definitions["DetectRules"]["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _sorted(role: Role) -> list[PlugIn]:
    return sorted(plugins.plug_ins(role).values(), key=lambda one: one.name)


def _detect_schema(detectors: Sequence[PlugIn], own: Schema) -> Schema:
    """The schema of the `detect` section: a detector, its parameters, and the section's own
    keys."""
    kinds = {one.name: _plugin_schema(DETECTORS, one, own) for one in detectors}
    kinds["mix"]["properties"]["of"] |= {"minItems": 2, "items": {"$ref": "#/$defs/MixedDetector"}}
    kinds["grid"]["required"] = []  # it is the default
    for one in detectors:
        if one.is_loaded and not any(field.name == "device" for field in fields(one.load())):
            kinds[one.name]["properties"]["device"] = {"const": "cpu"}
    return {"anyOf": list(kinds.values())}


def _plugin_schema(role: Role, plug_in: PlugIn, own: Schema) -> dict[str, Any]:
    properties: dict[str, Any] = {**own, role.key: {"const": plug_in.name}}
    if not plug_in.is_loaded:
        return {
            "title": plug_in.name,
            "description": f"Of the installed package {plug_in.origin}.",
            "type": "object",
            "properties": properties,
            "required": [role.key],
        }
    kind = plug_in.load()
    found = plugins.type_adapter(kind).json_schema()
    descriptions = _field_descriptions(kind)
    for parameter, value in found.get("properties", {}).items():
        properties[parameter] = (
            {**value, "description": descriptions[parameter]}
            if parameter in descriptions
            else value
        )
    return {
        "title": plug_in.name,
        "description": found.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": [role.key],
        "additionalProperties": False,
    }


def _field_descriptions(kind: type) -> dict[str, str]:
    """The docstring under each field, by the field's name."""
    try:
        source = inspect.getsource(kind)
    except OSError:
        # A plug-in of another package may come without its source.
        return {}
    (made,) = ast.parse(textwrap.dedent(source)).body
    found = {}
    for one, after in pairwise(made.body if isinstance(made, ast.ClassDef) else []):
        if not (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(after, ast.Expr)
        ):
            continue
        if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            found[one.target.id] = " ".join(after.value.value.split())
    return found
