"""Writes the region features of a corpus: what the image backbone of a checkpoint makes of it."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wenlan_data.errors import RecipeError, UsageError, os_errors
from wenlan_data.eval.embed import EmbeddingModel, corpus_loader
from wenlan_data.files import atomic_path, sha256_of
from wenlan_data.load import LoaderBatch
from wenlan_data.load.region_features import (
    DTYPES,
    FORMAT,
    HEADER_BYTES,
    VERSION,
    RegionsHeader,
    ShardIdentity,
    features_path,
    read_regions_header,
    shard_identities,
)
from wenlan_data.model.backbone_digest import backbone_digest
from wenlan_data.model.inputs import batch_boxes, normalise_images

RegionType = Literal["bf16", "fp32"]
TYPES: dict[RegionType, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRegions:
    """What `write_region_features` wrote, or found there. The field names are keys of `--json`."""

    samples: int
    regions: int
    width: int
    bytes: int


def write_region_features(
    model: EmbeddingModel,
    shards: Sequence[Path],
    out: Path,
    *,
    kind: RegionType = "bf16",
    workers: int = 2,
) -> WrittenRegions:
    """Writes the region features of every sample to `out`, one file a shard.

    They are computed in the precision of the model, and rounded to `kind` once. Files appear one
    by one and whole; those that are there already are kept, so that a run that was ended goes on.
    Raises `RecipeError` where one of them was made of something else.
    """
    tower, dtype = model.towers.image, TYPES[kind]
    identities = shard_identities(shards)
    backbone = backbone_digest(tower, model.config)
    total = WrittenRegions(samples=0, regions=tower.regions, width=tower.width, bytes=0)
    with os_errors(out):
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out}: not a folder: choose another --out")
        out.mkdir(parents=True, exist_ok=True)
    for shard in identities:
        path = features_path(out, shard.path)
        if not path.exists():
            _write_shard(model, shard, path, dtype, backbone, workers)
        header = read_regions_header(path)
        _check_own(header, shard, path, dtype, backbone)
        total = WrittenRegions(
            samples=total.samples + header.samples,
            regions=tower.regions,
            width=tower.width,
            bytes=total.bytes + path.stat().st_size,
        )
    return total


def _check_own(
    header: RegionsHeader, shard: ShardIdentity, path: Path, dtype: torch.dtype, backbone: str
) -> None:
    """Raises `RecipeError` unless a file is what this run would write."""
    is_same_shard = header.shard_bytes == shard.bytes and (
        not shard.sha256 or header.shard_sha256 == shard.sha256
    )
    if not is_same_shard or header.backbone != backbone or header.dtype is not dtype:
        raise RecipeError(
            f"{path}: made of another shard, by another backbone or in another type: "
            "choose another --out"
        )


def _write_shard(
    model: EmbeddingModel,
    shard: ShardIdentity,
    path: Path,
    dtype: torch.dtype,
    backbone: str,
    workers: int,
) -> None:
    tower = model.towers.image
    metadata = {
        "backbone": backbone,
        "shard_bytes": str(shard.bytes),
        "shard_sha256": shard.sha256 or sha256_of(shard.path),
    }
    with (
        os_errors(path),
        atomic_path(path) as partial,
        closing(RegionsWriter(partial, (tower.regions, tower.width), dtype, metadata)) as writer,
        corpus_loader(model, [shard.path], workers=workers, with_tokens=False) as loader,
    ):
        for batch in loader:
            # Repeated rows pad the last batch or replace samples that cannot be used.
            rows = [row for row, again in enumerate(batch["repeated"].tolist()) if not again]
            if rows:
                writer.append(
                    [batch["key"][row] for row in rows], *embed_regions(model, batch, rows)
                )
        writer.finish()


@torch.no_grad()
def embed_regions(
    model: EmbeddingModel, batch: LoaderBatch, rows: list[int]
) -> tuple[Tensor, Tensor]:
    """The region features (B, R, C) of some rows of a batch, and their mask, bool (B, R)."""
    tower = model.towers.image
    image = normalise_images(batch["image"][rows].to(model.device), model.config)
    boxes, box_mask = batch_boxes(batch)
    with model.autocast():
        regions = tower.region_features(image, boxes[rows].to(model.device))
    # A grid has the same regions in every image.
    mask = torch.ones(regions.shape[:2], dtype=torch.bool) if tower.grid else box_mask[rows]
    return regions, mask


class RegionsWriter:
    """Writes a file of region features row by row, so that it takes the memory of a batch.

    The file is valid once `finish` returned; until then its header is empty.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int], dtype: torch.dtype, metadata: dict[str, str]
    ) -> None:
        self._file = path.open("wb")
        self._shape, self._dtype, self._metadata = shape, dtype, metadata
        self._masks: list[NDArray[np.uint8]] = []
        self._keys: list[bytes] = []
        self._file.write(bytes(8 + HEADER_BYTES))

    def append(self, keys: Sequence[str], regions_BRC: Tensor, mask_BR: Tensor) -> None:
        """Adds B samples."""
        rows = regions_BRC.to(device="cpu", dtype=self._dtype).contiguous()
        self._file.write(rows.view(torch.uint8).numpy().data)
        self._masks.append(mask_BR.numpy().astype(np.uint8))
        self._keys += [key.encode("utf-8", "surrogateescape") for key in keys]

    def finish(self) -> None:
        """Writes masks, keys and the header."""
        count, length = len(self._keys), max(map(len, self._keys), default=1)
        (regions, width), size = self._shape, self._dtype.itemsize
        mask = b"".join(one.tobytes() for one in self._masks)
        keys = b"".join(key.ljust(length, b"\0") for key in self._keys)
        self._file.write(mask + keys)
        ends = np.cumsum([count * regions * width * size, len(mask), len(keys)]).tolist()
        name = next(name for name, dtype in DTYPES.items() if dtype is self._dtype)
        header = {
            "__metadata__": {"format": FORMAT, "format_version": VERSION, **self._metadata},
            "regions": _entry(name, (count, regions, width), 0, ends[0]),
            "mask": _entry("U8", (count, regions), ends[0], ends[1]),
            "keys": _entry("U8", (count, length), ends[1], ends[2]),
        }
        self._file.seek(0)
        self._file.write(HEADER_BYTES.to_bytes(8, "little"))
        self._file.write(json.dumps(header).encode().ljust(HEADER_BYTES))

    def close(self) -> None:
        """Closes the file, finished or not."""
        self._file.close()


def _entry(dtype: str, shape: tuple[int, ...], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
