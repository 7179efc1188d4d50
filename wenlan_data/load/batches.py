"""Batches by number: a map-style dataset whose items are whole batches.

A worker turns samples into arrays here. Nothing in this module depends on the number of workers.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from pydantic_core import from_json
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from wenlan_data.bounded_json import MAX_JSON_BYTES
from wenlan_data.errors import DamageError, WenlanError
from wenlan_data.image.decode import Pixels
from wenlan_data.load.boxes import StoredBoxes, scaled_boxes, stored_boxes
from wenlan_data.load.decode import Size, find_decoder
from wenlan_data.load.loaded_batch import BatchPlace, BatchStats, LoadedBatch, slot_values
from wenlan_data.load.loader_settings import ImageSettings, SamplingSettings
from wenlan_data.load.region_features import RegionFeatures
from wenlan_data.load.sample_reader import EncodedSample, SampleReader
from wenlan_data.load.shared_ring import SharedRing
from wenlan_data.load.shuffle import DrawStream, batch_indices, uniform_draws
from wenlan_data.load.text import Tokenizer, choose_text, pad_tokens
from wenlan_data.npy import Bools, Indices
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.shard.format import image_of, parse_fields

TEXT_EXTENSIONS = ("txt", "caption")
# In a data set where nothing fits (such as `input.jpg` for `jpg`) a loader that skips bad samples
# without a bound would read all of it and seem to hang.
MAX_BAD_IN_ROW = 100
MAX_TEXT_CHARS = 1 << 15
"""Of a text. A tokenizer takes 200 bytes a character, for all texts of a batch at once."""
MAX_BYTES_PER_CHAR = 4
"""Of UTF-8."""


@dataclass(frozen=True, slots=True)
class DecodedSample:
    """A usable sample whose image is decoded, or left to the device."""

    key: str
    page: int
    size: Size
    text: str
    boxes: StoredBoxes | None
    encoded: memoryview
    region_mask: Bools | None = None
    fields: tuple[object, ...] = ()
    """Those that were requested."""


@dataclass(kw_only=True)
class BatchDataset(Dataset[LoadedBatch]):
    """This rank's parts of the global batches. Picklable.

    Indexed by the place of a global batch and the slot of the ring that its pixels fill.
    """

    samples: SampleReader
    batch_size: int
    size_px: int
    sampling: SamplingSettings
    images: ImageSettings
    text_choice: str
    min_confidence: float
    """Of a text other than the caption."""
    tokenizer: Tokenizer | None
    fields: tuple[str, ...] = ()
    """Keys of the JSON that a batch delivers; a sample without one of them cannot be used."""
    ring: SharedRing | None = None
    """Memory for the pixels; without a ring every batch allocates its own."""

    def __post_init__(self) -> None:
        self._decode = find_decoder(self.images.decoder)

    @property
    def row_shape(self) -> tuple[int, int, int]:
        """Shape of the bytes of a sample's pixels (S, S, 3), or of its region features."""
        if self.images.features:
            return self.images.features.row_shape
        side = 0 if self.images.decoder == "cuda" else self.size_px
        return side, side, 3

    def __getitem__(self, task: tuple[BatchPlace, int]) -> LoadedBatch:
        """Makes this rank's part of a global batch.

        An error of the data is returned in the batch.
        """
        place, slot = task
        stats = BatchStats()
        # Returned, not raised: `DataLoader` puts a traceback into the message of an exception that
        # a worker raises.
        try:
            return self._make(place, slot, stats)
        except DamageError as error:
            return LoadedBatch(place, {}, stats, DamageError(str(error)))
        except WenlanError as error:
            return LoadedBatch(place, {}, stats, error)

    def indices_of(self, number: int) -> Indices:
        """Returns the indices in the epoch of this rank's part of a global batch, int64 (B,)."""
        return batch_indices(
            number,
            rank=self.sampling.rank,
            world_size=self.sampling.world_size,
            batch_size=self.batch_size,
        )

    def _make(self, place: BatchPlace, slot: int, stats: BatchStats) -> LoadedBatch:
        indices = self.indices_of(place.number)
        self.samples.set_epoch(place.epoch)
        with stats.timed("read"):
            encoded = self.samples.read(indices)
            self._read_ahead(place.number)
        on_device = self.images.decoder == "cuda"
        with stats.timed("pack"):
            fresh = torch.empty(
                (0 if self.ring else len(indices), *self.row_shape), dtype=torch.uint8
            )
            row_bytes = self.ring.slots[slot] if self.ring else fresh
        pixels = row_bytes.numpy()
        draw = uniform_draws(
            indices,
            1,
            seed=self.samples.epoch.seed,
            epoch=place.epoch,
            stream=DrawStream.TEXT,
        )[:, 0]
        stats.shards.update(sample.shard for sample in encoded)
        stats.count("bytes", sum(sample.bytes for sample in encoded))
        used = []
        pads = self.samples.epoch.shares.repeats(indices)
        repeated = pads.copy()
        for row, (index, sample) in enumerate(zip(indices.tolist(), encoded, strict=True)):
            decoded = self._use(sample, pixels[row], float(draw[row]), stats)
            if isinstance(decoded, Drop):
                # A bad sample that pads the epoch was counted at its first index.
                if not pads[row]:
                    stats.skip(sample, decoded)
                decoded = self._replacement(index, pixels[row], float(draw[row]), stats)
                repeated[row] = True
            used.append(decoded)
        with stats.timed("text"):
            values = self._texts(used, stats)
        with stats.timed("pack"):
            values |= self._images(used, row_bytes)
            values["page"] = np.array([sample.page for sample in used], np.int64)
            values["repeated"] = repeated
            values |= self._boxes(used)
        return LoadedBatch(
            place,
            values,
            stats,
            shard_of_row=[sample.shard for sample in encoded],
            encoded_sizes=[len(sample.encoded) for sample in used] if on_device else [],
            slot=(self.ring.number, slot) if self.ring else None,
            regions=self.images.features.dtype if self.images.features else None,
        )

    def _read_ahead(self, number: int) -> None:
        if self.images.features:
            # The images, which are most of the bytes, are not read.
            return
        # The disk works on the next batch of this worker while it decodes this one. `DataLoader`
        # hands the batches to its workers in turns.
        worker = get_worker_info()
        indices = self.indices_of(number + (worker.num_workers if worker else 1))
        if not self.samples.epoch.shares.repeats(indices[:1])[0]:
            self.samples.read_ahead(indices)

    def _images(self, used: Sequence[DecodedSample], row_bytes: Tensor) -> dict[str, object]:
        features = self.images.features
        masks = [sample.region_mask for sample in used if sample.region_mask is not None]
        values: dict[str, object] = {"region_mask": np.stack(masks)} if features else {}
        if self.ring:
            return values
        if self.images.decoder != "cuda":
            return values | slot_values(row_bytes, features.dtype if features else None)
        joined = bytearray(b"".join(sample.encoded for sample in used))
        return {"encoded": np.frombuffer(joined, np.uint8)}

    def _use(
        self, sample: EncodedSample, out_SSC: Pixels, draw: float, stats: BatchStats
    ) -> DecodedSample | Drop:
        if sample.problem:
            return sample.problem
        if self.images.features:
            return self._use_features(self.images.features, sample, out_SSC, draw, stats)
        encoded = image_of(sample.members)
        if encoded is None:
            return Drop(Reason.NO_IMAGE, f"it has {', '.join(sample.members) or 'nothing'}")
        # Timed without `timed`: a context manager is too slow to be entered for every sample.
        start = time.perf_counter()
        size = self._decode(encoded, out_SSC)
        decoded_at = stats.add("decode", start)
        if isinstance(size, Drop):
            return size
        described = self._described(sample, encoded, size, draw, stats)
        stats.add("text", decoded_at)
        return described

    def _use_features(
        self,
        features: RegionFeatures,
        sample: EncodedSample,
        out_RCI: Pixels,
        draw: float,
        stats: BatchStats,
    ) -> DecodedSample | Drop:
        with stats.timed("decode"):
            mask = features.read(self.samples.shards[sample.shard].path, sample.key, out_RCI)
        if mask is None:
            return Drop(Reason.NO_IMAGE, "it has no region features: its image cannot be used")
        with stats.timed("text"):
            found = self._described(sample, memoryview(b""), (0, 0), draw, stats)
        return found if isinstance(found, Drop) else replace(found, region_mask=mask)

    def _described(
        self,
        sample: EncodedSample,
        encoded: memoryview,
        size: Size,
        draw: float,
        stats: BatchStats,
    ) -> DecodedSample | Drop:
        max_regions = self.images.max_regions
        # Captions alone are in a member of their own, so the JSON need not be parsed for them.
        wanted = max_regions or self.text_choice != "caption" or self.fields
        wanted = wanted and "json" in sample.members
        try:
            fields = _fields(sample.members["json"]) if wanted else {}
            name = next((one for one in TEXT_EXTENSIONS if one in sample.members), None)
            if name and len(sample.members[name]) > MAX_BYTES_PER_CHAR * MAX_TEXT_CHARS:
                return Drop(Reason.BAD_FIELDS, f".{name}: {len(sample.members[name])} bytes")
            caption = str(sample.members[name], "utf-8") if name else None
            typed = cast("list[dict[str, Any]]", fields.get("texts") or [])
            text, as_requested = choose_text(
                self.text_choice, caption, typed, draw, self.min_confidence
            )
            # Fails for anything but a string, and for a lone surrogate, which tokenizers reject.
            text.encode()
            if len(text) > MAX_TEXT_CHARS:
                return Drop(Reason.BAD_FIELDS, f"a text of {len(text)} characters")
            boxes = stored_boxes(fields, *size, max_regions=max_regions) if max_regions else None
            delivered = tuple(fields[name] for name in self.fields)
        except DamageError:
            return Drop(Reason.BAD_JSON, ".json: not a JSON object")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            return Drop(Reason.BAD_FIELDS, f".json or .txt: {type(error).__name__}: {error}"[:200])
        if self.tokenizer and not text:
            return Drop(Reason.NO_TEXT, f"it has {', '.join(sample.members)}")
        if not as_requested:
            stats.count("texts_other", 1)
        return DecodedSample(sample.key, sample.page, size, text, boxes, encoded, fields=delivered)

    def _replacement(
        self, index: int, out_SSC: Pixels, draw: float, stats: BatchStats
    ) -> DecodedSample:
        # The next usable sample of the order, of the same node. It depends on the index alone, so
        # it is the same for every number of ranks.
        last = ""
        others = self.samples.epoch.shares.following(index, MAX_BAD_IN_ROW - 1)
        for other in others[:, None]:
            sample = self.samples.read(other)[0]
            found = self._use(sample, out_SSC, draw, stats)
            if isinstance(found, DecodedSample):
                return found
            shard = self.samples.shards[sample.shard].path
            last = f"{shard}: {sample.key}: {found.reason} ({found.detail})"
        problem = (
            f"{MAX_BAD_IN_ROW} samples in a row cannot be used, from index {index} of the epoch on"
        )
        raise DamageError(f"{last}: {problem}: see `shards verify`")

    def _texts(self, used: Sequence[DecodedSample], stats: BatchStats) -> dict[str, object]:
        values: dict[str, object] = {
            "key": [sample.key for sample in used],
            "text": [sample.text for sample in used],
        }
        if self.tokenizer:
            ids, truncated = self.tokenizer.encode([sample.text for sample in used])
            values["tokens"], values["token_mask"] = pad_tokens(ids)
            stats.count("texts_cut", truncated)
        if self.fields:
            values["fields"] = {
                name: [sample.fields[at] for sample in used] for at, name in enumerate(self.fields)
            }
        return values

    def _boxes(self, used: Sequence[DecodedSample]) -> dict[str, object]:
        if not self.images.max_regions:
            return {}
        boxes_BR4, mask_BR = scaled_boxes(
            [sample.boxes for sample in used if sample.boxes is not None],
            [sample.size for sample in used],
            size_px=self.size_px,
            max_regions=self.images.max_regions,
        )
        return {"boxes": boxes_BR4, "box_mask": mask_BR}


def _fields(view: memoryview) -> dict[str, object]:
    # pydantic's parser takes half the time of `json`. What it rejects goes to `parse_fields`, which
    # decides what is corrupt and accepts a little more, such as UTF-16.
    data = bytes(view[: MAX_JSON_BYTES + 1])
    try:
        found = from_json(data, cache_strings="keys") if len(data) <= MAX_JSON_BYTES else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else parse_fields(data, "")
