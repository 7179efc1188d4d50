"""A batch on its way from a worker to the user: its values, statistics and errors."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor

from wenlan_data.errors import WenlanError
from wenlan_data.load.sample_reader import EncodedSample
from wenlan_data.load.shared_ring import take_slot
from wenlan_data.records import Drop


class BatchPlace(NamedTuple):
    """Which batch is meant."""

    epoch: int
    number: int
    """Of the global batch in its epoch."""


class LoaderBatch(TypedDict):
    """A batch as the user receives it: B samples, S x S pixels."""

    image: NotRequired[Tensor]
    """uint8 (B, 3, S, S) in channels-last memory, on the loader's device."""
    key: list[str]
    page: Tensor
    """int64 (B,): 64 bits of the hash of the URL of the page, 0 if it is not known."""
    text: list[str]
    repeated: Tensor
    """bool (B,): the row pads the epoch, or replaces a sample that cannot be used."""
    boxes: NotRequired[Tensor]
    """float32 (B, R, 4), x1 y1 x2 y2 in pixels of `image`; without regions there is none."""
    box_mask: NotRequired[Tensor]
    """bool (B, R)."""
    tokens: NotRequired[Tensor]
    """int64 (B, L); without a tokenizer there is none."""
    token_mask: NotRequired[Tensor]
    """bool (B, L)."""
    regions: NotRequired[Tensor]
    """bfloat16 or float32 (B, R, C), region features in place of `image`."""
    region_mask: NotRequired[Tensor]
    """bool (B, R)."""
    fields: NotRequired[dict[str, list[object]]]
    """The requested values of the JSON, B for each key; without a request there is none."""


class BadSample(TypedDict):
    """A sample that was skipped."""

    shard: int
    key: str
    reason: str
    detail: str


@dataclass(slots=True)
class BatchStats:
    """Time and counts of making one batch."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By stage: read, decode, text, pack."""
    counts: dict[str, int] = field(default_factory=dict)
    """bytes, texts_cut, texts_other."""
    shards: Counter[int] = field(default_factory=Counter)
    """Samples of each shard, including bad ones and repeats."""
    bad: list[BadSample] = field(default_factory=list)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the duration of the body to the stage."""
        start = time.perf_counter()
        yield
        self.add(stage, start)

    def add(self, stage: str, start: float) -> float:
        """Adds the time since `start` to the stage, and returns the current time."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - start
        return now

    def count(self, name: str, number: int) -> None:
        """Adds to a counter."""
        self.counts[name] = self.counts.get(name, 0) + number

    def skip(self, sample: EncodedSample, drop: Drop) -> None:
        """Records a sample that is skipped."""
        self.bad.append(
            BadSample(shard=sample.shard, key=sample.key, reason=drop.reason, detail=drop.detail)
        )


@dataclass(slots=True)
class LoadedBatch:
    """The values of a batch with its statistics, or the error that stops the epoch."""

    place: BatchPlace
    values: dict[str, object]
    """The fields of `LoaderBatch`; arrays until `tensors` is called."""
    stats: BatchStats
    error: WenlanError | None = None
    shard_of_row: list[int] = field(default_factory=list)
    encoded_sizes: list[int] = field(default_factory=list)
    """Bytes of each image in `encoded`, if the device decodes."""
    slot: tuple[int, int] | None = None
    """Number of the ring, and the slot in which a worker left `image` or `regions`."""
    regions: torch.dtype | None = None
    """Type of the region features that are in the place of pixels."""

    def pin_memory(self) -> "LoadedBatch":
        """Returns the batch with its tensors in pinned memory; `DataLoader` calls this."""
        values = {
            name: value.pin_memory() if torch.is_tensor(value) else value
            for name, value in self.tensors(pinned=True).values.items()
        }
        return replace(self, values=values, slot=None)

    def tensors(self, *, pinned: bool = False) -> "LoadedBatch":
        """Returns the batch with tensors in place of arrays and slot."""
        # In the receiving process: a tensor that a worker sends costs a connection, an array none.
        arrays = {
            name: value for name, value in self.values.items() if isinstance(value, np.ndarray)
        }
        values = self.values | {name: torch.from_numpy(value) for name, value in arrays.items()}
        if self.slot and not self.error:
            values |= slot_values(take_slot(*self.slot, pinned=pinned), self.regions)
        return replace(self, values=values, slot=None)


def slot_values(row_bytes: Tensor, regions: torch.dtype | None) -> dict[str, object]:
    """The field of `LoaderBatch` that the bytes of a batch are: `image`, or `regions` of a type."""
    if regions is None:
        return {"image": row_bytes.permute(0, 3, 1, 2)}
    return {"regions": row_bytes.view(regions).squeeze(-1)}
