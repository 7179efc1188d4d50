"""What to train: the config, loaded from YAML, validated strictly, digested. Where is on the command line."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from wenlan_data.errors import RecipeError
from wenlan_data.load.text import CHOICES
from wenlan_data.model.attention import AttentionShape
from wenlan_data.settings import describe, names_in, pipelines_folder, read_named

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Average = Annotated[float, Field(ge=0, lt=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageConfig(_Part):
    """The image tower's backbone."""

    backbone: str = "convnext_atto"
    """A name of timm."""
    weights: str = "none"
    """`none` (random), `pretrained` (asked for by timm's name), or a local .safetensors file."""
    size_px: int = Field(default=96, ge=16, le=2048)
    train: Literal["all", "none"] | tuple[str, ...] = "all"
    """Which parameters learn: those under these names, such as `blocks.3`."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """Frozen: statistics stay as loaded. A backbone from nothing that has BatchNorm needs `train`."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of ImageNet, per channel of a picture in 0 to 1, as timm's EfficientNets take it."""
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    projection: bool = True
    """Whether regions go through a linear layer before attention, as published. Small corpora fare better without."""


class SmallEncoder(_Part):
    """The text encoder that is made when no other is given: a BERT of this size, and a vocabulary of the corpus."""

    layers: int = Field(default=2, ge=1)
    width: int = Field(default=128, ge=8)
    heads: int = Field(default=4, ge=1)
    vocabulary: int = Field(default=8000, ge=100)
    """Entries at most."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: must divide width, {self.width}")
        return self


class TextConfig(_Part):
    """The text tower's encoder."""

    backbone: str = "small"
    """`small`, a name of transformers, or a local folder in its format."""
    train: Literal["all", "none"] | int = "all"
    """How many of the last layers learn; with a number, embeddings do not."""
    max_tokens: int = Field(default=32, ge=4, le=512)
    choose: str = "caption"
    """Which text of a sample trains, in the words of `wenlan_data.load`."""
    small: SmallEncoder = SmallEncoder()

    @field_validator("train")
    @classmethod
    def _counted(cls, train: str | int) -> str | int:
        if isinstance(train, int) and train < 0:
            raise ValueError("give a number of layers from 0, all or none")
        return train

    @field_validator("choose")
    @classmethod
    def _known(cls, choice: str) -> str:
        if choice not in CHOICES:
            raise ValueError(f"choose one of {', '.join(CHOICES)}")
        return choice


class RegionsConfig(_Part):
    """What of a picture is looked at."""

    mode: Literal["grid", "boxes"] = "grid"
    grid: int = Field(default=6, ge=1, le=32)
    """Cells along a side; the whole picture comes on top."""
    samples: int = Field(default=4, ge=1, le=16)
    """Bilinear samples along each side of a region."""
    most: int = Field(default=37, ge=1)
    """Boxes of a picture, with the whole picture, which comes last (`boxes` only)."""


class AttentionConfig(_Part):
    """The layers that each tower ends in."""

    layers: int = Field(default=4, ge=0)
    heads: int = Field(default=4, ge=1)
    feed_forward: int = Field(default=2048, ge=1)


class NegativesConfig(_Part):
    """What a pair is compared with."""

    queue: int = Field(default=0, ge=0)
    """Slots; 0 for none."""
    batch: bool = False
    """Whether the keys of the current batch, of all ranks, are negatives too. `clip` always takes the batch."""
    mask: tuple[Literal["id", "page"], ...] = ("id", "page")
    """What is no negative: the same sample again, another one of the same page."""


class TemperatureConfig(_Part):
    """What similarities are divided by."""

    value: Positive = 0.07
    learned: bool = False
    min: Positive = 0.01
    max: Positive = 0.5


class OptimizerConfig(_Part):
    """AdamW, a linear warm-up and a cosine down to `min_lr_share` of the rate."""

    lr: Positive
    backbone_lr_factor: float = Field(default=1.0, ge=0, le=1)
    """What the backbones of both towers learn at, as a share of the rate of what is new."""
    betas: tuple[Average, Average] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0)
    min_lr_share: Share = 0.0
    clip_norm: float = Field(default=0.0, ge=0)
    """Largest norm of all gradients together; 0 for no limit."""


class AugmentConfig(_Part):
    """Changes of a picture, drawn from seed, epoch and sample."""

    jitter: tuple[NotNegative, NotNegative, NotNegative, Share] = (0.4, 0.4, 0.4, 0.1)
    """Brightness, contrast, saturation, hue."""
    jitter_share: Share = 0.8
    grey_share: Share = 0.2
    min_crop_area: float = Field(default=1.0, gt=0, le=1)
    """A random crop keeps at least this share of a picture's area; 1 for no crop. Boxes move along."""
    flip_share: Share = 0.0


