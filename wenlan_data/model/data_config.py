"""The `data` section of a training config: which corpora train, and how they are read."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_WINDOW = 1 << 24
"""Samples of a window: its order is computed as a whole."""
CorpusPath = Annotated[str, Field(min_length=1, max_length=4096)]


class _DataSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CorpusConfig(_DataSection):
    """One corpus of a mix."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    """In the log. Names differ."""
    paths: Annotated[tuple[CorpusPath, ...], Field(min_length=1, max_length=100_000)]
    """Corpora, folders of tars, and tars. They may be moved between runs."""
    weight: float = Field(default=1.0, gt=0)
    """Relative to the weights of the others. An epoch is as long as all corpora together."""

    @field_validator("paths", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class ShuffleConfig(_DataSection):
    """How far samples travel, as in `load.ShuffleSettings`."""

    block_samples: int = Field(default=512, ge=1, le=1 << 20)
    window_blocks: int = Field(default=32, ge=1, le=1 << 20)
    scatter: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.block_samples * self.window_blocks > MAX_WINDOW:
            raise ValueError(f"block_samples x window_blocks: must be at most {MAX_WINDOW}")
        return self


class DataConfig(_DataSection):
    """Which corpora train, and how they are read (`docs/loading.md`)."""

    corpora: Annotated[tuple[CorpusConfig, ...], Field(max_length=1000)] = ()
    """Corpora with weights, in place of `--shards`."""
    decoder: Literal["turbo", "pillow", "cuda"] = "turbo"
    shuffle: ShuffleConfig | None = ShuffleConfig()
    """`none` keeps the order of the shards."""
    check_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the samples whose checksums, tar headers and padding are verified."""
    corrupt_shards: Literal["fail", "skip"] = "fail"
    """What happens at the start to a shard that is missing or truncated."""
    prefetch: int = Field(default=2, ge=1, le=1024)
    """Batches that each loading process prepares ahead."""
    fields: Annotated[tuple[Annotated[str, Field(max_length=128)], ...], Field(max_length=64)] = ()
    """Keys of a sample's JSON that a batch delivers, for objectives that read them. A sample
    without one of them cannot be used."""
    shard_by: Literal["all", "node"] = "all"
    """`node`: the samples are divided into `nodes` shares, and a node reads its own only."""
    nodes: int = Field(default=1, ge=1, le=1 << 16)
    """Shares of `shard_by: node`: the number of nodes, or a multiple. The order depends on it, so
    it stays when a run continues on other nodes."""

    @field_validator("shuffle", mode="before")
    @classmethod
    def _switched_off(cls, value: object) -> object:
        return None if value == "none" else value

    @property
    def skips_corrupt_shards(self) -> bool:
        """Whether corrupt shards are left out."""
        return self.corrupt_shards == "skip"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.shard_by == "node") != (self.nodes > 1):
            raise ValueError("nodes: shard_by: node needs a number above 1, and all has none")
        twice = [
            name for name, count in Counter(one.name for one in self.corpora).items() if count > 1
        ]
        if twice:
            raise ValueError(f"corpora: two have the same name, {twice[0]}")
        return self
