"""The training config: what to train. Read from YAML and validated strictly.

Where and how to train is on the command line (`train.options`).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from wenlan_data import plugins
from wenlan_data.errors import RecipeError
from wenlan_data.load.text import CHOICES
from wenlan_data.model.attention import AttentionShape
from wenlan_data.model.data_config import DataConfig
from wenlan_data.settings import describe, origin_of, pipelines_folder, read_named

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
DecayRate = Annotated[float, Field(ge=0, lt=1)]
# A config may come with a checkpoint from a stranger: every number and list is bounded.
MAX_STEPS = 99_999_999
"""The name of a checkpoint has eight digits."""
Layers = Annotated[int, Field(ge=0, le=128)]
Width = Annotated[int, Field(ge=1, le=1 << 15)]
Name = Annotated[str, Field(max_length=4096)]


def _known_objective(name: str) -> str:
    known = plugins.names(plugins.OBJECTIVES)
    if name not in known:
        raise ValueError(f"choose one of {', '.join(known)}")
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageConfig(_Section):
    """The image tower's backbone."""

    backbone: Annotated[str, Field(max_length=128)] = "convnext_atto"
    """A timm model."""
    weights: Name = "none"
    """`none` (random), `pretrained` (fetched by timm), or the path of a .safetensors file."""
    size_px: int = Field(default=96, ge=16, le=2048)
    train: Literal["all", "none"] | Annotated[tuple[Name, ...], Field(max_length=1000)] = "all"
    """Which parameters train: those under these names, such as `blocks.3`."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """`frozen` keeps the loaded statistics. BatchNorm with random weights needs `train`."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of each channel for values of 0 to 1; ImageNet's, as for timm's EfficientNets."""
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    """Standard deviation of each channel."""
    features: Name = ""
    """A folder of region features (`eval embed --regions`), which train in place of images. Empty
    for images."""
    projection: bool = True
    """A linear layer before attention, as in the released code. Small corpora do better without."""


class SmallEncoder(_Section):
    """`text.backbone: small`: a BERT of this size with a vocabulary of the corpus."""

    layers: Layers = Field(default=2, ge=1)
    width: Width = Field(default=128, ge=8)
    heads: Width = 4
    vocabulary: int = Field(default=8000, ge=100, le=1_000_000)
    """Maximum number of entries."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: must divide width, {self.width}")
        return self


class TextConfig(_Section):
    """The text tower's encoder."""

    backbone: Name = "small"
    """`small`, a transformers model, or a local folder in its format."""
    train: Literal["all", "none"] | int = "all"
    """How many of the last layers train; with a number, the embeddings are frozen."""
    max_tokens: int = Field(default=32, ge=4, le=512)
    choose: str = "caption"
    """Which text of a sample trains, a choice of `load.text`."""
    min_confidence: Share = 0.0
    """Texts of lower confidence count as missing, but for the caption."""
    small: SmallEncoder = SmallEncoder()

    @field_validator("train")
    @classmethod
    def _counted(cls, train: str | int) -> str | int:
        if isinstance(train, int) and not 0 <= train <= 128:
            raise ValueError("give a number of layers from 0, all or none")
        return train

    @field_validator("choose")
    @classmethod
    def _known(cls, choice: str) -> str:
        if choice not in CHOICES:
            raise ValueError(f"choose one of {', '.join(CHOICES)}")
        return choice


class RegionsConfig(_Section):
    """The regions of an image."""

    mode: Literal["grid", "boxes"] = "grid"
    grid: int = Field(default=6, ge=1, le=32)
    """Cells along a side; the whole image is one more region."""
    samples: int = Field(default=4, ge=1, le=16)
    """Bilinear samples along each side of a region."""
    most: int = Field(default=37, ge=1, le=10_000)
    """Maximum number of boxes, including the whole image, which is the last (`boxes` only)."""

    @property
    def max_boxes(self) -> int:
        """Boxes that the loader delivers with an image; none for a grid."""
        return self.most if self.mode == "boxes" else 0


class AttentionConfig(_Section):
    """The encoder layers of attention pooling, in both towers."""

    layers: Layers = 4
    heads: Width = 4
    feed_forward: Width = 2048


class NegativesConfig(_Section):
    """What a pair is contrasted with."""

    queue: int = Field(default=0, ge=0, le=100_000_000)
    """Capacity of each queue; 0 for none."""
    batch: bool = False
    """Whether keys of the current batch, of all ranks, are negatives too. `clip` has these only."""
    mask: Annotated[tuple[Literal["id", "page"], ...], Field(max_length=2)] = ("id", "page")
    """False negatives to mask: the same sample (`id`), samples of the same page (`page`)."""