class CheckpointConfig(_Part):
    """What is kept."""

    every_steps: int = Field(default=1000, ge=1)
    keep: int = Field(default=3, ge=1)
    """The newest so many stay, and the best."""


class ValidationConfig(_Part):
    """How the best checkpoint is found; used with `--val-shards`."""

    every_steps: int = Field(default=1000, ge=1)
    metric: Literal["mean_recall", "text_to_image_recall@1", "image_to_text_recall@1"] = (
        "mean_recall"
    )
    max_samples: int = Field(default=5000, ge=1)


class TrainConfig(_Part):
    """A whole config."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    objective: Literal["brivl", "clip"]
    compat: Literal["none", "released"] = "none"
    """`released` keeps the quirks of the published forward pass, so that its weights give its vectors."""
    precision: Literal["fp32", "bf16"] = "fp32"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of the attention layers and of the text encoder."""
    head_width: int = Field(default=0, ge=0)
    """Values between the last two linear layers of a tower; 0 for as many as `embedding`, as published."""
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Of what the last two linear layers of a tower take; 0 as published."""
    standardise: bool = False
    """Whether what the last two layers read has mean 0 and deviation 1, as measured before the first step."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    embedding: int = Field(default=2048, ge=2)
    image: ImageConfig = ImageConfig()
    text: TextConfig = TextConfig()
    regions: RegionsConfig = RegionsConfig()
    attention: AttentionConfig = AttentionConfig()
    negatives: NegativesConfig = NegativesConfig()
    momentum: Share = 0.99
    temperature: TemperatureConfig = TemperatureConfig()
    optimizer: OptimizerConfig
    augment: AugmentConfig = AugmentConfig()
    batch_size: int = Field(ge=1)
    """Pairs of a step, over all ranks and accumulated parts."""
    accumulation: int = Field(default=1, ge=1)
    max_steps: int = Field(ge=1)
    recompute: bool = False
    """Gradient checkpointing of both towers."""
    compile: bool = False
    channels_last: bool = True
    checkpoints: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.objective == "brivl" and not (self.negatives.queue or self.negatives.batch):
            raise ValueError("negatives: brivl needs a queue, batch: true, or both")
        if self.objective == "clip" and self.negatives.queue:
            raise ValueError("negatives.queue: clip has no queue: set it to 0")
        if not self.temperature.min <= self.temperature.value <= self.temperature.max:
            raise ValueError(
                "temperature.value: must lie between temperature.min and temperature.max"
            )
        if self.standardise and self.compat == "released":
            raise ValueError(
                "standardise: the published towers know no such thing: leave it out with compat: released"
            )
        if not self.image.projection and self.compat == "released":
            raise ValueError(
                "image.projection: the published towers have one: leave it true with compat: released"
            )
        if self.head_width not in (0, self.embedding) and self.compat == "released":
            raise ValueError(
                "head_width: the published heads are as wide as embedding: leave it 0 with compat: released"
            )
        if self.batch_size % self.accumulation:
            raise ValueError("accumulation: must divide batch_size")
        return self

    def attention_shape(self) -> AttentionShape:
        """The shape of both towers' layers."""
        return AttentionShape(
            layers=self.attention.layers,
            heads=self.attention.heads,
            feed_forward=self.attention.feed_forward,
            dropout=self.dropout,
            head_width=self.head_width,
            head_dropout=self.head_dropout,
            standardise=self.standardise,
        )

    def resolved(self) -> dict[str, object]:
        """Every value in force, as JSON types."""
        value: dict[str, object] = json.loads(json.dumps(self.model_dump(mode="json")))
        return value

    def digest(self) -> str:
        """SHA-256 over the resolved config, 64 hex digits."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def config_folder() -> Path:
    """Where the named configs lie."""
    return pipelines_folder() / "train"


def config_names() -> list[str]:
    """The names that `--config` takes."""
    return names_in(config_folder())


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """The config of that name or file, with `key.path=value` overrides.

    Raises `RecipeError` that names the key and what would be valid.
    """
    return parse_config(*read_named(name_or_path, config_folder(), "config", overrides))


def parse_config(value: object, where: str) -> TrainConfig:
    """The config in a value read from YAML or JSON; `where` names it in errors."""
    try:
        return TrainConfig.model_validate(value)
    except ValidationError as error:
        raise RecipeError(f"{where}: {describe(error, TrainConfig)}") from error
