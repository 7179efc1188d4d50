"""Configurations of text encoders from checkpoints and folders: what is taken from them.

A configuration decides what transformers builds, imports and fetches. So only the architectures
below are made, of each only the keys that its class defines, and only numbers, switches and short
names within bounds: nothing in a file can name code, another model or an address.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModel, PreTrainedConfig
from transformers import PreTrainedModel as TransformersModel

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import DamageError, UsageError, in_short
from wenlan_data.files import read_bounded

ARCHITECTURES = (
    "albert",
    "bert",
    "camembert",
    "convbert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "megatron-bert",
    "mpnet",
    "rembert",
    "roberta",
    "xlm-roberta",
)
"""Values of `model_type`: encoders that take token ids and a mask."""
MAX_CONFIG_BYTES = 1 << 20
# The first entry that a key contains holds. -1: "none" of a number that is optional.
_BOUNDS = (
    ("token_id", -1, 1 << 22),
    ("vocab", 0, 1 << 22),
    ("position", -1, 8192),
    ("layers", 1, 128),
    ("group", 1, 128),
    ("", 1, 1 << 15),
)
_NAME = re.compile(r"[A-Za-z0-9_|-]{1,64}")
# A decoder would take other inputs; the sinusoids are computed number by number, and loaded anyway.
_FIXED = {"is_decoder": False, "add_cross_attention": False, "sinusoidal_pos_embds": False}


def make_encoder_config(values: Mapping[str, object], where: str) -> PreTrainedConfig:
    """The configuration of an encoder from JSON values; keys that its class lacks are left out.

    Raises `UsageError` naming `where` and the key.
    """
    kind = values.get("model_type")
    if kind not in ARCHITECTURES:
        raise UsageError(
            f"{where}: model_type {in_short(repr(kind), 60)} is no text encoder that this program "
            f"makes: use one of {', '.join(ARCHITECTURES)}"
        )
    defaults = AutoConfig.for_model(kind).to_dict()
    own = (defaults.keys() - PreTrainedConfig().to_dict().keys()) | {"pad_token_id"}
    taken = {}
    for key in sorted(own & values.keys()):
        problem = _problem(key, values[key], defaults.get(key))
        if problem:
            raise UsageError(f"{where}: {key}: {problem}: give the configuration of an encoder")
        taken[key] = values[key]
    taken |= {key: value for key, value in _FIXED.items() if key in own}
    try:
        return AutoConfig.for_model(kind, **taken)
    except Exception as error:  # the library raises classes of its own validators
        raise UsageError(
            f"{where}: transformers cannot make this encoder ({in_short(error)})"
        ) from error


def make_encoder(config: PreTrainedConfig, where: str) -> TransformersModel:
    """An encoder with random weights, on torch's default device. Raises `UsageError`."""
    try:
        factory: Any = AutoModel  # its method has no types
        model: TransformersModel = factory.from_config(config, trust_remote_code=False)
    except Exception as error:  # the values are bounded, but need not fit each other
        raise UsageError(
            f"{where}: transformers cannot make this encoder ({in_short(error)})"
        ) from error
    return model


def read_encoder_config(folder: Path) -> dict[str, object]:
    """The values of a folder's `config.json`. Raises `UsageError`."""
    file = folder / "config.json"
    try:
        values = parse_json(read_bounded(file, MAX_CONFIG_BYTES))
    except (OSError, DamageError) as error:
        raise UsageError(
            f"{file}: not a file of at most {MAX_CONFIG_BYTES} bytes: give a folder with "
            "config.json, model.safetensors and a tokenizer"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{file}: not valid JSON ({in_short(error, 80)}): restore it from a copy"
        ) from error
    if not isinstance(values, dict):
        raise UsageError(f"{file}: not a JSON object: restore it from a copy")
    return values


def _problem(key: str, value: object, default: object) -> str:
    """What is wrong with a value, empty if nothing. The default shows the type."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false is expected"
    if value is None or isinstance(value, bool):
        return "" if value is None or default is None else "a number is expected"
    if isinstance(value, str):
        is_name = _NAME.fullmatch(value) and isinstance(default, str | None)
        return "" if is_name else "a short name is expected, and only where one belongs"
    if isinstance(value, int | float) and isinstance(default, int | float | None):
        return _number_problem(key, value, default)
    if isinstance(value, list) and default is None and len(value) <= 8:
        names = all(isinstance(one, str) and _NAME.fullmatch(one) for one in value)
        return "" if names else "a list of short names is expected"
    return "a number or a short name is expected"


def _number_problem(key: str, value: int | float, default: int | float | None) -> str:
    if isinstance(value, float):
        if isinstance(default, int):
            return "a whole number is expected"
        return "" if math.isfinite(value) and abs(value) < 1e6 else "a number below 1e6 is expected"
    if isinstance(default, float):
        return "" if abs(value) < 1e6 else "a number below 1e6 is expected"
    low, high = next((low, high) for word, low, high in _BOUNDS if word in key)
    return "" if low <= value <= high else f"a number from {low} to {high} is expected"
