"""Runs the demo: writes site and folder, serves the site, builds a corpus, trains on it."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from wenlan_data.demo.server import serve, sources_text
from wenlan_data.demo.site import photo_paths, write_folder, write_site
from wenlan_data.errors import UsageError, os_errors
from wenlan_data.files import write_atomic
from wenlan_data.folder_lock import LOCK
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import BuildResult, build

MARKER = ".wenlan-demo"
_WRITTEN = ("site", "photos", "corpus", "run", "sources.yaml")
TRAIN_STEPS = 60
"""Training steps of brivl-tiny: less than a minute on two cores."""


def run_demo(out: Path, workers: int, executor: Literal["ray", "local"]) -> BuildResult:
    """Writes the site and the folder of images to `out`, and builds `out/corpus` from scratch.

    Raises `UsageError` if `out` holds other files, or the extra `[demo]` is not installed.
    """
    photo_paths()
    with os_errors(out):
        _clear(out)
        with serve(out / "site") as host:
            write_site(out / "site", host)
            write_folder(out / "photos")
            (out / "sources.yaml").write_text(sources_text(host), encoding="utf-8")
            options = BuildOptions(out=out / "corpus", workers=workers, executor=executor)
            return build(prepare(options, [str(out / "sources.yaml")], None, (), ""))


def train_demo(out: Path) -> Path | None:
    """Trains brivl-tiny on the corpus for `TRAIN_STEPS` steps.

    Returns the path of its report, None if the extra `[train]` is not installed.
    """
    if any(
        find_spec(name) is None
        for name in ("torch", "timm", "transformers", "safetensors", "tensorboard")
    ):
        return None
    from wenlan_data.model.config import load_config
    from wenlan_data.train.options import TrainOptions
    from wenlan_data.train.results import write_results
    from wenlan_data.train.trainer import run_training

    # The 52 pairs are seen 18 times: a short warm-up, and small images without augmentation.
    overrides = [
        f"max_steps={TRAIN_STEPS}",
        "optimizer.warmup_steps=5",
        "augment.jitter_share=0",
        "augment.grey_share=0",
        "image.size_px=64",
        "regions.grid=2",
        "batch_size=16",
    ]
    options = TrainOptions(shards=(out / "corpus",), out=out / "run", workers=0)
    config = load_config("brivl-tiny", overrides)
    write_results(config, options, run_training(config, options), as_json=False)
    return out / "run" / "report.html"


def _clear(out: Path) -> None:
    """Creates `out` with the marker file, and removes what an earlier demo wrote, nothing else."""
    others = out.is_dir() and any(path.name != LOCK for path in out.iterdir())
    if others and not (out / MARKER).is_file():
        raise UsageError(f"{out} holds files that no demo wrote: choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(
        out / MARKER, b"Written by `wenlan-data demo`, which rebuilds this folder on every run.\n"
    )
    paths = [out / name for name in _WRITTEN]
    for path in paths:
        if path.is_symlink():
            raise UsageError(
                f"{path}: a link, which no demo writes: remove it, or choose another folder with --out"
            )
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
