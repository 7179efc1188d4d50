"""Batches by number: what a worker does. Samples in, tensors out; nothing here knows how many workers there are."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic_core import from_json
from torch import Tensor
from torch.utils.data import Dataset

from wenlan_data.errors import DamageError, WenlanError
from wenlan_data.load.boxes import Doubles, scaled_boxes, stored_boxes
from wenlan_data.load.decode import Pixels, Size
from wenlan_data.load.decode import decoder as find_decoder
from wenlan_data.load.sample_reader import Encoded, SampleReader
from wenlan_data.load.shared_ring import Ring, take
from wenlan_data.load.shuffle import draws, places_of
from wenlan_data.load.text import Tokenizer, choose_text, padded
from wenlan_data.records import Drop
from wenlan_data.shard.format import parse_fields

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "gif")
TEXT_EXTENSIONS = ("txt", "caption")
MAX_BAD_IN_ROW = 100
_TEXT_STREAM = 2
Int64s = NDArray[np.int64]


class Bad(TypedDict):
    """A sample that was skipped."""

    shard: int
    key: str
    reason: str
    detail: str


@dataclass(slots=True)
class Work:
    """What making a batch took."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By stage: read, decode, text, pack."""
    counts: dict[str, int] = field(default_factory=dict)
    """bytes, texts_cut, texts_other."""
    shards: Counter[int] = field(default_factory=Counter)
    """Samples of each shard, bad ones and repeats too."""
    bad: list[Bad] = field(default_factory=list)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what the body takes to the stage."""
        start = time.perf_counter()
        yield
        self.add(stage, start)

    def add(self, stage: str, start: float) -> float:
        """Add the time since `start` to the stage; gives the time it is."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - start
        return now

    def count(self, name: str, number: int) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + number

    def drop(self, sample: Encoded, why: Drop, *, counted: bool) -> None:
        """Note a sample that is skipped; one that pads the epoch was counted at its own place."""
        if counted:
            self.bad.append(
                Bad(shard=sample.shard, key=sample.key, reason=why.reason, detail=why.detail)
            )


