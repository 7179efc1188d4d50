"""Batches of the loader as tensors on the device, from any position of any epoch, without end."""

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from wenlan_data.load import (
    Augment,
    FaultPolicy,
    ImageSettings,
    Loader,
    LoaderBatch,
    SamplingSettings,
    ShuffleSettings,
    TextSettings,
    WeightedCorpus,
    WorkerSettings,
)
from wenlan_data.load.metrics import LoaderMetrics
from wenlan_data.load.region_features import RegionFeatures
from wenlan_data.model.config import AugmentConfig, TrainConfig
from wenlan_data.model.inputs import Inputs, batch_boxes, batch_images, pad_as_released
from wenlan_data.train.corpus_mark import sample_ids
from wenlan_data.train.distributed import Distributed


@dataclass(frozen=True, slots=True)
class DataPosition:
    """How much of the data was used: samples of an epoch, whatever the number of ranks and
    micro-batches."""

    epoch: int
    samples: int


START = DataPosition(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCounts:
    """Samples of which the training did not get what the corpus seems to hold."""

    bad: int = 0
    """That cannot be used; each was replaced by the next one that can."""
    repeated: int = 0
    """Rows that replace a bad sample, or fill the last batch of an epoch."""
    texts_cut: int = 0
    """Texts that were truncated to `text.max_tokens`."""
    texts_other: int = 0
    """Samples without the requested text, whose caption was used instead."""
    workers_lost: int = 0
    """How often loading workers died or stalled, and new ones took their place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One rank's B samples of a global micro-batch, on its device."""

    inputs: Inputs
    ids: Tensor
    """int64 (B,), see `corpus_mark.sample_ids`."""
    pages: Tensor
    """int64 (B,), 0 where the page is unknown."""
    next_position: DataPosition
    """Where to resume once this batch was used."""
    wait_s: float
    """Seconds spent waiting for the loader."""
    counts: DataCounts
    bad_example: str = ""
    """Shard, key and reason of a bad sample of the batch."""
    fields: Mapping[str, list[object]] = field(default_factory=dict)
    """The values of `data.fields`, B for each key."""
    epoch_metrics: LoaderMetrics | None = None
    """What the loader counted in an epoch, with its last batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Where batches come from."""

    shards: list[Path]
    tokenizer: Path
    workers: int
    features: RegionFeatures | None = None
    """Trains in place of the images."""


def batches(
    data: TrainingData, config: TrainConfig, distributed: Distributed, position: DataPosition
) -> Generator[Batch]:
    """Yields this rank's batches from `position` on, epoch after epoch, of one loader.

    Raises the errors of `Loader`.
    """
    with make_loader(data, config, distributed, position) as loader:
        start = time.perf_counter()
        before, epoch = DataCounts(), position.epoch
        for loaded in loader:
            wait_s = time.perf_counter() - start
            if loader.epoch != epoch:
                # Metrics are those of one epoch.
                before, epoch = DataCounts(), loader.epoch
            after = DataPosition(epoch, loader.position * loader.global_batch)
            total = _counts(loader.metrics)
            batch = to_batch(loaded, config, distributed, after, wait_s)
            yield replace(
                batch,
                counts=DataCounts(
                    bad=total.bad - before.bad,
                    repeated=int(loaded["repeated"].sum()),
                    texts_cut=total.texts_cut - before.texts_cut,
                    texts_other=total.texts_other - before.texts_other,
                    workers_lost=total.workers_lost - before.workers_lost,
                ),
                bad_example=_bad_example(loader.metrics) if total.bad > before.bad else "",
                epoch_metrics=None if len(loader) else loader.metrics,
            )
            before = total
            start = time.perf_counter()


def sum_counts(counts: Sequence[DataCounts]) -> DataCounts:
    """The counts of several batches together."""
    return DataCounts(
        **{one.name: sum(getattr(each, one.name) for each in counts) for one in fields(DataCounts)}
    )


def _counts(metrics: LoaderMetrics) -> DataCounts:
    return DataCounts(
        bad=metrics.bad.total(),
        texts_cut=metrics.texts_cut,
        texts_other=metrics.texts_other,
        workers_lost=metrics.workers_lost,
    )


def _bad_example(metrics: LoaderMetrics) -> str:
    if not metrics.bad_examples:
        return ""
    shard, key, reason, detail = metrics.bad_examples[-1]
    return f"{shard}: {key}: {reason} {detail}".rstrip()


def make_loader(
    data: TrainingData, config: TrainConfig, distributed: Distributed, position: DataPosition
) -> Loader:
    """Makes the loader of one rank, which runs on from `position`, epoch after epoch."""
    shuffle = config.data.shuffle
    return Loader(
        [
            WeightedCorpus(name=one.name, paths=one.paths, weight=one.weight)
            for one in config.data.corpora
        ]
        or list(data.shards),
        batch_size=config.batch_size // config.accumulation // distributed.world_size,
        size_px=config.image.size_px,
        workers=WorkerSettings(count=data.workers, prefetch=config.data.prefetch),
        epoch=position.epoch,
        epochs=None,
        position=position.samples * config.accumulation // config.batch_size,
        device=str(distributed.device),
        fields=config.data.fields,
        sampling=SamplingSettings(
            seed=config.seed,
            shuffle=ShuffleSettings(**shuffle.model_dump()) if shuffle else None,
            rank=distributed.rank,
            world_size=distributed.world_size,
            # Each epoch ends with a step, so that the steps do not depend on the micro-batches.
            batches_together=config.accumulation,
            nodes=config.data.nodes,
        ),
        images=ImageSettings(
            decoder=config.data.decoder,
            max_regions=0 if data.features else config.regions.max_boxes,
            augment=_augment(config.augment),
            features=data.features,
        ),
        texts=TextSettings(
            choose=config.text.choose,
            min_confidence=config.text.min_confidence,
            tokenizer=data.tokenizer,
            max_tokens=config.text.max_tokens,
        ),
        faults=FaultPolicy(
            check_share=config.data.check_share, corrupt_shards=config.data.corrupt_shards
        ),
    )


def to_batch(
    loaded: LoaderBatch,
    config: TrainConfig,
    distributed: Distributed,
    next_position: DataPosition,
    wait_s: float,
) -> Batch:
    """Moves a batch of the loader to the device, with ids and pages of its samples."""
    device = distributed.device
    ids = sample_ids(loaded["key"])
    image, regions = batch_images(loaded, config, device)
    boxes, box_mask = batch_boxes(loaded)
    tokens, token_mask = pad_as_released(loaded["tokens"], loaded["token_mask"], config)
    return Batch(
        inputs=Inputs(
            image=image,
            regions=regions,
            boxes=boxes.to(device),
            box_mask=box_mask.to(device, non_blocking=True),
            tokens=tokens.to(device, non_blocking=True),
            token_mask=token_mask.to(device, non_blocking=True),
        ),
        ids=_without_waiting(torch.from_numpy(ids), device),
        pages=loaded["page"].to(device, non_blocking=True),
        next_position=next_position,
        wait_s=wait_s,
        counts=DataCounts(),
        fields=loaded.get("fields", {}),
    )


def _without_waiting(tensor: Tensor, device: torch.device) -> Tensor:
    """Copies to the device. From memory that is not pinned the copy would wait for the GPU."""
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def _augment(config: AugmentConfig) -> Augment | None:
    """The loader's augmentation; None where the config changes no image."""
    brightness, contrast, saturation, hue = config.jitter
    augment = Augment(
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        jitter_share=config.jitter_share,
        grey_share=config.grey_share,
        min_crop_area=config.min_crop_area,
        flip_share=config.flip_share,
    )
    return augment if config.changes_images else None
