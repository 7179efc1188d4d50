"""Checkpoints, model folders and tokenizers from strangers: no code, no network, little memory, one
error."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from tests.model.strangers import (
    VOCABULARY,
    Canary,
    bert_folder,
    bounded_memory,
    forge,
    read_state,
    small_checkpoint,
    write_checkpoint,
)
from tests.train.runs import ROOT, WORDS, config, corpus
from wenlan_data.errors import DamageError, UsageError, WenlanError
from wenlan_data.eval.embed import embed_texts, load_model
from wenlan_data.load.text import load_tokenizer
from wenlan_data.model.backbones import encoder_values, image_backbone, pretrained_encoder
from wenlan_data.model.checkpoint import load_checkpoint, load_state
from wenlan_data.model.config import ImageConfig, TextConfig
from wenlan_data.model.encoder_config import ARCHITECTURES, make_encoder, make_encoder_config
from wenlan_data.model.tokenizer import write_tokenizer
from wenlan_data.model.towers import make_towers
from wenlan_data.train.resume import load_initial_weights
from wenlan_data.train.run_log import read_log

CPU = torch.device("cpu")
JSON = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    bert = bert_folder(folder / "bert")
    return {
        "bert": bert,
        "checkpoint": write_checkpoint(folder / "run", bert),
        "small": small_checkpoint(folder / "small"),
    }


@pytest.fixture
def checkpoint(made: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(made["checkpoint"], tmp_path / "step-00000000")


@pytest.fixture
def folder(made: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(made["bert"], tmp_path / "folder")


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Canary:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 100))
    return Canary(monkeypatch)


def outcome(load: Callable[[], object]) -> str:
    """The message of the project's error, which is one line; empty where there was none."""
    with bounded_memory():
        try:
            load()
            message = ""
        except WenlanError as error:
            message = str(error)
    assert "\n" not in message
    return message


def test_a_sound_checkpoint_loads_without_the_network(
    made: dict[str, Path], canary: Canary
) -> None:
    for name in ("checkpoint", "small"):
        model = load_model(made[name], CPU)
        assert embed_texts(model, ["一只小猫"]).shape == (1, 16)
    assert canary.attempts == []


def encoder(**values: object) -> Callable[[JSON], None]:
    return lambda state: state["text_encoder"].update(values)


def image(**values: object) -> Callable[[JSON], None]:
    return lambda state: state["config"]["image"].update(values)


def top(**values: object) -> Callable[[JSON], None]:
    return lambda state: state["config"].update(values)


def deep(state: JSON) -> None:
    value: object = 1
    for _ in range(400):
        value = [value]
    state["config"]["attention"] = value


def only(**values: object) -> Callable[[JSON], None]:
    def change(state: JSON) -> None:
        state["text_encoder"] = values

    return change


