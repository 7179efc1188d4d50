"""Batches of the loader as tensors on the device, from any place of any epoch, without end."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wenlan_data.load import (
    ImageSettings,
    Loader,
    LoaderBatch,
    SamplingSettings,
    TextSettings,
)
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs, augmentation, normalised, padded_as_published
from wenlan_data.train.corpus_mark import Pages, sample_ids
from wenlan_data.train.distributed import Ranks


@dataclass(frozen=True, slots=True)
class Place:
    """How far the training has come: global batches of an epoch that were used."""

    epoch: int
    position: int


START = Place(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One rank's part of a global batch."""

    inputs: Inputs
    ids: Tensor
    """int64 (B,)."""
    pages: Tensor
    """int64 (B,), 0 for none."""
    keys: list[str]
    after: Place
    """Where to go on once this batch is used."""
    wait_s: float
    """How long the loader was waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Where batches come from."""

    shards: list[Path]
    tokenizer: Path
    pages: Pages
    workers: int


def batches(stream: Stream, config: TrainConfig, ranks: Ranks, place: Place) -> Iterator[Batch]:
    """This rank's batches from `place` on, epoch after epoch.

    Raises what `Loader` raises.
    """
    while True:
        with make_loader(stream, config, ranks, place) as loader:
            position = place.position
            while True:
                start = time.perf_counter()
                found = next(loader, None)
                if found is None:
                    break
                position += 1
                wait_s = time.perf_counter() - start
                after = Place(place.epoch, position)
                yield to_batch(found, config, ranks, stream.pages, after, wait_s)
        place = Place(place.epoch + 1, 0)


def make_loader(stream: Stream, config: TrainConfig, ranks: Ranks, place: Place) -> Loader:
    """The loader of one epoch, for one rank."""
    return Loader(
        list(stream.shards),
        batch_size=config.batch_size // config.accumulation // ranks.ranks,
        size_px=config.image.size_px,
        workers=stream.workers,
        epoch=place.epoch,
        position=place.position,
        device=str(ranks.device),
        sampling=SamplingSettings(seed=config.seed, rank=ranks.rank, world_size=ranks.ranks),
        images=ImageSettings(
            max_regions=config.regions.most if config.regions.mode == "boxes" else 0,
            augment=augmentation(config.augment),
        ),
        texts=TextSettings(
            choose=config.text.choose,
            tokenizer=stream.tokenizer,
            max_tokens=config.text.max_tokens,
        ),
    )


def to_batch(
    found: LoaderBatch,
    config: TrainConfig,
    ranks: Ranks,
    pages: Pages,
    after: Place,
    wait_s: float,
) -> Batch:
    """A loader's mapping as tensors on the device."""
    keys = found["key"]
    ids = sample_ids(keys)
    boxes, box_mask = _boxes(found, len(keys))
    tokens, token_mask = padded_as_published(found["tokens"], found["token_mask"], config)
    return Batch(
        inputs=Inputs(
            image=normalised(found["image"].to(ranks.device), config),
            boxes=boxes.to(ranks.device),
            box_mask=box_mask.to(ranks.device, non_blocking=True),
            tokens=tokens.to(ranks.device, non_blocking=True),
            token_mask=token_mask.to(ranks.device, non_blocking=True),
        ),
        ids=torch.from_numpy(ids).to(ranks.device),
        pages=torch.from_numpy(np.asarray(pages.of(ids))).to(ranks.device),
        keys=keys,
        after=after,
        wait_s=wait_s,
    )


def _boxes(found: LoaderBatch, count: int) -> tuple[Tensor, Tensor]:
    if "boxes" not in found:
        return torch.zeros(count, 0, 4), torch.zeros(count, 0, dtype=torch.bool)
    return found["boxes"], found["box_mask"]
