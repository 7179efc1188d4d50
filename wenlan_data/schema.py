"""The JSON Schema of a recipe, for editors: every rule and detector with its parameters."""

import ast
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from wenlan_data import plugins
from wenlan_data.detect.loading import DETECTORS
from wenlan_data.recipe import RULES, Recipe

Schema = dict[str, object]

_THIRD_PARTY: Schema = {
    "type": "string",
    "pattern": r"\.",
    "description": "A dotted path to a third-party plug-in.",
}
_NOT_MIXED = {"boxes", "mix"}
_BYTES: Schema = {
    "default": "1GiB",
    "anyOf": [
        {"type": "integer", "minimum": 1 << 12},
        {"type": "string", "pattern": r"^\d+\s*(B|[KMG]iB|[kMG]B)?$"},
    ],
}


def recipe_schema() -> Schema:
    """Returns the schema of a recipe, with type, range and default of all plug-in parameters."""
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    sizes = definitions["ShardRules"]["properties"]
    sizes["max_bytes"] = {"description": sizes["max_bytes"]["description"], **_BYTES}
    rules = [_plugin_schema(RULES, "rule", name, {}) for name in plugins.names(RULES)]
    definitions["RuleSpec"] = {"anyOf": [*rules, _third_party("rule", {})]}
    names = plugins.names(DETECTORS)
    mixed = [
        _plugin_schema(DETECTORS, "detector", name, {}) for name in names if name not in _NOT_MIXED
    ]
    definitions["MixedDetector"] = {"anyOf": [*mixed, _third_party("detector", {})]}
    definitions["DetectRules"] = _detect_schema(names, definitions["DetectRules"]["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _detect_schema(names: Sequence[str], own: Schema) -> Schema:
    """The schema of the `detect` section: a detector, its parameters, and the section's own
    keys."""
    kinds = {name: _plugin_schema(DETECTORS, "detector", name, own) for name in names}
    kinds["mix"]["properties"]["of"] |= {"minItems": 2, "items": {"$ref": "#/$defs/MixedDetector"}}
    kinds["grid"]["required"] = []  # it is the default
    for name in names:
        if not any(field.name == "device" for field in fields(plugins.find(DETECTORS, name))):
            kinds[name]["properties"]["device"] = {"const": "cpu"}
    return {"anyOf": [*kinds.values(), _third_party("detector", own)]}


def _plugin_schema(package: str, word: str, name: str, own: Schema) -> dict[str, Any]:
    kind = plugins.find(package, name)
    found = TypeAdapter(kind).json_schema()
    properties: dict[str, Any] = {**own, word: {"const": name}}
    descriptions = _field_descriptions(kind)
    for parameter, value in found.get("properties", {}).items():
        properties[parameter] = (
            {**value, "description": descriptions[parameter]}
            if parameter in descriptions
            else value
        )
    return {
        "title": name,
        "description": found.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": [word],
        "additionalProperties": False,
    }


def _third_party(word: str, own: Schema) -> Schema:
    return {"type": "object", "properties": {**own, word: _THIRD_PARTY}, "required": [word]}


def _field_descriptions(kind: type) -> dict[str, str]:
    """The docstring under each field, by the field's name."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
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