class TemperatureConfig(_Section):
    """The divisor of similarities, fixed or learned."""

    value: Positive = 0.07
    learned: bool = False
    min: Positive = 0.01
    max: Positive = 0.5


class OptimizerConfig(_Section):
    """AdamW with a linear warm-up and a decay to `min_lr_share` x `lr`."""

    lr: Positive
    schedule: Literal["cosine", "linear", "constant", "cooldown"] = "cosine"
    """After the warm-up. `cooldown` is constant up to the last `cooldown_steps`, then linear."""
    cooldown_steps: int = Field(default=0, ge=0, le=MAX_STEPS)
    backbone_lr_factor: float = Field(default=1.0, ge=0, le=1)
    """Learning rate of both backbones as a share of that of the new layers."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Learning rate of a block of a backbone as a share of that of the block above it."""
    betas: tuple[DecayRate, DecayRate] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)
    warmup_steps: int = Field(default=0, ge=0, le=MAX_STEPS)
    min_lr_share: Share = 0.0
    clip_norm: float = Field(default=0.0, ge=0)
    """Maximum L2 norm over all gradients; 0 for no limit."""


class AugmentConfig(_Section):
    """Image augmentation, drawn from seed, epoch and sample."""

    jitter: tuple[NotNegative, NotNegative, NotNegative, Share] = (0.4, 0.4, 0.4, 0.1)
    """Brightness, contrast, saturation, hue."""
    jitter_share: Share = 0.8
    grey_share: Share = 0.2
    min_crop_area: float = Field(default=1.0, gt=0, le=1)
    """Minimum share of the area that a random crop keeps; 1 for no crop. Boxes move along."""
    flip_share: Share = 0.0

    @property
    def changes_images(self) -> bool:
        """Whether an image can come out different."""
        jitters = self.jitter_share > 0 and any(self.jitter)
        crops = self.min_crop_area < 1
        return bool(jitters or self.grey_share or self.flip_share or crops)


class CheckpointConfig(_Section):
    """How often checkpoints are written, and which stay."""

    every_steps: int = Field(default=1000, ge=1, le=MAX_STEPS)
    keep: int = Field(default=3, ge=1, le=MAX_STEPS)
    """The number of newest checkpoints that stay, besides the best."""
    background: bool = True
    """Whether training goes on while a checkpoint is written, from a copy of all its tensors in the
    main rank's host memory."""


class ValidationConfig(_Section):
    """How the best checkpoint is chosen; applies with `--val-shards`."""

    every_steps: int = Field(default=1000, ge=1, le=MAX_STEPS)
    metric: Literal["mean_recall", "text_to_image_recall@1", "image_to_text_recall@1"] = (
        "mean_recall"
    )
    max_samples: int = Field(default=5000, ge=1, le=2**53)


