"""The JSON Schema of a recipe: what editors complete from, with every rule and detector and its parameters."""

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

_OF_OTHER_PEOPLE: Schema = {
    "type": "string",
    "pattern": r"\.",
    "description": "A dotted path to other people's.",
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
    """The schema of a whole recipe; each plug-in that is here has its parameters with type, range and default."""
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    sizes = definitions["ShardRules"]["properties"]
    sizes["max_bytes"] = {"description": sizes["max_bytes"]["description"], **_BYTES}
    rules = [_plugin(RULES, "rule", name, {}) for name in plugins.names(RULES)]
    definitions["RuleSpec"] = {"anyOf": [*rules, _of_other_people("rule", {})]}
    names = plugins.names(DETECTORS)
    mixed = [_plugin(DETECTORS, "detector", name, {}) for name in names if name not in _NOT_MIXED]
    definitions["MixedDetector"] = {"anyOf": [*mixed, _of_other_people("detector", {})]}
    definitions["DetectRules"] = _detectors(names, definitions["DetectRules"]["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _detectors(names: Sequence[str], own: Schema) -> Schema:
    """The recipe's `detect` part: a detector, its parameters, and the part's own keys."""
    kinds = {name: _plugin(DETECTORS, "detector", name, own) for name in names}
    kinds["mix"]["properties"]["of"] |= {"minItems": 2, "items": {"$ref": "#/$defs/MixedDetector"}}
    kinds["grid"]["required"] = []  # it is the default
    for name in names:
        if not any(field.name == "device" for field in fields(plugins.find(DETECTORS, name))):
            kinds[name]["properties"]["device"] = {"const": "cpu"}
    return {"anyOf": [*kinds.values(), _of_other_people("detector", own)]}


def _plugin(package: str, word: str, name: str, own: Schema) -> dict[str, Any]:
    kind = plugins.find(package, name)
    found = TypeAdapter(kind).json_schema()
    properties: dict[str, Any] = {**own, word: {"const": name}}
    said = _said_of_fields(kind)
    for parameter, value in found.get("properties", {}).items():
        properties[parameter] = (
            {**value, "description": said[parameter]} if parameter in said else value
        )
    about = {"title": name, "description": found.get("description", "")}
    return {
        **about,
        "type": "object",
        "properties": properties,
        "required": [word],
        "additionalProperties": False,
    }


def _of_other_people(word: str, own: Schema) -> Schema:
    return {"type": "object", "properties": {**own, word: _OF_OTHER_PEOPLE}, "required": [word]}


def _said_of_fields(kind: type) -> dict[str, str]:
    """The text under each field, by the field's name."""
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
