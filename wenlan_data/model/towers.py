"""Both towers and the temperature as one module, made from a config."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wenlan_data.errors import RecipeError
from wenlan_data.model.attention import Summary, unit
from wenlan_data.model.backbones import image_backbone, text_backbone
from wenlan_data.model.config import ImageConfig, TrainConfig
from wenlan_data.model.freezing import freeze_image, freeze_text, set_training
from wenlan_data.model.image_tower import ImageTower, feature_map
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.text_tower import TextTower

SMALL_PX = 32
"""The stride of most backbones: they make a map of any picture of this size, and some of none below it."""


class Towers(nn.Module):
    """The image tower, the text tower, and the logarithm of one over the temperature."""

    def __init__(self, image: ImageTower, text: TextTower, config: TrainConfig) -> None:
        super().__init__()
        self.image = image
        self.text = text
        bounds = config.temperature
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(1 / bounds.value)), requires_grad=bounds.learned
        )
        self._low, self._high = math.log(1 / bounds.max), math.log(1 / bounds.min)
        self._batch_norm_learns = config.image.batch_norm == "train"

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """(B, E) unit vectors of pictures and texts, in fp32, and the scale."""
        return self.image_vectors(inputs), self.text_vectors(inputs), self.log_scale.exp()

    def image_vectors(self, inputs: Inputs) -> Tensor:
        """(B, E), of length 1."""
        return unit(self.image(inputs.image, inputs.boxes, inputs.box_mask))

    def text_vectors(self, inputs: Inputs) -> Tensor:
        """(B, E), of length 1."""
        return unit(self.text(inputs.tokens, inputs.token_mask))

    def learn(self) -> None:
        """Training mode; frozen parts stay in evaluation mode (see `freezing.set_training`)."""
        set_training(self, batch_norm_learns=self._batch_norm_learns)

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep the temperature inside its bounds."""
        self.log_scale.clamp_(self._low, self._high)


def make_towers(
    config: TrainConfig, vocabulary: int, shape: Mapping[str, object] | None = None
) -> Towers:
    """Towers as the config says, with a random start from its seed where there are no weights.

    With `shape`, the text encoder's configuration out of a checkpoint, no weights are looked for: it holds them.

    Raises `UsageError` where a backbone cannot be had, `RecipeError` is raised by the config before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        image = (
            config.image if shape is None else config.image.model_copy(update={"weights": "none"})
        )
        towers = Towers(_image_tower(config, image), _text_tower(config, vocabulary, shape), config)
    if config.recompute:
        _recompute(towers)
    return towers


def _image_tower(config: TrainConfig, image: ImageConfig) -> ImageTower:
    backbone, width = image_backbone(image)
    if image.size_px < SMALL_PX:
        _check_map(backbone, width, image)
    freeze_image(backbone, image)
    return ImageTower(
        backbone,
        width,
        config.embedding,
        config.attention_shape(),
        size_px=config.image.size_px,
        grid=config.regions.grid if config.regions.mode == "grid" else 0,
        samples=config.regions.samples,
        sampling="released" if config.compat == "released" else "aligned",
        projection=config.image.projection,
    )


def _check_map(backbone: nn.Module, width: int, image: ImageConfig) -> None:
    picture = torch.zeros(1, 3, image.size_px, image.size_px)
    try:
        with torch.no_grad():
            feature_map(backbone.eval(), picture, width)
    except RuntimeError as error:
        raise RecipeError(
            f"image.size_px {image.size_px}: {image.backbone} makes no feature map of it: choose {SMALL_PX} or more"
        ) from error


def _text_tower(
    config: TrainConfig, vocabulary: int, shape: Mapping[str, object] | None
) -> TextTower:
    backbone, width = text_backbone(config.text, vocabulary, config.dropout, shape)
    freeze_text(backbone, config.text)
    return TextTower(
        backbone,
        width,
        config.embedding,
        config.attention_shape(),
        mask_encoder=config.compat != "released",
    )


def _recompute(towers: Towers) -> None:
    for part in (towers.image.backbone, towers.text.backbone):
        # timm's name, and the two of transformers: the second one is new in its version 5.
        names = (
            "set_grad_checkpointing",
            "activation_checkpointing_enable",
            "gradient_checkpointing_enable",
        )
        switch = next(
            (found for name in names if callable(found := getattr(part, name, None))), None
        )
        if switch is not None:
            switch()
    towers.text.backbone.config.use_cache = False  # type: ignore[union-attr] # else transformers warns at each start
    for part in towers.modules():
        if isinstance(part, Summary):
            part.recompute = True