class EmaConfig(_Section):
    """An exponential moving average of the weights, which is evaluated in place of the last
    ones."""

    decay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the old average after a step; 0 for no average."""


class LogConfig(_Section):
    """What is logged, and how often."""

    every_steps: int = Field(default=1, ge=1, le=MAX_STEPS)
    """A line of the log holds the means over so many steps. A GPU is waited for only then."""
    wandb: str = Field(default="", max_length=128, pattern=r"^[\w.-]*$")
    """A project of Weights & Biases to log to as well, if the package wandb is installed."""


class TrainConfig(_Section):
    """A training config. Field names are the keys of the YAML file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    objective: Annotated[str, AfterValidator(_known_objective)]
    """A file of `train/objectives/`, or an entry point of `wenlan_data.objectives`."""
    compat: Literal["none", "released"] = "none"
    """`released` reproduces the released forward pass, and with the released weights its
    vectors."""
    precision: Literal["fp32", "bf16"] = "fp32"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of the attention layers and of the text encoder."""
    head_width: int = Field(default=0, ge=0, le=1 << 16)
    """Width between the two layers of a projection head; 0 for `embedding`, as released."""
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of the inputs of both layers of a projection head; 0 in the released code."""
    standardise: bool = False
    """Whether inputs of projection heads are standardised, as measured before the first step."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    embedding: int = Field(default=2048, ge=2, le=1 << 16)
    """Values of the joint embedding."""
    image: ImageConfig = ImageConfig()
    text: TextConfig = TextConfig()
    regions: RegionsConfig = RegionsConfig()
    attention: AttentionConfig = AttentionConfig()
    negatives: NegativesConfig = NegativesConfig()
    momentum: Share = 0.99
    """Share of the old weights in an update of the momentum towers."""
    temperature: TemperatureConfig = TemperatureConfig()
    optimizer: OptimizerConfig
    augment: AugmentConfig = AugmentConfig()
    data: DataConfig = DataConfig()
    batch_size: int = Field(ge=1, le=1 << 24)
    """Pairs of a step, over all ranks and micro-batches."""
    accumulation: int = Field(default=1, ge=1, le=1 << 24)
    """Micro-batches of a step. The negatives of `clip` are those of all of them, for a second
    forward pass; `brivl` has those of the queue, and with `negatives.batch` of its micro-batch."""
    max_steps: int = Field(ge=1, le=MAX_STEPS)
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How several ranks hold the towers: `ddp`, all of them on each rank; `fsdp`, a part of each
    parameter, with its gradient, moments and averages, for towers that no rank can hold."""
    recompute: bool = False
    """Gradient checkpointing of both towers."""
    compile: bool = False
    channels_last: bool = True
    checkpoints: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()
    ema: EmaConfig = EmaConfig()
    log: LogConfig = LogConfig()

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
                "standardise: the released towers do not have it: "
                "leave it out with compat: released"
            )
        if not self.image.projection and self.compat == "released":
            raise ValueError(
                "image.projection: the released towers have one: "
                "leave it true with compat: released"
            )
        if self.head_width not in (0, self.embedding) and self.compat == "released":
            raise ValueError(
                "head_width: the released heads are as wide as embedding: "
                "leave it 0 with compat: released"
            )
        if self.objective == "clip" and self.accumulation > 1 and self.image.batch_norm == "train":
            raise ValueError(
                "accumulation: clip computes each micro-batch twice, which would count it twice in "
                "image.batch_norm: train: set accumulation to 1, or batch_norm to frozen"
            )
        if self.batch_size % self.accumulation:
            raise ValueError("accumulation: must divide batch_size")
        if self.batch_size // self.accumulation % self.data.nodes:
            raise ValueError("data.nodes: must divide batch_size / accumulation")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.parallel == "fsdp" and self.compile:
            raise ValueError("compile: not with parallel: fsdp: set one of them to its default")
        if self.image.features and self.data.decoder == "cuda":
            raise ValueError("image.features: no image is decoded: leave out data.decoder: cuda")
        if self.image.features and self.parallel == "fsdp":
            raise ValueError("image.features: not with parallel: fsdp: set parallel to ddp")
        if self.image.features and (
            self.image.train != "none"
            or self.image.batch_norm != "frozen"
            or self.augment.changes_images
        ):
            raise ValueError(
                "image.features: they are those of a frozen backbone and of images as they are: "
                "set image.train to none, image.batch_norm to frozen, augment.jitter_share and "
                "augment.grey_share to 0, and leave out crop and flip"
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        cooldown = self.optimizer.cooldown_steps
        if (self.optimizer.schedule == "cooldown") != bool(cooldown):
            raise ValueError(
                "optimizer.cooldown_steps: the schedule cooldown needs it, and no other one has it"
            )
        if self.optimizer.warmup_steps + cooldown > self.max_steps and cooldown:
            raise ValueError(
                "optimizer.cooldown_steps: must fit between optimizer.warmup_steps and max_steps"
            )
        return self

    def attention_shape(self) -> AttentionShape:
        """The hyperparameters of attention pooling, the same in both towers."""
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
        """All values, defaults included, as JSON types."""
        value: dict[str, object] = json.loads(json.dumps(self.model_dump(mode="json")))
        return value

    def digest(self) -> str:
        """SHA-256 of the resolved config, 64 hex digits."""
        text = json.dumps(self.resolved(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def config_folder() -> Path:
    """The folder of the named configs."""
    return pipelines_folder() / "train"


def load_config(name_or_path: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """Loads a config by name or path, with `key.path=value` overrides.

    Raises `RecipeError` naming the key and what would be valid.
    """
    value, path = read_named(name_or_path, config_folder(), "config", overrides)
    return parse_config(value, path, overrides)


def parse_config(value: object, where: str, overrides: Sequence[str] = ()) -> TrainConfig:
    """Validates a value that was read from YAML or JSON; `where` names it in errors, unless one of
    the overrides in it is wrong."""
    try:
        return TrainConfig.model_validate(value)
    except ValidationError as error:
        where = origin_of(error, where, overrides)
        raise RecipeError(f"{where}: {describe(error, TrainConfig)}") from error
