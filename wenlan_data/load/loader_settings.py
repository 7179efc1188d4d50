"""Settings of a `Loader`, one frozen dataclass per subject. Every field has a default.

Each class checks its own values and raises `UsageError` for a wrong one.
"""

from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.load.augment import Augment
from wenlan_data.load.decode import find_decoder
from wenlan_data.load.region_features import RegionFeatures
from wenlan_data.load.shuffle import ShuffleSettings
from wenlan_data.load.text import Tokenizer, check_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """Which samples this rank receives, and in which order (cf. torch's `DistributedSampler`)."""

    seed: int = 0
    """Decides the order, the augmentation, the random texts, and which samples are verified."""
    shuffle: ShuffleSettings | None = ShuffleSettings()
    """None keeps the order of the shards, for evaluation."""
    drop_last: bool = False
    """Leave out the samples that do not fill a global batch.

    By default the first samples of the epoch are repeated until the last global batch is full.
    """
    rank: int = 0
    world_size: int = 1
    """Number of ranks; every rank receives the same number of batches."""
    batches_together: int = 1
    """An epoch has a multiple of so many global batches: those that a training adds up."""
    nodes: int = 1
    """Into how many shares the samples of every corpus are divided, so that a node reads only its
    own (`load.node_shares`). The order depends on it, and not on the nodes that there are."""

    def __post_init__(self) -> None:
        check_minimum(
            1,
            world_size=self.world_size,
            batches_together=self.batches_together,
            nodes=self.nodes,
        )
        if not 0 <= self.rank < self.world_size:
            raise UsageError(f"rank {self.rank}: it must be from 0 to {self.world_size - 1}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """How images are decoded and varied, and how many regions of each are delivered."""

    decoder: str = "turbo"
    """`turbo`, `pillow` or `cuda`; see `wenlan_data.load.decode`."""
    max_regions: int = 37
    """R of `boxes` (B, R, 4): BriVL's 36 grid cells and the whole image. 0 delivers no boxes."""
    augment: Augment | None = None
    features: RegionFeatures | None = None
    """Delivered in place of images, which are not decoded; only without regions and `augment`."""

    def __post_init__(self) -> None:
        find_decoder(self.decoder)
        if self.features and (self.max_regions or self.augment or self.decoder == "cuda"):
            raise UsageError(
                "features: they take the place of images: set max_regions to 0, augment to None "
                "and decoder to turbo"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSettings:
    """Which text of a sample is delivered, and how it is tokenized."""

    choose: str = "caption"
    """A text type, `random`, `mixed`, or one of BriVL's `sur_text`, `easy` and `first`."""
    min_confidence: float = 0.0
    """Texts of lower confidence count as missing. The caption always counts, and so does a text
    without a recorded confidence."""
    tokenizer: str | Path | Tokenizer | None = None
    """A `tokenizer.json`, a BERT `vocab.txt`, a folder with either, or an object with `encode`.

    Without a tokenizer a batch holds no `tokens`.
    """
    max_tokens: int = 80
    """Longer texts are truncated; only for a tokenizer that is given by its path."""

    def __post_init__(self) -> None:
        check_choice(self.choose)
        if not 0 <= self.min_confidence <= 1:
            raise UsageError(f"min_confidence {self.min_confidence}: it must be from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Processes that read and decode."""

    count: int = 2
    """0 reads and decodes in the calling process."""
    prefetch: int = 2
    """Batches that each worker prepares ahead, as `prefetch_factor` of torch's `DataLoader`."""

    def __post_init__(self) -> None:
        check_minimum(0, workers=self.count)
        check_minimum(1, prefetch=self.prefetch)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPolicy:
    """What is checked, and what happens to a shard that is corrupt."""

    check_share: float = 0.0
    """Share of the samples whose checksums, tar headers and padding are verified; 1.0 is all."""
    corrupt_shards: str = "fail"
    """`fail` raises `DamageError` for a missing or truncated shard, `skip` leaves it out."""

    def __post_init__(self) -> None:
        if self.corrupt_shards not in ("fail", "skip"):
            raise UsageError(f"corrupt_shards {self.corrupt_shards!r}: choose one of fail, skip")

    @property
    def skips_corrupt_shards(self) -> bool:
        """Whether corrupt shards are left out."""
        return self.corrupt_shards == "skip"


def check_minimum(minimum: int, **numbers: int) -> None:
    """Raises `UsageError` that names the first number below `minimum`."""
    for name, number in numbers.items():
        if number < minimum:
            raise UsageError(f"{name} {number}: too small")
