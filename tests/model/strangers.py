"""A small checkpoint that tests change as a stranger could, and what a stranger must not reach."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from tests.train.runs import config, seal
from wenlan_data.model.backbones import encoder_config
from wenlan_data.model.checkpoint import TOKENIZER, CorpusMark, save_checkpoint, shards_digest
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.towers import make_towers
from wenlan_data.train.state import checkpoint_state, checkpoint_tensors, start_training

MIB = 1 << 20
NO_CORPUS = CorpusMark(digest="0" * 64, shards=0, shards_sha256=shards_digest(()))
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"第张照片一只小猫0123"]


def bert_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece({word: one for one, word in enumerate(VOCABULARY)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def bert_config() -> BertConfig:
    return BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )


def bert_folder(folder: Path) -> Path:
    """A folder as transformers writes it, with a tiny BERT and its tokenizer."""
    torch.manual_seed(0)
    BertModel(bert_config()).save_pretrained(folder)
    bert_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return folder


def write_checkpoint(run: Path, folder: Path) -> Path:
    """A checkpoint of a run whose text encoder came from `folder`."""
    made = config("batch_size=8", "negatives.queue=8", f"text.backbone={folder}")
    training = start_training(make_towers(made, 0), made, torch.device("cpu"))
    state = checkpoint_state(training, made, NO_CORPUS, {})
    tokenizer = (folder / "tokenizer.json").read_bytes()
    return save_checkpoint(run, state, checkpoint_tensors(training), {TOKENIZER: tokenizer})


def small_checkpoint(run: Path) -> Path:
    """A checkpoint with `text.backbone: small`."""
    made: TrainConfig = config("batch_size=8", "negatives.queue=8")
    training = start_training(make_towers(made, len(VOCABULARY)), made, torch.device("cpu"))
    state = checkpoint_state(training, made, NO_CORPUS, {})
    assert state.text_encoder == encoder_config(training.towers.text.backbone)
    return save_checkpoint(
        run,
        state,
        checkpoint_tensors(training),
        {TOKENIZER: bert_tokenizer().to_str().encode()},
    )


def read_state(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text("utf-8"))
    return state


def forge(checkpoint: Path, state: dict[str, Any], **files: bytes) -> None:
    """Writes files (`model_safetensors=...`) and the state, with sizes and digests that fit."""
    for name, data in files.items():
        file = name.replace("_", ".")
        (checkpoint / file).write_bytes(data)
        state["files"][file] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    seal(checkpoint, state)


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1]) << 10


@contextmanager
def bounded_memory(limit: int = 600 * MIB) -> Iterator[None]:
    """Fails where the body needs more resident memory than that, at its peak."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    yield
    assert _memory("VmHWM") - before < limit


class Canary:
    """Notices every attempt to reach the network from Python."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.attempts: list[str] = []
        for owner, name in (
            (socket.socket, "connect"),
            (socket.socket, "connect_ex"),
            (socket, "getaddrinfo"),
            (socket, "create_connection"),
            (socket, "gethostbyname"),
        ):
            patch.setattr(owner, name, self._refuse)

    def _refuse(self, *arguments: object, **_: object) -> None:
        self.attempts.append(repr(arguments[-1]))
        raise OSError("no network here")