STATES: dict[str, Callable[[JSON], None]] = {
    "timm-hub": image(backbone="hf-hub:stranger/model"),
    "timm-hub-tag": image(backbone="convnext_atto.hf-hub:stranger/model"),
    "timm-folder": image(backbone="local-dir:/tmp"),
    "timm-url": image(backbone="https://stranger.test/model"),
    "timm-slash": image(backbone="timm/convnext_atto"),
    "timm-other": image(backbone="test_vit"),
    "timm-giant": image(backbone="vit_giant_patch14_224"),
    "timm-huge": image(backbone="eva_giant_patch14_560", size_px=2048),
    "timm-unknown": image(backbone="x" * 100),
    "timm-assertion": image(backbone="swin_tiny_patch4_window7_224", size_px=17),
    "size": image(size_px=10**9),
    "size-float": image(size_px=1e9),
    "train-list": image(train=["blocks"] * 100_000),
    "mean": image(mean=[float("nan"), 0, 0]),
    "std": image(std=[0, 0, 0]),
    "weights": image(weights="/dev/zero", backbone="test_vit2"),
    "embedding": top(embedding=65536),
    "embedding-overflow": top(embedding=2**62),
    "attention-layers": top(attention={"layers": 10**9}),
    "attention-width": top(attention={"layers": 128, "heads": 2, "feed_forward": 32768}),
    "attention-heads": top(attention={"layers": 1, "heads": 7, "feed_forward": 16}),
    "attention-deep": deep,
    "queue": top(negatives={"queue": 10**12}),
    "regions": top(regions={"mode": "boxes", "most": 10**9}),
    "batch": top(batch_size=10**30),
    "steps": top(max_steps=10**30),
    "temperature": top(temperature={"value": float("inf"), "max": float("inf")}),
    "name": top(name="\x1b[2J"),
    "unknown-key": top(code="os.system"),
    "config-empty": lambda state: state.update(config={}),
    "config-list": lambda state: state.update(config=[]),
    "text-small": lambda state: state["config"]["text"].update(backbone="small"),
    "text-layers": lambda state: state["config"]["text"].update(train=10**9),
    "text-tokens": lambda state: state["config"]["text"].update(max_tokens=10**9),
    "encoder-empty": only(),
    "encoder-timm": only(model_type="timm_wrapper", architecture="hf-hub:stranger/model"),
    "encoder-timm-backbone": only(model_type="timm_backbone", backbone="hf-hub:stranger/model"),
    "encoder-decoder": only(
        model_type="encoder-decoder", encoder={"model_type": "bert"}, decoder={"model_type": "bert"}
    ),
    "encoder-rag": only(model_type="rag", question_encoder={"model_type": "dpr"}),
    "encoder-qwen": only(model_type="qwen2", hidden_size=16),
    "encoder-unknown": only(model_type="evil", auto_map={"AutoModel": "code.Evil"}),
    "encoder-type-list": encoder(model_type=["bert"]),
    "vocabulary": encoder(vocab_size=2**31),
    "vocabulary-large": encoder(vocab_size=2**22),
    "vocabulary-negative": encoder(vocab_size=-1),
    "vocabulary-text": encoder(vocab_size="16"),
    "width": encoder(hidden_size=2**15, num_attention_heads=1),
    "width-10^30": encoder(hidden_size=10**30),
    "layers": encoder(num_hidden_layers=10**9),
    "layers-bounded": encoder(num_hidden_layers=128, hidden_size=2**15, intermediate_size=2**15),
    "heads-none": encoder(num_attention_heads=0),
    "heads-odd": encoder(num_attention_heads=5),
    "heads-true": encoder(num_attention_heads=True),
    "positions": encoder(max_position_embeddings=2**40),
    "activation": encoder(hidden_act="https://stranger.test/act"),
    "activation-unknown": encoder(hidden_act="evil"),
    "activation-list": encoder(hidden_act=["gelu"]),
    "epsilon": encoder(layer_norm_eps=float("nan")),
    "epsilon-text": encoder(layer_norm_eps="1e-12"),
    "dropout": encoder(hidden_dropout_prob=2.0),
    "padding": encoder(pad_token_id=10**6),
    "distilbert": only(
        model_type="distilbert",
        dim=32768,
        n_layers=1,
        n_heads=1,
        hidden_dim=16,
        sinusoidal_pos_embds=True,
        max_position_embeddings=8192,
    ),
    "albert": only(model_type="albert", num_hidden_groups=10**9),
    "deberta": only(
        model_type="deberta-v2",
        hidden_size=16,
        pos_att_type=["x" * 1000] * 1000,
        relative_attention=True,
    ),
    "step": lambda state: state.update(step=10**9),
    "epoch": lambda state: state.update(epoch=10**400),
    "position": lambda state: state.update(position=-1),
    "metrics": lambda state: state.update(metrics={"a": "b"}),
    "files-none": lambda state: state.update(files={}),
    "files-optimizer": lambda state: state["files"].pop("optimizer.safetensors"),
    "files-tokenizer": lambda state: state["files"].pop("tokenizer.json"),
    "files-above": lambda state: state["files"].update({"../x": {"bytes": 1, "sha256": "0" * 64}}),
    "bytes": lambda state: state["files"]["model.safetensors"].update(bytes=2**60),
    "code-version": lambda state: state.update(code_version=None),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_of_a_stranger_is_refused(name: str, checkpoint: Path, canary: Canary) -> None:
    state = read_state(checkpoint)
    STATES[name](state)
    forge(checkpoint, state)
    assert outcome(lambda: load_model(checkpoint, CPU))
    assert canary.attempts == []


IGNORED: dict[str, Callable[[JSON], None]] = {
    "code": encoder(auto_map={"AutoConfig": "code.Evil", "AutoModel": "stranger/model--code.Evil"}),
    "name": encoder(_name_or_path="stranger/model", name_or_path="stranger/model"),
    "kernels": encoder(
        _attn_implementation="kernels-community/flash-attn", attn_implementation="x/y"
    ),
    "quantization": encoder(quantization_config={"quant_method": "gptq", "bits": 4}),
    "type": encoder(dtype="bfloat16", torch_dtype="float64"),
    "decoder": encoder(is_decoder=True, add_cross_attention=True),
    "task": encoder(id2label={str(one): "x" for one in range(100_000)}),
    "generation": encoder(output_hidden_states=True, return_dict=False, chunk_size_feed_forward=3),
    "weights": image(weights="pretrained"),
    "backbone": lambda state: state["config"]["text"].update(backbone="stranger/model"),
}


@pytest.mark.parametrize("name", IGNORED)
def test_keys_that_would_steer_a_library_change_nothing(
    name: str, made: dict[str, Path], checkpoint: Path, canary: Canary
) -> None:
    state = read_state(checkpoint)
    IGNORED[name](state)
    forge(checkpoint, state)
    model = load_model(checkpoint, CPU)
    assert canary.attempts == []
    expected = embed_texts(load_model(made["checkpoint"], CPU), ["一只小猫"])
    assert torch.equal(embed_texts(model, ["一只小猫"]), expected)


@pytest.mark.parametrize(
    "change",
    [
        {"position": 1},
        {"epoch": 1},
        {"step": 1},
        {"samples": 8},
        {"seed": 1},
        {"queue_fill": 1},
        {"skipped": 1},
        {"metrics": {"mean_recall": 1.0}},
        {"config_digest": "0" * 64},
        {"state_sha256": ""},
        {"corpus": {"digest": "", "shards": []}},
        {"corpus": {"digest": "0" * 64, "shards": 1, "shards_sha256": "0" * 64}},
        {"format_version": 1},
        {"code_version": "9"},
    ],
)
def test_a_changed_value_of_a_state_is_noticed(change: JSON, checkpoint: Path) -> None:
    text = json.dumps({**read_state(checkpoint), **change})
    (checkpoint / "state.json").write_text(text, encoding="utf-8")
    with pytest.raises(DamageError, match=r"state\.json: changed since it was written"):
        load_state(checkpoint)


def test_a_state_from_before_there_was_a_digest_is_read(checkpoint: Path) -> None:
    state = read_state(checkpoint)
    del state["state_sha256"]
    state["format_version"] = 1
    (checkpoint / "state.json").write_text(json.dumps(state), encoding="utf-8")
    assert load_checkpoint(checkpoint).state.step == 0


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b"NaN",
        b"[" + b"{}," * 5_000_000 + b"{}]",
        b" " * (1 << 25),
        b'{"format": "wenlan-checkpoint", "step": 1e400}',
        b'{"\\ud800": 1}',
    ],
    ids=range(12),
)
def test_a_state_that_is_no_state_is_one_error(text: bytes, checkpoint: Path) -> None:
    (checkpoint / "state.json").write_bytes(text)
    assert "state.json" in outcome(lambda: load_model(checkpoint, CPU))


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "loop"])
def test_what_is_no_file_is_not_opened(name: str, kind: str, checkpoint: Path) -> None:
    file = checkpoint / name
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero" if kind == "device" else file)
    # Given by itself: as a run, the folder holds no checkpoint where it holds no state.
    assert name in outcome(lambda: load_checkpoint(checkpoint))


