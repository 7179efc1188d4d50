"""Backbones by name or from a local file: timm for pictures, transformers for texts. Nothing here reads a pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, PreTrainedConfig

from wenlan_data.errors import UsageError, in_short
from wenlan_data.model.config import ImageConfig, TextConfig


def image_backbone(config: ImageConfig) -> tuple[nn.Module, int]:
    """A timm model without its classifier, and the channels of its feature map.

    Raises `UsageError` for a name that timm does not know, and for weights that cannot be had or do not fit.
    """
    if not timm.is_model(config.backbone.partition(".")[0]):
        near = (
            ", ".join(timm.list_models(f"*{config.backbone[:12]}*")[:5]) or "see timm.list_models()"
        )
        raise UsageError(f"image.backbone: {config.backbone!r} is not known to timm: {near}")
    # A ViT is made for one size; of CNNs timm refuses the argument.
    arguments: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    if config.backbone.startswith(("vit", "deit", "swin", "eva", "beit")):
        arguments["img_size"] = config.size_px
    try:
        model: nn.Module = timm.create_model(
            config.backbone, pretrained=config.weights == "pretrained", **arguments
        )
    except (OSError, RuntimeError, ValueError) as error:
        if config.weights != "pretrained":
            raise UsageError(
                f"image.backbone {config.backbone!r}: timm cannot make it ({in_short(error)})"
            ) from error
        raise UsageError(
            f"image.backbone {config.backbone!r}: its weights could not be had ({in_short(error)}): "
            "offline, give image.weights the path of a .safetensors file"
        ) from error
    if config.weights not in ("none", "pretrained"):
        fill(model, read_weights(Path(config.weights)), config.weights)
    _freeze_key_bias_of_vits(model)
    return model, cast("int", model.num_features)


def text_backbone(
    config: TextConfig, vocabulary: int, dropout: float, shape: Mapping[str, object] | None = None
) -> tuple[nn.Module, int]:
    """A BERT-like encoder and the width of its states; `vocabulary` is the size of a small one.

    With `shape`, as `encoder_shape` gave it, an encoder with random weights is made, and nothing is looked for.
    Otherwise a folder is read; a name is looked for in the cache of transformers, and asked for where that allows it
    (`HF_HUB_OFFLINE=1` forbids). Raises `UsageError` where it cannot be had.
    """
    if config.backbone == "small":
        model: nn.Module = BertModel(
            small_bert(config, vocabulary, dropout), add_pooling_layer=False
        )
    else:
        model = (
            _shaped(shape, dropout) if shape is not None else _pretrained(config.backbone, dropout)
        )
    for name, parameter in model.named_parameters():
        # See `attention.SelfAttention`: a bias of the keys has no effect, and would move by rounding alone.
        if name.endswith("attention.self.key.bias"):
            parameter.requires_grad_(False)
    return model, cast("BertConfig", model.config).hidden_size


def small_bert(config: TextConfig, vocabulary: int, dropout: float) -> BertConfig:
    """The shape of the encoder that is made when none is given."""
    small = config.small
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=small.width,
        num_hidden_layers=small.layers,
        num_attention_heads=small.heads,
        intermediate_size=4 * small.width,
        max_position_embeddings=config.max_tokens,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file; raises `UsageError` for any other kind."""
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{path}: only .safetensors is read, since other formats can hold code: "
            "convert it once (docs/training.md, Weights)"
        )
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{path}: not a safetensors file that can be read ({in_short(error)})"
        ) from error


def fill(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load what fits by name; what the backbone lacks (a classifier) is left out.

    Raises `UsageError` where a parameter of the backbone is missing or has another shape.
    """
    wanted = model.state_dict()
    check_fit(wanted, weights, where)
    model.load_state_dict(
        {name: value for name, value in weights.items() if name in wanted}, strict=False
    )


def check_fit(wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor], where: str) -> None:
    """Raise `UsageError` where one of `wanted` is missing in `weights` or has another shape there."""
    wrong = [
        name
        for name, value in wanted.items()
        if not name.endswith("num_batches_tracked")
        and (name not in weights or weights[name].shape != value.shape)
    ]
    if wrong:
        raise UsageError(
            f"{where}: {len(wrong)} parameters are missing or have another shape, such as {wrong[0]}: "
            "give weights of this shape, or the config that they were made with"
        )


def encoder_shape(backbone: nn.Module) -> dict[str, object]:
    """What an encoder's configuration says, as JSON types: enough to make one like it, without its weights."""
    found: dict[str, object] = json.loads(
        cast("PreTrainedConfig", backbone.config).to_json_string(use_diff=False)
    )
    return found


def _shaped(shape: Mapping[str, object], dropout: float) -> nn.Module:
    known: dict[str, Any] = {
        name: value for name, value in shape.items() if name not in ("auto_map", "_name_or_path")
    }
    try:
        config = AutoConfig.for_model(**known)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"text.backbone: transformers cannot make this encoder ({in_short(error)})"
        ) from error
    return _plain(AutoModel.from_config(config), dropout)  # type: ignore[no-untyped-call] # transformers' own


def _pretrained(name: str, dropout: float) -> nn.Module:
    try:
        model = AutoModel.from_pretrained(name, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"text.backbone {name!r} could not be had ({in_short(error)}): offline, give a folder with config.json, "
            "model.safetensors and a tokenizer"
        ) from error
    return _plain(model, dropout)


def _plain(model: nn.Module, dropout: float) -> nn.Module:
    """Without its pooler, which nothing here reads, and with our dropout."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # type: ignore[assignment]
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
    return model


def _freeze_key_bias_of_vits(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith("attn.qkv.bias"):
            parameter.register_hook(_without_keys)  # type: ignore[no-untyped-call] # torch's own


def _without_keys(gradient: Tensor) -> Tensor:
    third = len(gradient) // 3
    return torch.cat([gradient[:third], torch.zeros_like(gradient[:third]), gradient[2 * third :]])
