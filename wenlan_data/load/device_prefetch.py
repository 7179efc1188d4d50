"""Copies and augments batches on the device, one ahead and on a separate CUDA stream.

Both overlap with the user's step.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from wenlan_data.errors import DamageError
from wenlan_data.load.augment import Augment, apply_augment, draw_params, transform_boxes
from wenlan_data.load.batches import BatchDataset
from wenlan_data.load.gpu_decode import decode_batch
from wenlan_data.load.loaded_batch import BadSample, LoadedBatch
from wenlan_data.reasons import Reason

Transform = Callable[[LoadedBatch], LoadedBatch]
"""What the device does to a batch."""


def prefetch_to_device(
    batches: Iterator[LoadedBatch], device: torch.device, transform: Transform
) -> Iterator[LoadedBatch]:
    """Yields the batches, transformed on `device`.

    On a GPU the next batch is copied from pinned memory and transformed while the user works on
    this one.
    """
    if device.type != "cuda":
        yield from map(transform, batches)
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[LoadedBatch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = transform(_copied(batch, device))
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(stream)
        # Handed over only now, after the work on the next batch is queued: that is the overlap.
        if waiting:
            yield _handed_over(*waiting, device)
        waiting = copied, done
    if waiting:
        yield _handed_over(*waiting, device)


class DeviceTransform:
    """Decodes, if the workers left that to the device, and augments."""

    def __init__(self, dataset: BatchDataset, device: torch.device) -> None:
        self._dataset, self._device = dataset, device

    def __call__(self, batch: LoadedBatch) -> LoadedBatch:
        if batch.error:
            return batch
        if self._dataset.images.decoder == "cuda":
            with batch.stats.timed("decode"):
                self._decode(batch)
        augment = self._dataset.images.augment
        if augment:
            with batch.stats.timed("augment"):
                self._augment(batch, augment)
        return batch

    def _augment(self, batch: LoadedBatch, augment: Augment) -> None:
        values = batch.values
        # Drawn from the indices in the epoch, so that neither resuming nor other ranks change it.
        params = draw_params(
            augment,
            self._dataset.indices_of(batch.place.number),
            seed=self._dataset.samples.epoch.seed,
            epoch=batch.place.epoch,
            device=self._device,
        )
        resamples = augment.min_crop_area < 1 or augment.flip_share > 0
        values["image"] = apply_augment(_tensor(values["image"]), params, resample=resamples)
        if resamples and "boxes" in values:
            values["boxes"], values["box_mask"] = transform_boxes(
                _tensor(values["boxes"]),
                _tensor(values["box_mask"]),
                params,
                self._dataset.size_px,
            )

    def _decode(self, batch: LoadedBatch) -> None:
        values = batch.values
        encoded = torch.split(_tensor(values.pop("encoded")), batch.encoded_sizes)
        image, failed = decode_batch(encoded, size_px=self._dataset.size_px, device=self._device)
        good = sorted(set(range(len(encoded))) - set(failed))
        values["image"] = image
        if failed and not good:
            batch.error = DamageError("no image of a batch could be decoded: see `shards verify`")
            return
        # It is too late here to read the next sample of the order, so the nearest row is repeated.
        for row in failed:
            self._repeat(batch, row, min(good, key=lambda other: abs(other - row)))

    def _repeat(self, batch: LoadedBatch, row: int, other: int) -> None:
        values = batch.values
        key = cast("list[str]", values["key"])[row]
        shard = batch.shard_of_row[row]
        batch.stats.bad.append(
            BadSample(
                shard=shard,
                key=key,
                reason=Reason.UNDECODABLE,
                detail="by the device's decoder",
            )
        )
        fields = values.get("fields")
        lists = fields.values() if isinstance(fields, dict) else ()
        for value in (*values.values(), *lists):
            if isinstance(value, (list, Tensor)):
                value[row] = value[other]
        _tensor(values["repeated"])[row] = True


def _copied(batch: LoadedBatch, device: torch.device) -> LoadedBatch:
    start = time.perf_counter()
    # `encoded` stays on the host: nvJPEG reads it there.
    values = {
        name: value.to(device, non_blocking=True)
        if isinstance(value, Tensor) and name != "encoded"
        else value
        for name, value in batch.values.items()
    }
    batch.stats.add("copy", start)
    return replace(batch, values=values)


def _handed_over(batch: LoadedBatch, done: torch.cuda.Event, device: torch.device) -> LoadedBatch:
    current = torch.cuda.current_stream(device)
    current.wait_event(done)
    for value in batch.values.values():
        if isinstance(value, Tensor):
            # Allocated on the side stream: without this, the allocator could reuse the memory
            # while the user's stream still reads it.
            value.record_stream(current)
    return batch


def _tensor(value: object) -> Tensor:
    return cast("Tensor", value)
