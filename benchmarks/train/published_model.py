"""The published model of BriVL: imported from a checkout, and made small with random weights.

Of the checkout only the packages `models` and `utils` are imported. They are not changed; what they
expect is provided by public means:

- The published code loads pretrained weights while it is made. Its CNN is a timm model that is
  registered here, which has random weights; its text encoder is a folder that is written here.
- Its `.cuda()` calls return the tensor itself on a machine without a GPU, and are counted. Its
  gathers need a process group, which may be one of gloo with one rank.
"""

import io
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import timm
import torch
from timm.models import register_model
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import BertConfig, BertModel

SIZE_PX, WIDTH, TEXT_WIDTH, VOCABULARY, QUEUE = 96, 1280, 64, 200, 64
MODEL_FILES = (
    "models/__init__.py", "models/vl_model.py", "models/bert.py", "models/fakeTransformer.py",
    "utils/__init__.py", "utils/loss.py",
)  # fmt: skip


@register_model
def brivl_published_cnn(pretrained: bool = False, **arguments: Any) -> nn.Module:
    """EfficientNet-B0 with random weights, whatever `pretrained` is: both sides get the same."""
    del pretrained
    model: nn.Module = timm.create_model("tf_efficientnet_b0", pretrained=False, **arguments)
    return model


class CpuMode(TorchFunctionMode):
    """Makes `.cuda()` return the tensor itself, and with `keeps_fp64` `.float()` of fp64 too."""

    def __init__(self, *, keeps_fp64: bool) -> None:
        super().__init__()
        self.keeps_fp64 = keeps_fp64
        self.cuda_calls = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls `func`, but for the two methods."""
        if func is torch.Tensor.cuda:
            self.cuda_calls += 1
            return args[0]
        if self.keeps_fp64 and func is torch.Tensor.float and args[0].dtype is torch.float64:
            return args[0]
        return func(*args, **(kwargs or {}))


def code_folder(checkout: Path) -> Path:
    """The folder of the checkout that holds `models/vl_model.py`. Exits with 2 without it."""
    for folder in (checkout, checkout / "BriVL-code-inference"):
        if (folder / "models" / "vl_model.py").is_file():
            missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
            if not missing:
                return folder
            print(f"{folder}: {missing[0]} is missing: check out bb8d95b", file=sys.stderr)
            sys.exit(2)
    print(
        f"{checkout}: no models/vl_model.py: give a checkout of BAAI-WuDao/BriVL", file=sys.stderr
    )
    sys.exit(2)


def published_module(code: Path) -> ModuleType:
    """Imports `models.vl_model` of the checkout, and nothing of it but `models` and `utils`."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(code))
    try:
        module = import_module("models.vl_model")
    except ImportError as error:
        print(f"{code}: cannot import its model code ({error})", file=sys.stderr)
        sys.exit(2)
    finally:
        sys.path.remove(str(code))
    loaded = {
        name
        for name, one in sys.modules.items()
        if str(getattr(one, "__file__", None) or "").startswith(f"{code.resolve()}{os.sep}")
        or str(getattr(one, "__file__", None) or "").startswith(f"{code}{os.sep}")
    }
    unexpected = {name for name in loaded if name.partition(".")[0] not in ("models", "utils")}
    if unexpected or "models.vl_model" not in loaded:
        print(f"{code}: imported {sorted(unexpected) or 'another `models`'}", file=sys.stderr)
        sys.exit(2)
    return module


def write_text_encoder(folder: Path) -> None:
    """Writes a small BERT with random weights and twelve layers, as many as the published one."""
    torch.manual_seed(1)
    shape = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=TEXT_WIDTH,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=4 * TEXT_WIDTH,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(shape).save_pretrained(folder)


def published_model(vl_model: ModuleType, encoder: Path) -> Any:
    """The published model with random weights, in evaluation mode."""
    torch.manual_seed(2)
    # It prints the names of its parameters.
    with redirect_stdout(io.StringIO()):
        published = vl_model.VL_model(published_config(encoder))
    set_statistics(published)
    return published.eval()


def published_config(encoder: Path) -> SimpleNamespace:
    """The values of `cfg/test_xyb.yml`, with smaller sizes."""
    return SimpleNamespace(
        ENCODER=str(encoder), CNN="brivl_published_cnn", IMG_SIZE=SIZE_PX, GRID_SIZE=4, TOPK=1,
        IMG_FEATURE_DIM=WIDTH, IMG_TRANSFORMER_HEAD=4, IMG_TRANSFORMER_LAYER=2,
        TEXT_FEATURE_DIM=TEXT_WIDTH, TEXT_TRANSFORMER_HEAD=4, TEXT_TRANSFORMER_LAYER=2,
        QUEUE_SIZE=QUEUE, MOMENTUM=0.9, TEMPERATURE=0.07, IS_EXTRACT=False,
    )  # fmt: skip


@torch.no_grad()
def set_statistics(published: Any) -> None:
    """Measures BatchNorm statistics over random images, so that the maps of images differ."""
    backbones = [published.learnable[name].backbone for name in ("imgencoder", "imgencoder_mom")]
    generator = torch.Generator().manual_seed(3)
    backbones[0].train()
    for _ in range(15):
        backbones[0].forward_features(torch.randn(16, 3, SIZE_PX, SIZE_PX, generator=generator))
    backbones[1].load_state_dict(backbones[0].state_dict())
