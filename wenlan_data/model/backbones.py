"""Backbones by name or from a local file: timm for images, transformers for texts.

Only safetensors is read: a pickle can run code when it is loaded. Code that comes with a model is
never run, and a folder or a checkpoint is read without the network, whatever it names.
"""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, BertConfig, BertModel, PreTrainedConfig

from wenlan_data.errors import UsageError, in_short
from wenlan_data.model.config import ImageConfig, TextConfig
from wenlan_data.model.encoder_config import (
    make_encoder,
    make_encoder_config,
    read_encoder_config,
)
from wenlan_data.model.image_tower import feature_map
from wenlan_data.model.tensor_file import read_specs, read_tensors

_TIMM_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")
"""Others hold an address, such as `hf-hub:name/model`, that timm would fetch from."""


def image_backbone(config: ImageConfig) -> tuple[nn.Module, int]:
    """Makes a timm model without its classifier; returns it with the channels of its feature map.

    Raises `UsageError` for a name that timm does not know, and for weights that cannot be loaded or
    do not fit.
    """
    name = config.backbone
    if not (_TIMM_NAME.fullmatch(name) and timm.is_model(name.partition(".")[0])):
        similar = timm.list_models(f"*{config.backbone[:12]}*")[:5]
        names = f"choose from {', '.join(similar)}" if similar else "see timm.list_models()"
        raise UsageError(f"image.backbone: timm has no model {config.backbone!r}: {names}")
    try:
        model = _timm_model(name, config.size_px, pretrained=config.weights == "pretrained")
    except Exception as error:  # models check their own arguments, by assertions too
        if config.weights != "pretrained":
            raise UsageError(
                f"image.backbone {config.backbone!r}: timm cannot make it ({in_short(error)})"
            ) from error
        raise UsageError(
            f"image.backbone {config.backbone!r}: cannot load its pretrained weights "
            f"({in_short(error)}): offline, give image.weights the path of a .safetensors file"
        ) from error
    if config.weights not in ("none", "pretrained"):
        fill(model, read_weights(Path(config.weights)), config.weights)
    _freeze_key_bias_of_vit(model)
    unread = unread_parameters(name, config.size_px)
    for parameter_name, parameter in model.named_parameters():
        if parameter_name in unread:
            parameter.requires_grad_(False)
    return model, cast("int", model.num_features)


@cache
def unread_parameters(name: str, size_px: int) -> frozenset[str]:
    """Names of the parameters of a timm model that do not change its feature map.

    Such as those of its head. DDP refuses to train them: no rank has a gradient for them. They are
    found by a backward pass over meta tensors, which takes no memory, or over zeros where a model
    cannot run on them.
    """
    for device in ("meta", "cpu"):
        # Some models fail at sizes for which they were not made, which the towers report.
        with suppress(Exception), torch.random.fork_rng(devices=[]), torch.device(device):
            model = _timm_model(name, size_px, pretrained=False).eval()
            features = feature_map(
                model, torch.zeros(1, 3, size_px, size_px), cast("int", model.num_features)
            )
            trained = [found for found in model.named_parameters() if found[1].requires_grad]
            names, parameters = zip(*trained, strict=True)
            gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
            return frozenset(
                name for name, found in zip(names, gradients, strict=True) if found is None
            )
    return frozenset()


def share_batch_norm(backbone: nn.Module) -> nn.Module:
    """Returns the backbone with BatchNorm layers that share their statistics over all ranks, with
    the same parameters and buffers."""
    return cast("nn.Module", convert_sync_batchnorm(backbone))  # type: ignore[no-untyped-call]


def _timm_model(name: str, size_px: int, *, pretrained: bool) -> nn.Module:
    arguments: dict[str, Any] = {"num_classes": 0, "global_pool": ""}
    # A ViT is made for one image size; CNNs do not take the argument.
    if name.startswith(("vit", "deit", "swin", "eva", "beit")):
        arguments["img_size"] = size_px
    model: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
    return model


def text_backbone(
    config: TextConfig, vocabulary: int, dropout: float, encoder: Mapping[str, object] | None = None
) -> tuple[nn.Module, int]:
    """Makes a BERT-like encoder; returns it with the width of its hidden states.

    `vocabulary`: token ids of `text.backbone: small`. With `encoder`, as `encoder_config` returned
    it, the weights are random and nothing is loaded. Otherwise `text.backbone` is a folder, or a
    name that transformers takes from its cache or fetches (not with `HF_HUB_OFFLINE=1`). Raises
    `UsageError` where it cannot be loaded.
    """
    if config.backbone == "small":
        model: nn.Module = BertModel(
            small_bert(config, vocabulary, dropout), add_pooling_layer=False
        )
    else:
        model = (
            _from_config(encoder, dropout)
            if encoder is not None
            else pretrained_encoder(config.backbone, dropout)
        )
    for name, parameter in model.named_parameters():
        # The key bias has no effect and would move by rounding, see `attention.SelfAttention`.
        if name.endswith("attention.self.key.bias"):
            parameter.requires_grad_(False)
    return model, cast("BertConfig", model.config).hidden_size