def _header(text: str) -> bytes:
    return len(text).to_bytes(8, "little") + text.encode()


TENSORS: dict[str, Callable[[dict[str, torch.Tensor]], bytes]] = {
    "empty": lambda _: b"",
    "header-10^19": lambda _: (2**63).to_bytes(8, "little"),
    "header-90MB": lambda _: (90_000_000).to_bytes(8, "little") + b"{" + b" " * 100,
    "header-deep": lambda _: _header("[" * 100_000),
    "header-list": lambda _: _header("[]"),
    "shape-overflow": lambda _: _header(
        '{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'
    ),
    "shape-negative": lambda _: _header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'),
    "offsets": lambda _: _header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}'),
    "type": lambda _: _header('{"a":{"dtype":"CODE","shape":[0],"data_offsets":[0,0]}}'),
    "type-f8": lambda _: _header('{"a":{"dtype":"F8_E4M3","shape":[0],"data_offsets":[0,0]}}'),
    "many": lambda _: _header(
        "{"
        + ",".join(
            f'"{one}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for one in range(20_000)
        )
        + "}"
    ),
    "pickle": lambda _: b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "zip": lambda _: b"PK\x03\x04" + bytes(1000),
    "missing": lambda tensors: save(
        {name: one for name, one in tensors.items() if "bias" not in name}
    ),
    "more": lambda tensors: save({**tensors, "code": torch.zeros(1)}),
    "none": lambda _: save({}),
    "half": lambda tensors: save({name: one.half() for name, one in tensors.items()}),
    "whole-numbers": lambda tensors: save({name: one.long() for name, one in tensors.items()}),
    "shapes": lambda tensors: save({name: one[None].contiguous() for name, one in tensors.items()}),
    "flat": lambda tensors: save({name: one.flatten() for name, one in tensors.items()}),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_a_stranger_are_refused_before_they_are_read(
    name: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wenlan_data.model import tensor_file

    data = TENSORS[name](load_file(checkpoint / "model.safetensors"))
    forge(checkpoint, read_state(checkpoint), model_safetensors=data)
    monkeypatch.setattr(
        tensor_file.TensorReader, "read", lambda *_: pytest.fail("tensors were read")
    )
    assert "safetensors" in outcome(lambda: load_model(checkpoint, CPU))
    file = checkpoint / "model.safetensors"
    if name not in ("missing", "more", "none", "half", "whole-numbers", "shapes", "flat", "many"):
        assert outcome(lambda: load_initial_weights(make_towers(config(), 50), file))


def tokenizer(**values: object) -> Callable[[JSON], object]:
    return lambda made: {**made, **values}


def replace(content: str, pattern: dict[str, str]) -> JSON:
    return {"type": "Replace", "pattern": pattern, "content": content}


def special(number: int) -> JSON:
    return {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "[CLS]": {"id": "[CLS]", "ids": [number] * 40, "tokens": ["[CLS]"] * 40}
        },
    }


