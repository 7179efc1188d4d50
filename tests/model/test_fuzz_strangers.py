"""Mutated checkpoints and model folders: they load, or are one error of this project."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model.strangers import (
    Canary,
    bert_folder,
    bounded_memory,
    forge,
    read_state,
    write_checkpoint,
)
from tests.mutations import mutate
from tests.thorough import amount
from wenlan_data.errors import WenlanError
from wenlan_data.eval.embed import embed_texts, load_model
from wenlan_data.model.backbones import pretrained_encoder

COUNTS = [
    250,
    pytest.param(amount(1000, 5000), marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
]
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    0.5,
    -1e300,
    float("nan"),
    float("inf"),
    "",
    "x" * 10_000,
    "hf-hub:stranger/model",
    "https://stranger.test",
    "../../x",
    "\x1b[2J",
    "\ud800",
    [],
    [0] * 1000,
    {},
    {"a": {}},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("made") / "bert")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    return write_checkpoint(folder.parent / "run", folder)


def change_values(value: Any, chance: random.Random) -> None:
    """Replaces, removes or doubles values at any depth of JSON objects and lists."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        inner, key = value, None
        while isinstance(inner, dict | list) and inner:
            outer = inner
            key = chance.choice(list(outer) if isinstance(outer, dict) else range(len(outer)))
            inner = outer[key]
            if chance.random() < 0.2:
                break
        if key is None:
            continue
        if chance.random() < 0.15:
            del outer[key]
        elif chance.random() < 0.1:
            outer[key] = [inner, inner]
        else:
            outer[key] = chance.choice(VALUES)


def state(checkpoint: Path, made: dict[str, bytes], seed: int) -> None:
    chance = random.Random(seed)
    if chance.random() < 0.2:
        (checkpoint / "state.json").write_bytes(mutate(made["state.json"], seed))
        return
    values = json.loads(made["state.json"])
    change_values(values, chance)
    with suppress(ValueError):
        forge(checkpoint, values)


def tensors(checkpoint: Path, made: dict[str, bytes], seed: int) -> None:
    # The header is a small part of the file.
    data = made["model.safetensors"]
    size = 8 + int.from_bytes(data[:8], "little")
    header = mutate(data[:size], seed) + data[size:] if seed % 2 else mutate(data, seed)
    forge(checkpoint, json.loads(made["state.json"]), model_safetensors=header)


def tokenizer(checkpoint: Path, made: dict[str, bytes], seed: int) -> None:
    data = mutate(made["tokenizer.json"], seed)
    if seed % 2:
        values = json.loads(made["tokenizer.json"])
        change_values(values, random.Random(seed))
        data = json.dumps(values).encode()
    forge(checkpoint, json.loads(made["state.json"]), tokenizer_json=data)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("change", [state, tensors, tokenizer])
def test_a_mutated_checkpoint_loads_or_is_one_error(
    change: Callable[[Path, dict[str, bytes], int], None],
    count: int,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    canary = Canary(monkeypatch)
    made = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    loaded = 0
    with bounded_memory():
        for number in range(count):
            change(checkpoint, made, number)
            with suppress(WenlanError):
                embed_texts(load_model(checkpoint, torch.device("cpu")), ["一只小猫 a b", ""])
                loaded += 1
            for name, data in made.items():
                (checkpoint / name).write_bytes(data)
    assert canary.attempts == []
    assert loaded < count
    assert read_state(checkpoint) == json.loads(made["state.json"])


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_model_folder_loads_or_is_one_error(
    count: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = Canary(monkeypatch)
    names = ("config.json", "model.safetensors")
    made = {name: (folder / name).read_bytes() for name in names}
    with bounded_memory():
        for number in range(count):
            name = names[number % 2]
            data = mutate(made[name], number)
            if name == "config.json" and number % 4:
                values = json.loads(made[name])
                change_values(values, random.Random(number))
                data = json.dumps(values).encode()
            (folder / name).write_bytes(data)
            with suppress(WenlanError):
                pretrained_encoder(str(folder), 0.0)
            (folder / name).write_bytes(made[name])
    assert canary.attempts == []
