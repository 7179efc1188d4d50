"""Region features of a frozen image backbone, which the loader delivers in place of images.

A folder holds one safetensors file a shard, `wenlan-000000.regions.safetensors`:

    regions     bfloat16 or float32 (N, R, C), what the backbone makes of the R regions of a sample
    mask        uint8 (N, R), 1 for regions, 0 where the image has fewer boxes
    keys        uint8 (N, K), the keys of the samples in UTF-8, filled up with zeros
    metadata    format, format_version, backbone, shard_bytes, shard_sha256

A sample that cannot be used has no row. Files are mapped into memory, and may come from a stranger.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from wenlan_data.errors import DamageError, UsageError, from_os_error, in_short
from wenlan_data.files import open_regular
from wenlan_data.layout import SHARDS
from wenlan_data.npy import Bools, FixedBytes
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.shard.reader import is_corpus, shard_paths

FORMAT, VERSION = "wenlan-regions", "1"
SUFFIX = ".regions.safetensors"
DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32}
MAKE_AGAIN = "make it again with `eval embed --regions`"
HEADER_BYTES = 4096
"""Of the header, filled up with spaces: it is written last, in front of rows that are there."""
MAX_ROWS, MAX_REGIONS, MAX_WIDTH, MAX_KEY_BYTES = 1 << 24, 10_001, 1 << 16, 4096
MAX_KEYS_BYTES = 1 << 28
MAX_OPEN_FILES = 64
"""A window of the default order touches at most 32 shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsHeader:
    """What a file of region features holds, and what it was made of."""

    samples: int
    regions: int
    width: int
    dtype: torch.dtype
    backbone: str
    """SHA-256 of the image backbone and the settings of its regions."""
    shard_bytes: int
    shard_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardIdentity:
    """A tar with its size and, where a manifest lists it, its SHA-256."""

    path: Path
    bytes: int
    sha256: str = ""


def shard_identities(paths: Sequence[Path]) -> list[ShardIdentity]:
    """The shards of corpora, folders of tars and tars, in order.

    Raises `UsageError` where two have one name: files of region features are named after shards.
    """
    found: list[ShardIdentity] = []
    for path in paths:
        if is_corpus(path):
            found += [
                ShardIdentity(
                    path=corpus_file(path, SHARDS, one.name), bytes=one.bytes, sha256=one.sha256
                )
                for one in load_manifest(path).shards
            ]
        else:
            tars = shard_paths([path])
            found += [ShardIdentity(path=tar, bytes=tar.stat().st_size) for tar in tars]
    names: dict[str, Path] = {}
    for one in found:
        other = names.setdefault(one.path.stem, one.path)
        if other is not one.path:
            raise UsageError(
                f"{one.path}: has the name of {other}: region features need shards of different "
                "names"
            )
    return found


def features_path(folder: Path, shard: Path | str) -> Path:
    """The file of the region features of a shard."""
    return folder / f"{Path(shard).stem}{SUFFIX}"


def read_regions_header(path: Path) -> RegionsHeader:
    """Reads and checks the header of a file.

    Raises `UsageError` where there is no such file, `DamageError` where it is another one.
    """
    with _opened(path) as opened:
        return _header(opened)


@dataclass(slots=True, kw_only=True)
class RegionFeatures:
    """The region features of the samples of shards. Picklable; every worker opens its own files."""

    folder: Path
    regions: int
    width: int
    dtype: torch.dtype
    _files: "OrderedDict[str, _MappedFile]" = field(default_factory=OrderedDict, repr=False)

    @property
    def row_shape(self) -> tuple[int, int, int]:
        """Regions, values and bytes of a value: the shape of a sample's bytes."""
        return self.regions, self.width, self.dtype.itemsize

    def read(self, shard: str, key: str, out_RCI: NDArray[np.uint8]) -> Bools | None:
        """Writes the bytes of a sample's regions to `out_RCI`; returns its mask, bool (R,).

        None where the sample has no row. Raises `DamageError` for a file of another kind.
        """
        file = self._file(shard)
        row = file.row(key)
        if row is None:
            return None
        np.copyto(out_RCI, file.bytes_NRCI[row])
        mask: Bools = file.mask_NR[row] != 0
        return mask

    def __reduce__(self) -> "tuple[Callable[[], RegionFeatures], tuple[()]]":
        copy = partial(
            RegionFeatures,
            folder=self.folder,
            regions=self.regions,
            width=self.width,
            dtype=self.dtype,
        )
        return copy, ()

    def _file(self, shard: str) -> "_MappedFile":
        if shard in self._files:
            self._files.move_to_end(shard)
            return self._files[shard]
        while len(self._files) >= MAX_OPEN_FILES:
            self._files.popitem(last=False)
        path = features_path(self.folder, shard)
        file = _MappedFile(path)
        if file.bytes_NRCI.shape[1:] != self.row_shape:
            raise DamageError(f"{path}: changed since the run began: {MAKE_AGAIN}")
        self._files[shard] = file
        return file


