"""Weights of detectors: a local file, or a named one that is downloaded once and checked."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from wenlan_data.detect.download import download
from wenlan_data.errors import RecipeError, os_errors
from wenlan_data.files import sha256_of
from wenlan_data.printable import printable

CACHE_VARIABLE = "WENLAN_DATA_CACHE"
_SIZE_SLACK_BYTES = 1 << 20
"""Above the size in the table; the digest decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWeights:
    """A file of weights that may be downloaded by its name."""

    url: str
    sha256: str
    """64 hex digits. Torchvision states only the first 8, in the file's name; the others are those
    that several projects found independently in the files that it serves."""
    licence: str
    bytes: int
    """For the progress bar, and as a limit."""
    suffix: str


_COCO_LICENCE = "BSD-3-Clause (code); trained on COCO, whose images are under Flickr's terms"
_TORCHVISION = "https://download.pytorch.org/models/"
NAMED_WEIGHTS = {
    "yolox_nano": NamedWeights(
        url="https://github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/raw/ac07155e3ac8a531d89d24204e50f364d3444275/model/yolox_nano.onnx",
        sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
        licence="Apache-2.0 (Megvii YOLOX, trained on COCO)",
        bytes=3_660_092,
        suffix=".onnx",
    ),
    "fasterrcnn_resnet50_fpn": NamedWeights(
        url=f"{_TORCHVISION}fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        sha256="258fb6c638b15964ddcdd1ae0748c5eef1be9e732750120cc857feed3faac384",
        licence=_COCO_LICENCE,
        bytes=167_502_836,
        suffix=".pth",
    ),
    "fasterrcnn_resnet50_fpn_v2": NamedWeights(
        url=f"{_TORCHVISION}fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        sha256="dd69338a24b8d7381807e247652bdc356325bcbaf1cd3e092e00e0a1a58706bf",
        licence=_COCO_LICENCE,
        bytes=175_221_657,
        suffix=".pth",
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": NamedWeights(
        url=f"{_TORCHVISION}fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
        sha256="fb6a3cc702b1df54c18a44b26708cd083614211062d0c36d2ca7bf9270df3533",
        licence=_COCO_LICENCE,
        bytes=77_844_807,
        suffix=".pth",
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": NamedWeights(
        url=f"{_TORCHVISION}fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
        sha256="907ea3f91ff92242bc1baea8049276a3e76bca48ce7560bd268cc029f37977b5",
        licence=_COCO_LICENCE,
        bytes=77_844_807,
        suffix=".pth",
    ),
}


def cache_path(name: str) -> Path:
    """Path of the named weights in the cache, downloaded or not."""
    own = os.environ.get(CACHE_VARIABLE)
    folder = Path(own) if own else Path.home() / ".cache" / "wenlan-data"
    return folder / "weights" / f"{name}{NAMED_WEIGHTS[name].suffix}"


def weights_file(weights: str, sha256: str = "") -> Path:
    """Returns the local file of `weights`, a path or a name of `NAMED_WEIGHTS`.

    A named file that is not in the cache is downloaded, with a progress bar and its licence on
    stderr. Raises `RecipeError` for a file that is missing, or whose digest is not `sha256` (by
    default, for a name, the published one), and `WenlanError` where the download fails.
    """
    if weights in NAMED_WEIGHTS:
        path = cache_path(weights)
        if not path.is_file():
            _download(weights, path)
        expected = sha256 or NAMED_WEIGHTS[weights].sha256
    else:
        path, expected = Path(weights), sha256
        if not path.is_file():
            known = ", ".join(sorted(NAMED_WEIGHTS))
            raise RecipeError(
                f"weights: {weights}: there is no such file: give its path,"
                f" or one of the names {known}"
            )
    found = file_digest(path)
    if expected and found != expected:
        raise RecipeError(
            f"weights: {path}: has the SHA-256 {found[:16]}..., not {expected[:16]}...:"
            " it is another file, restore the recorded one"
        )
    return path


def known_digest(weights: str) -> str:
    """SHA-256 that is known without a download: a name's as published, a file's as read; else
    empty."""
    if weights in NAMED_WEIGHTS:
        return NAMED_WEIGHTS[weights].sha256
    return file_digest(Path(weights)) if Path(weights).is_file() else ""


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with os_errors(path):
        status = path.stat()
        return _digest(path, status.st_size, status.st_mtime_ns)


# Up to 175 MB of weights are hashed once a process, although the digest is needed several times.
@lru_cache(maxsize=16)
def _digest(path: Path, size_bytes: int, changed_ns: int) -> str:  # noqa: ARG001 - part of the cache key
    return sha256_of(path)


@contextmanager
def no_downloads() -> Iterator[None]:
    """Refuses downloads while its body runs: weights that are not in the cache are a
    `RecipeError`."""
    token = _may_download.set(False)
    try:
        yield
    finally:
        _may_download.reset(token)


_may_download: ContextVar[bool] = ContextVar("_may_download", default=True)


def _download(name: str, path: Path) -> None:
    if not _may_download.get():
        raise RecipeError(
            f"weights {name}: are not at {path}, and an offline build downloads nothing:"
            " download them elsewhere and give their path"
        )
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    named = NAMED_WEIGHTS[name]
    console = Console(file=sys.stderr)
    console.print(
        f"weights {name}: {named.url}\n  licence: {named.licence}\n  into {printable(str(path))}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    bar = Progress(
        "{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
    )
    with os_errors(path), bar:
        path.parent.mkdir(parents=True, exist_ok=True)
        task = bar.add_task(name, total=named.bytes)
        download(
            named.url,
            path,
            named.sha256,
            named.bytes + _SIZE_SLACK_BYTES,
            lambda done: bar.update(task, completed=done),
        )