@dataclass(slots=True)
class Made:
    """A batch and what it took, or why there is none."""

    batch: dict[str, object]
    work: Work
    error: WenlanError | None = None
    shard_of_row: list[int] = field(default_factory=list)
    encoded_sizes: list[int] = field(default_factory=list)
    """Where the device decodes: the bytes of each picture in `encoded`."""
    place: tuple[int, int] | None = None
    """Ring and slot in which a worker left `image`."""

    def pin_memory(self) -> "Made":
        """The same with its tensors in pinned memory; `DataLoader` calls this."""
        batch = self.tensors(pinned=True).batch
        pinned = {
            name: value.pin_memory() if torch.is_tensor(value) else value
            for name, value in batch.items()
        }
        return replace(self, batch=pinned, place=None)

    def tensors(self, *, pinned: bool = False) -> "Made":
        """The same with tensors for the arrays and the slot: a worker sends none, since each costs a connection."""
        arrays = {
            name: value for name, value in self.batch.items() if isinstance(value, np.ndarray)
        }
        batch = self.batch | {name: torch.from_numpy(value) for name, value in arrays.items()}
        if self.place and not self.error:
            batch["image"] = take(*self.place, pinned=pinned)
        return replace(self, batch=batch, place=None)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample that can be used; its picture is decoded, or waits for the device."""

    key: str
    size: Size
    text: str
    boxes: Doubles | None
    picture: memoryview


@dataclass(kw_only=True)
class BatchMaker(Dataset[Made]):
    """Item `n` is this rank's part of global batch `n`. Picklable."""

    samples: SampleReader
    total: int
    """Samples of the epoch; places from here on repeat its start."""
    batch_size: int
    size_px: int
    rank: int
    ranks: int
    text: str
    tokenizer: Tokenizer | None
    max_regions: int
    decoder: str
    ring: Ring | None = None
    """Where the pixels go; without one each batch has memory of its own."""

    def __post_init__(self) -> None:
        self._decode = find_decoder(self.decoder)

    def __getitem__(self, task: tuple[int, int]) -> Made:
        """The batch of that number, in that slot of the ring; or the user's error that stops the epoch."""
        number, slot = task
        places = places_of(number, rank=self.rank, ranks=self.ranks, batch_size=self.batch_size)
        work = Work()
        try:
            return self._make(places, slot, work)
        except DamageError as error:
            return Made({}, work, DamageError(str(error)))
        except WenlanError as error:
            return Made({}, work, error)

    def _make(self, places: Int64s, slot: int, work: Work) -> Made:
        with work.timed("read"):
            encoded = self.samples.read(places)
        with work.timed("pack"):
            side = self.size_px if self.decoder != "cuda" else 0
            fresh = torch.empty((0 if self.ring else len(places), side, side, 3), dtype=torch.uint8)
            image_BSSC = self.ring.slots[slot] if self.ring else fresh
        pixels = image_BSSC.numpy()
        draw = draws(
            places,
            1,
            seed=self.samples.epoch.seed,
            epoch=self.samples.epoch.epoch,
            stream=_TEXT_STREAM,
        )[:, 0]
        work.shards.update(sample.shard for sample in encoded)
        work.count("bytes", sum(sample.bytes for sample in encoded))
        used, repeated = [], places >= self.total
        for row, (place, sample) in enumerate(zip(places.tolist(), encoded, strict=True)):
            found = self._use(sample, pixels[row], float(draw[row]), work)
            if isinstance(found, Drop):
                work.drop(sample, found, counted=place < self.total)
                found, repeated[row] = (
                    self._stand_in(place, pixels[row], float(draw[row]), work),
                    True,
                )
            used.append(found)
        with work.timed("text"):
            batch = self._texts(used, work)
        with work.timed("pack"):
            batch |= self._pictures(used, image_BSSC)
            batch["repeated"] = repeated
            batch |= self._boxes(used)
        sizes = [len(one.picture) for one in used] if self.decoder == "cuda" else []
        place = (self.ring.number, slot) if self.ring else None
        return Made(batch, work, None, [sample.shard for sample in encoded], sizes, place)

    def _pictures(self, used: Sequence[Sample], image_BSSC: Tensor) -> dict[str, object]:
        if self.ring:
            return {}
        if self.decoder != "cuda":
            return {"image": image_BSSC.permute(0, 3, 1, 2)}
        return {
            "encoded": np.frombuffer(bytearray(b"".join(one.picture for one in used)), np.uint8)
        }

    def _use(self, sample: Encoded, out_SSC: Pixels, draw: float, work: Work) -> Sample | Drop:
        if sample.problem:
            return sample.problem
        name = next((one for one in IMAGE_EXTENSIONS if one in sample.members), None)
        if name is None:
            return Drop("no_image", f"it has {', '.join(sample.members) or 'nothing'}")
        start = time.perf_counter()
        size = self._decode(sample.members[name], out_SSC)
        decoded = work.add("decode", start)
        if isinstance(size, Drop):
            return size
        found = self._described(sample, sample.members[name], size, draw, work)
        work.add("text", decoded)
        return found

    def _described(
        self, sample: Encoded, picture: memoryview, size: Size, draw: float, work: Work
    ) -> Sample | Drop:
        wanted = (self.max_regions or self.text != "caption") and "json" in sample.members
        try:
            fields = _fields(bytes(sample.members["json"])) if wanted else {}
            name = next((one for one in TEXT_EXTENSIONS if one in sample.members), None)
            caption = str(sample.members[name], "utf-8") if name else None
            typed = cast("list[dict[str, str]]", fields.get("texts") or [])
            text, as_asked = choose_text(self.text, caption, typed, draw)
            text.encode()  # what is no text, or a lone surrogate, no tokenizer takes
            boxes = (
                stored_boxes(fields, *size, max_regions=self.max_regions)
                if self.max_regions
                else None
            )
        except DamageError:
            return Drop("bad_json", ".json: not a JSON object")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            return Drop("bad_fields", f".json or .txt: {type(error).__name__}: {error}"[:200])
        if self.tokenizer and not text:
            return Drop("no_text", f"it has {', '.join(sample.members)}")
        if not as_asked:
            work.count("texts_other", 1)
        return Sample(sample.key, size, text, boxes, picture)

    def _stand_in(self, place: int, out_SSC: Pixels, draw: float, work: Work) -> Sample:
        """The next sample of the order that can be used: a function of the place alone, so ranks have no say."""
        last = ""
        for other in range(place + 1, place + MAX_BAD_IN_ROW):
            sample = self.samples.read(np.array([other]))[0]
            found = self._use(sample, out_SSC, draw, work)
            if isinstance(found, Sample):
                return found
            last = f"{self.samples.shards[sample.shard].path}: {sample.key}: {found.reason} ({found.detail})"
        reasons = (
            f"{MAX_BAD_IN_ROW} samples in a row cannot be used, from place {place} of the epoch on"
        )
        raise DamageError(f"{last}: {reasons}: see `shards verify`")

    def _texts(self, used: Sequence[Sample], work: Work) -> dict[str, object]:
        batch: dict[str, object] = {
            "key": [one.key for one in used],
            "text": [one.text for one in used],
        }
        if self.tokenizer:
            ids, cut = self.tokenizer.encode([one.text for one in used])
            batch["tokens"], batch["token_mask"] = padded(ids)
            work.count("texts_cut", cut)
        return batch

    def _boxes(self, used: Sequence[Sample]) -> dict[str, object]:
        if not self.max_regions:
            return {}
        boxes, sizes = (
            [one.boxes for one in used if one.boxes is not None],
            [one.size for one in used],
        )
        boxes_BR4, mask_BR = scaled_boxes(
            boxes, sizes, size_px=self.size_px, max_regions=self.max_regions
        )
        return {"boxes": boxes_BR4, "box_mask": mask_BR}


def _fields(data: bytes) -> dict[str, object]:
    try:
        found = from_json(data, cache_strings="keys")
    except ValueError:
        found = None
    # Half the time of `json`, which decides what is damage: it takes a little more, such as UTF-16.
    return found if isinstance(found, dict) else parse_fields(data, "")
