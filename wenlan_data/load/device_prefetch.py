"""From host to device: one batch ahead, on a stream of its own, so that copying and augmenting cost no step time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from wenlan_data.errors import DamageError
from wenlan_data.load.augment import Augment, augmented, drawn, moved_boxes
from wenlan_data.load.batches import Bad, BatchMaker, Made
from wenlan_data.load.gpu_decode import decode_list
from wenlan_data.load.shuffle import places_of

Finish = Callable[[Made, int], Made]
"""What the device does to a batch, given its number."""


def on_device(
    made: Iterator[Made], first: int, device: torch.device, finish: Finish
) -> Iterator[Made]:
    """The batches from number `first` on, on `device` and finished.

    On a GPU the next batch is copied (from pinned memory) and finished while the user works on this one.
    """
    if device.type != "cuda":
        yield from (finish(one, first + at) for at, one in enumerate(made))
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[Made, torch.cuda.Event] | None = None
    for at, one in enumerate(made):
        with torch.cuda.stream(stream):
            copied = finish(_copied(one, device), first + at)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(stream)
        if waiting:
            yield _handed_over(*waiting, device)
        waiting = copied, done
    if waiting:
        yield _handed_over(*waiting, device)


class Finisher:
    """Decodes (where the workers left that to the device) and augments."""

    def __init__(self, maker: BatchMaker, augment: Augment | None, device: torch.device) -> None:
        self._maker, self._augment, self._device = maker, augment, device

    def __call__(self, made: Made, number: int) -> Made:
        if made.error:
            return made
        if self._maker.decoder == "cuda":
            with made.work.timed("decode"):
                self._decode(made)
        if self._augment:
            with made.work.timed("augment"):
                self._vary(made, number, self._augment)
        return made

    def _vary(self, made: Made, number: int, augment: Augment) -> None:
        maker, batch = self._maker, made.batch
        places = places_of(number, rank=maker.rank, ranks=maker.ranks, batch_size=maker.batch_size)
        epoch = maker.samples.epoch
        what = drawn(augment, places, seed=epoch.seed, epoch=epoch.epoch, device=self._device)
        crops = augment.min_crop_area < 1 or augment.flip_share > 0
        batch["image"] = augmented(_tensor(batch["image"]), what, crops=crops)
        if crops and "boxes" in batch:
            boxes, mask = _tensor(batch["boxes"]), _tensor(batch["box_mask"])
            batch["boxes"], batch["box_mask"] = moved_boxes(boxes, mask, what, maker.size_px)

    def _decode(self, made: Made) -> None:
        """Here a picture that cannot be decoded is found too late to read another: a neighbour stands in."""
        batch = made.batch
        pictures = torch.split(_tensor(batch.pop("encoded")), made.encoded_sizes)
        image, bad = decode_list(pictures, size_px=self._maker.size_px, device=self._device)
        good = [row for row in range(len(pictures)) if row not in set(bad)]
        batch["image"] = image
        if bad and not good:
            made.error = DamageError("no picture of a batch could be decoded: see `shards verify`")
            return
        for row in bad:
            self._repeat(made, row, min(good, key=lambda other: abs(other - row)))

    def _repeat(self, made: Made, row: int, other: int) -> None:
        batch = made.batch
        key = cast("list[str]", batch["key"])[row]
        shard = made.shard_of_row[row]
        made.work.bad.append(
            Bad(shard=shard, key=key, reason="undecodable", detail="by the device's decoder")
        )
        for value in batch.values():
            if isinstance(value, (list, Tensor)):
                value[row] = value[other]
        _tensor(batch["repeated"])[row] = True


def _copied(made: Made, device: torch.device) -> Made:
    start = time.perf_counter()
    batch = {
        name: value.to(device, non_blocking=True)
        if isinstance(value, Tensor) and name != "encoded"
        else value
        for name, value in made.batch.items()
    }
    made.work.seconds["copy"] = made.work.seconds.get("copy", 0.0) + time.perf_counter() - start
    return replace(made, batch=batch)


def _handed_over(made: Made, done: torch.cuda.Event, device: torch.device) -> Made:
    current = torch.cuda.current_stream(device)
    current.wait_event(done)
    for value in made.batch.values():
        if isinstance(value, Tensor):
            value.record_stream(current)  # its memory was given out on the side stream
    return made


def _tensor(value: object) -> Tensor:
    return cast("Tensor", value)