def split(pattern: str) -> JSON:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def wordpiece(**values: object) -> Callable[[JSON], object]:
    return lambda made: {**made, "model": {**made["model"], **values}}


def added(count: int, length: int) -> list[JSON]:
    common = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    return [{"id": one, "content": f"{one:0{length}}", **common} for one in range(count)]


TOKENIZERS: dict[str, Callable[[JSON], object]] = {
    "empty": lambda _: {},
    "list": lambda _: [],
    "no-model": tokenizer(model=None),
    "unknown-model": tokenizer(model={"type": "Code"}),
    "ids": wordpiece(vocab={"[UNK]": 4_000_000_000, "[CLS]": 2, "[SEP]": 3}),
    "ids-one-more": wordpiece(vocab={"[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "x": len(VOCABULARY)}),
    "ids-negative": wordpiece(vocab={"[UNK]": -1}),
    "no-unknown-token": wordpiece(unk_token="nothing", vocab={"a": 0}),
    "long-words": wordpiece(max_input_chars_per_word=10**9),
    "template-ids": tokenizer(post_processor=special(4_000_000_000)),
    "template-long": tokenizer(post_processor=special(2)),
    "template-unknown": tokenizer(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "x", "type_id": 0}}],
            "pair": [],
            "special_tokens": {},
        }
    ),
    "growth": tokenizer(
        normalizer={
            "type": "Sequence",
            "normalizers": [replace("aaaaaaaaaa", {"String": "a"})] * 12,
        }
    ),
    "growth-once": tokenizer(normalizer=replace("a" * 10_000_000, {"String": ""})),
    "prepend": tokenizer(normalizer={"type": "Prepend", "prepend": "a" * 10_000_000}),
    "steps": tokenizer(
        normalizer={"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 100_000}
    ),
    "regex-exponential": tokenizer(pre_tokenizer=split("(a+)+$")),
    "regex-reference": tokenizer(pre_tokenizer=split(r"(a*)\1b")),
    "regex-invalid": tokenizer(pre_tokenizer=split("(")),
    "regex-long": tokenizer(pre_tokenizer=split("a" * 100_000)),
    "charsmap": tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA" * 10}),
    "charsmap-long": tokenizer(
        normalizer={"type": "Precompiled", "precompiled_charsmap": "A" * (1 << 22)}
    ),
    "added-many": tokenizer(added_tokens=added(200_000, 6)),
    "added-long": tokenizer(added_tokens=added(100, 100_000)),
    "added-text": tokenizer(added_tokens="x"),
    "unigram": tokenizer(model={"type": "Unigram", "unk_id": 7, "vocab": [["a", 0.0]]}),
    "bpe": tokenizer(model={"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}),
    "truncation": tokenizer(truncation={"max_length": 2**64}),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_of_a_stranger_is_one_error(
    name: str, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = json.loads((checkpoint / "tokenizer.json").read_bytes())
    data = json.dumps(TOKENIZERS[name](made)).encode()
    forge(checkpoint, read_state(checkpoint), tokenizer_json=data)

    def use() -> None:
        model = load_model(checkpoint, CPU)
        embed_texts(model, ["a" * 100_000, "一只小猫" * 10_000, ""])

    assert "tokenizer" in outcome(use)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        b"{" * 100_000,
        b"[" * 100_000,
        b"\0" * 1000,
        b"9" * 100_000,
        b" " * (65 << 20),
    ],
    ids=range(6),
)
def test_a_file_that_is_no_tokenizer_is_one_error(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    outcome(lambda: load_tokenizer(tmp_path, 32))


CODE = """
open({marker!r}, "w").close()
from transformers import BertConfig as Evil, BertModel as EvilModel, BertTokenizer as EvilTokenizer
"""


@pytest.mark.parametrize("kind", ["evil", "bert"])
def test_code_in_a_folder_never_runs_whatever_is_typed(
    kind: str, folder: Path, tmp_path: Path, canary: Canary
) -> None:
    marker = tmp_path / "marker"
    (folder / "code.py").write_text(CODE.format(marker=str(marker)))
    values = json.loads((folder / "config.json").read_text())
    values["model_type"] = kind
    values["auto_map"] = {"AutoConfig": "code.Evil", "AutoModel": "code.EvilModel"}
    (folder / "config.json").write_text(json.dumps(values))
    auto_map = {"AutoTokenizer": ["code.EvilTokenizer", "code.EvilTokenizer"]}
    plain = {"tokenizer_class": "EvilTokenizer", "auto_map": auto_map}
    (folder / "tokenizer_config.json").write_text(json.dumps(plain))
    loads: list[Callable[[], object]] = [
        lambda: write_tokenizer(TextConfig(backbone=str(folder)), [], tmp_path / "tokenizer.json"),
        lambda: make_encoder_config(encoder_values(str(folder)), "here"),
        lambda: pretrained_encoder(str(folder), 0.0),
        lambda: make_towers(config(f"text.backbone={folder}"), 0),
        lambda: image_backbone(ImageConfig(backbone=f"local-dir:{folder}")),
        lambda: load_model(folder, CPU),
        lambda: load_initial_weights(make_towers(config(), 50), folder),
        lambda: load_tokenizer(folder, 32),
    ]
    messages = [outcome(load) for load in loads]
    assert all(messages[4:7])
    assert [bool(one) for one in messages[:4]] == [kind == "evil"] * 4
    (folder / "tokenizer.json").unlink()
    outcome(lambda: load_tokenizer(folder, 32))
    outcome(loads[0])
    assert not marker.exists()
    assert canary.attempts == []


FOLDERS: dict[str, Callable[[Path, JSON], object]] = {
    "no-config": lambda folder, _: (folder / "config.json").unlink(),
    "config-fifo": lambda folder, _: _fifo(folder / "config.json"),
    "config-deep": lambda folder, _: (folder / "config.json").write_bytes(b"[" * 100_000),
    "config-large": lambda folder, _: (folder / "config.json").write_bytes(b" " * (2 << 20)),
    "config-list": lambda folder, _: (folder / "config.json").write_bytes(b"[]"),
    "other-type": lambda folder, made: _config(folder, {**made, "model_type": "llama"}),
    "vocabulary": lambda folder, made: _config(folder, {**made, "vocab_size": 2_000_000}),
    "width": lambda folder, made: _config(folder, {**made, "hidden_size": 8192}),
    "smaller": lambda folder, made: _config(folder, {**made, "vocab_size": 8}),
    "no-weights": lambda folder, _: (folder / "model.safetensors").unlink(),
    "pickle-only": lambda folder, _: (folder / "model.safetensors").rename(
        folder / "pytorch_model.bin"
    ),
    "weights-cut": lambda folder, _: os.truncate(folder / "model.safetensors", 500),
    "weights-other": lambda folder, _: (folder / "model.safetensors").write_bytes(
        save({"a": torch.zeros(100_000)}, {"format": "pt"})
    ),
    "index": lambda folder, _: (
        (folder / "model.safetensors")
        .rename(folder / "model.safetensors.index.json")
        .write_text('{"weight_map": {"a": "../../x"}}')
    ),
    "adapter": lambda folder, _: (folder / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "stranger/model", "peft_type": "LORA"}'
    ),
}


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _config(folder: Path, values: JSON) -> None:
    (folder / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_model_folder_of_a_stranger_is_refused(name: str, folder: Path, canary: Canary) -> None:
    FOLDERS[name](folder, json.loads((folder / "config.json").read_text()))
    assert "text.backbone" in outcome(lambda: pretrained_encoder(str(folder), 0.0)) or (
        name.startswith(("config", "no-config"))
    )
    assert outcome(lambda: pretrained_encoder(str(folder), 0.0))
    assert canary.attempts == []


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_embeds_texts(kind: str) -> None:
    small = {
        "model_type": kind,
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 40,
        "embedding_size": 16,
        "dim": 16,
        "n_layers": 1,
        "n_heads": 2,
        "hidden_dim": 16,
        "input_embedding_size": 16,
        "pad_token_id": 0,
    }
    model = make_encoder(make_encoder_config(small, "here"), "here").eval()
    tokens = torch.tensor([[2, 5, 6, 3, 0, 0, 0, 0]])
    states = model(input_ids=tokens, attention_mask=(tokens != 0).long()).last_hidden_state
    assert states.shape == (1, 8, 16)


def test_the_command_refuses_a_folder_with_code(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (folder / "code.py").write_text(CODE.format(marker=str(marker)))
    values = {"model_type": "evil", "auto_map": {"AutoConfig": "code.Evil"}}
    (folder / "config.json").write_text(json.dumps(values))
    shards = corpus(tmp_path / "corpus")
    words = [
        "train",
        "--config",
        "brivl-tiny",
        "--shards",
        str(shards),
        "--out",
        str(tmp_path / "run"),
        "--workers",
        "0",
        *WORDS,
        "--set",
        f"text.backbone={folder}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "wenlan_data", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input="y\n" * 9,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == UsageError.exit_code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not marker.exists()
    assert not (tmp_path / "run").exists()


def test_a_run_of_a_stranger_is_read_or_one_error(made: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    checkpoint = shutil.copytree(made["checkpoint"], run / "checkpoints" / "step-00000000")
    values: tuple[object, ...] = ([], "x", None, {"metric": ["x"]})
    validation: object
    for validation in values:
        state = read_state(made["checkpoint"])
        state["config"]["validation"] = validation
        state["metrics"] = {"x": 1.0}
        forge(checkpoint, state)
        assert "validation" in outcome(lambda: load_model(run, CPU))
    lines = [
        "[]",
        "1",
        "{}",
        "[" * 100_000,
        '{"kind": "step", "step": 1, "figures": {"loss": "x"}}',
        "\ud800",
    ]
    lines += ['{"kind": "step", "step": 1, "figures": {"loss": 2.0}, "samples": 8}']
    (run / "log.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    assert [entry["step"] for entry in read_log(run)] == [1]


def test_the_counters_of_batch_norm_are_checked_where_they_are_given(tmp_path: Path) -> None:
    towers = make_towers(config("image.backbone=test_resnet"), 50)
    weights = dict(towers.state_dict())
    name = next(one for one in weights if one.endswith("num_batches_tracked"))
    save_file({**weights, name: torch.zeros(3)}, tmp_path / "a.safetensors")
    assert "another shape" in outcome(
        lambda: load_initial_weights(towers, tmp_path / "a.safetensors")
    )