class _MappedFile:
    """A file of region features, mapped into memory."""

    def __init__(self, path: Path) -> None:
        with _opened(path) as opened:
            header = _header(opened)
            # Views of the mapping: nothing is read before a row is.
            regions = opened.get_tensor("regions")
            keys = opened.get_tensor("keys").numpy()
            self.mask_NR: NDArray[np.uint8] = opened.get_tensor("mask").numpy()
        shape = (header.samples, header.regions, header.width, header.dtype.itemsize)
        self.bytes_NRCI: NDArray[np.uint8] = regions.view(torch.uint8).view(shape).numpy()
        self._length = keys.shape[1]
        by_row: FixedBytes = np.ascontiguousarray(keys).view(f"S{self._length}")[:, 0]
        self._order = np.argsort(by_row, kind="stable")
        self._keys = by_row[self._order]

    def row(self, key: str) -> int | None:
        """The row of a key; None where it has none."""
        wanted = key.encode("utf-8", "surrogateescape")
        if len(wanted) > self._length or not len(self._keys):
            return None
        place = int(np.searchsorted(self._keys, np.array(wanted, self._keys.dtype)))
        is_there = place < len(self._keys) and self._keys[place] == wanted
        return int(self._order[place]) if is_there else None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a file, whose header has an acceptable size, by `safe_open`; converts errors of reading
    it."""
    try:
        with open_regular(path) as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > HEADER_BYTES:
            raise ValueError(f"a header of {header_bytes} bytes")
        with safe_open(path, framework="pt") as opened:
            yield opened
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: there are no region features of this shard: make them with "
            "`eval embed --regions`"
        ) from error
    except OSError as error:
        raise from_os_error(error, path) from error
    except (SafetensorError, ValueError) as error:
        raise DamageError(
            f"{path}: no file of region features ({in_short(error)}): {MAKE_AGAIN}"
        ) from error


def _header(opened: Any) -> RegionsHeader:
    metadata = opened.metadata() or {}
    if (metadata.get("format"), metadata.get("format_version")) != (FORMAT, VERSION):
        raise ValueError(f"its metadata do not name {FORMAT} {VERSION}")
    if sorted(opened.keys()) != ["keys", "mask", "regions"]:
        raise ValueError("it holds other tensors than keys, mask and regions")
    tensors = {name: opened.get_slice(name) for name in ("regions", "mask", "keys")}
    shapes = {name: tuple(one.get_shape()) for name, one in tensors.items()}
    kinds = {name: str(one.get_dtype()) for name, one in tensors.items()}
    is_sound = (
        kinds["regions"] in DTYPES
        and kinds["mask"] == kinds["keys"] == "U8"
        and len(shapes["regions"]) == 3
        and shapes["mask"] == shapes["regions"][:2]
        and len(shapes["keys"]) == 2
        and shapes["keys"][0] == shapes["regions"][0] <= MAX_ROWS
        and shapes["regions"][1] <= MAX_REGIONS
        and shapes["regions"][2] <= MAX_WIDTH
        and 1 <= shapes["keys"][1] <= MAX_KEY_BYTES
        and shapes["keys"][0] * shapes["keys"][1] <= MAX_KEYS_BYTES
    )
    size = metadata.get("shard_bytes", "")
    if not is_sound or not (size.isascii() and size.isdigit() and len(size) < 19):
        raise ValueError(f"its tensors are {kinds} {shapes}, its shard has {size[:20]!r} bytes")
    samples, regions, width = shapes["regions"]
    return RegionsHeader(
        samples=samples,
        regions=regions,
        width=width,
        dtype=DTYPES[kinds["regions"]],
        backbone=metadata.get("backbone", ""),
        shard_bytes=int(size),
        shard_sha256=metadata.get("shard_sha256", ""),
    )
