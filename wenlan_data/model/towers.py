"""Both towers and the temperature as one module, made from a config."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wenlan_data.errors import RecipeError
from wenlan_data.model.attention import AttentionPooling, l2_normalise
from wenlan_data.model.backbones import image_backbone, text_backbone
from wenlan_data.model.config import ImageConfig, TrainConfig
from wenlan_data.model.freezing import freeze_image, freeze_text, set_training
from wenlan_data.model.image_tower import ImageTower, feature_map
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.text_tower import TextTower

SMALL_PX = 32
"""The stride of most backbones. Below this size some make no feature map."""


class Towers(nn.Module):
    """The image tower, the text tower, and `log_scale`, the logarithm of 1 / temperature."""

    def __init__(self, image: ImageTower, text: TextTower, config: TrainConfig) -> None:
        super().__init__()
        self.image = image
        self.text = text
        bounds = config.temperature
        # CLIP's parametrisation: the logarithm keeps the temperature positive.
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(1 / bounds.value)), requires_grad=bounds.learned
        )
        self._min_log_scale = math.log(1 / bounds.max)
        self._max_log_scale = math.log(1 / bounds.min)
        self._train_batch_norm = config.image.batch_norm == "train"

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """L2-normalised vectors of images and texts, (B, E) each in fp32, and 1 / temperature."""
        return self.embed_images(inputs), self.embed_texts(inputs), self.log_scale.exp()

    def embed_images(self, inputs: Inputs) -> Tensor:
        """(B, E), L2-normalised, in fp32."""
        given = inputs.image, inputs.boxes, inputs.box_mask, inputs.regions
        return l2_normalise(self.image(*given))

    def embed_texts(self, inputs: Inputs) -> Tensor:
        """(B, E), L2-normalised, in fp32."""
        return l2_normalise(self.text(inputs.tokens, inputs.token_mask))

    def set_training(self) -> None:
        """Sets training mode, but for frozen parts; see `freezing.set_training`.

        `train()` would switch on the dropout of frozen layers.
        """
        set_training(self, train_batch_norm=self._train_batch_norm)

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Clamps a learned temperature to its bounds."""
        self.log_scale.clamp_(self._min_log_scale, self._max_log_scale)


def make_towers(
    config: TrainConfig, vocabulary: int, encoder: Mapping[str, object] | None = None
) -> Towers:
    """Makes towers with random weights from the config's seed where it names no pretrained ones.

    `vocabulary`: token ids of a small text encoder. With `encoder`, the text encoder's
    configuration from a checkpoint, no pretrained weights are loaded: the checkpoint holds all.

    Raises `UsageError` where a backbone cannot be loaded, `RecipeError` where the config does not
    fit the backbone.
    """
    # The generator of the caller is restored: its later draws do not depend on the towers made.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        image = (
            config.image if encoder is None else config.image.model_copy(update={"weights": "none"})
        )
        towers = Towers(
            _image_tower(config, image), _text_tower(config, vocabulary, encoder), config
        )
    if config.recompute:
        _recompute_activations(towers)
    return towers


def _image_tower(config: TrainConfig, image: ImageConfig) -> ImageTower:
    backbone, width = image_backbone(image)
    if image.size_px < SMALL_PX:
        _check_feature_map(backbone, width, image)
    freeze_image(backbone, image)
    return ImageTower(
        backbone,
        width,
        config.embedding,
        config.attention_shape(),
        size_px=config.image.size_px,
        grid=config.regions.grid if config.regions.mode == "grid" else 0,
        samples=config.regions.samples,
        boxes=config.regions.max_boxes,
        sampling="released" if config.compat == "released" else "aligned",
        projection=config.image.projection,
    )


def _check_feature_map(backbone: nn.Module, width: int, image: ImageConfig) -> None:
    pixels = torch.zeros(1, 3, image.size_px, image.size_px)
    try:
        with torch.no_grad():
            feature_map(backbone.eval(), pixels, width)
    except RuntimeError as error:
        raise RecipeError(
            f"image.size_px {image.size_px}: too small for {image.backbone}, which makes no "
            f"feature map of it: choose {SMALL_PX} or more"
        ) from error


def _text_tower(
    config: TrainConfig, vocabulary: int, encoder: Mapping[str, object] | None
) -> TextTower:
    backbone, width = text_backbone(config.text, vocabulary, config.dropout, encoder)
    freeze_text(backbone, config.text)
    return TextTower(
        backbone,
        width,
        config.embedding,
        config.attention_shape(),
        mask_encoder=config.compat != "released",
    )


def _recompute_activations(towers: Towers) -> None:
    """Turns on gradient checkpointing in both backbones and in attention pooling."""
    for backbone in (towers.image.backbone, towers.text.backbone):
        # timm's name, and the two of transformers: the second one is new in its version 5.
        names = (
            "set_grad_checkpointing",
            "activation_checkpointing_enable",
            "gradient_checkpointing_enable",
        )
        methods = (getattr(backbone, name, None) for name in names)
        enable = next((method for method in methods if callable(method)), None)
        if enable is not None:
            enable()
    # Otherwise transformers warns at every start that its cache and checkpointing exclude each
    # other.
    towers.text.backbone.config.use_cache = False  # type: ignore[union-attr]
    for module in towers.modules():
        if isinstance(module, AttentionPooling):
            module.recompute = True