def small_bert(config: TextConfig, vocabulary: int, dropout: float) -> BertConfig:
    """The configuration of `text.backbone: small`."""
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
    """Reads the tensors of a .safetensors file; raises `UsageError` for any other format."""
    if path.suffix != ".safetensors":
        raise UsageError(
            f"{path}: not a .safetensors file, and other formats can run code: "
            "convert it once (docs/training.md, Weights)"
        )
    try:
        return read_tensors(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: cannot be read as safetensors ({in_short(error)}): restore it from a copy"
        ) from error


def fill(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Fills a backbone by tensor name; ignores tensors that it does not have, such as a classifier.

    Raises `UsageError` where a tensor of the backbone is missing or has another shape.
    """
    expected = model.state_dict()
    check_weights(expected, weights, where)
    model.load_state_dict(
        {name: value for name, value in weights.items() if name in expected}, strict=False
    )


def check_weights(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], where: str
) -> None:
    """Raises `UsageError` where an expected tensor is missing in `weights` or has another shape."""
    wrong = [
        name
        for name, value in expected.items()
        # Older weights lack the counters of BatchNorm.
        if (name not in weights and not name.endswith("num_batches_tracked"))
        or (name in weights and weights[name].shape != value.shape)
    ]
    if wrong:
        raise UsageError(
            f"{where}: {len(wrong)} parameters are missing or have another shape, such as "
            f"{wrong[0]}: give weights of this shape, or the config that they were made with"
        )


def encoder_config(backbone: nn.Module) -> dict[str, object]:
    """The encoder's configuration as JSON types: enough to make it again, without weights."""
    config: dict[str, object] = json.loads(
        cast("PreTrainedConfig", backbone.config).to_json_string(use_diff=False)
    )
    return config


def encoder_values(name: str) -> dict[str, object]:
    """The configuration of the encoder in a folder or of that name, without its weights.

    Raises `UsageError` where it cannot be read.
    """
    if Path(name).is_dir():
        return read_encoder_config(Path(name))
    try:
        found = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # its libraries have no common base class of errors
        raise UsageError(
            f"text.backbone {name!r}: cannot read its configuration ({in_short(error)}): "
            "offline, give a folder with config.json, model.safetensors and a tokenizer"
        ) from error
    values: dict[str, object] = json.loads(found.to_json_string(use_diff=False))
    return values


def pretrained_encoder(name: str, dropout: float) -> nn.Module:
    """The encoder in a folder or of that name, with its weights."""
    where = f"text.backbone {name!r}"
    config = make_encoder_config(encoder_values(name), where)
    is_folder = Path(name).is_dir()
    if is_folder:
        _check_folder(Path(name), config, where)
    try:
        model, loaded = AutoModel.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            dtype=torch.float32,
            trust_remote_code=False,
            local_files_only=is_folder,
            output_loading_info=True,
        )
    except Exception as error:  # its libraries have no common base class of errors
        raise UsageError(
            f"{where}: cannot load it ({in_short(error)}): offline, give a folder "
            "with config.json, model.safetensors and a tokenizer"
        ) from error
    missing = sorted(one for one in loaded["missing_keys"] if not one.startswith("pooler."))
    if missing:
        raise UsageError(
            f"{where}: its weights lack {len(missing)} parameters, such as {missing[0]}: "
            "give the weights that belong to its config.json"
        )
    return _without_pooler(model, dropout)


def _check_folder(folder: Path, config: PreTrainedConfig, where: str) -> None:
    """Raises `UsageError` unless the weights hold as many values as the encoder has, at least.

    Before memory is taken for the encoder.
    """
    file = folder / "model.safetensors"
    if (folder / "adapter_config.json").exists():
        raise UsageError(f"{where}: adapter_config.json names another model: merge the adapter")
    try:
        held = sum(math.prod(spec.shape) for spec in read_specs(file).values())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{where}: {file.name} cannot be read as safetensors ({in_short(error)}): "
            "give a folder with config.json, model.safetensors and a tokenizer"
        ) from error
    with torch.device("meta"):
        model = _without_pooler(make_encoder(config, where), 0.0)
    described = sum(one.numel() for one in model.parameters())
    if described > held:
        raise UsageError(
            f"{where}: config.json describes {described} values, and {file.name} holds {held}: "
            "give the weights that belong to its config.json"
        )


def _from_config(encoder: Mapping[str, object], dropout: float) -> nn.Module:
    where = "the text encoder of the checkpoint"
    return _without_pooler(make_encoder(make_encoder_config(encoder, where), where), dropout)


def _without_pooler(model: nn.Module, dropout: float) -> nn.Module:
    """Removes the pooler, which the text tower does not use, and sets the dropout of the config."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # type: ignore[assignment]
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    return model


def _freeze_key_bias_of_vit(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith("attn.qkv.bias"):
            # Query, key and value share one parameter here, so the gradient is cut instead.
            parameter.register_hook(zero_key_third)  # type: ignore[no-untyped-call] # torch's own


def zero_key_third(gradient: Tensor) -> Tensor:
    """Sets the middle third to 0: that of the keys in a bias of queries, keys and values."""
    third = len(gradient) // 3
    return torch.cat([gradient[:third], torch.zeros_like(gradient[:third]), gradient[2 * third :]])
