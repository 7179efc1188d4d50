"""A config that trains in milliseconds, and trainings of it."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import cast

from wenlan_data.model.checkpoint import state_digest
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.testing import make_caption, make_image
from wenlan_data.train.objectives.brivl import Brivl
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.run_log import read_log
from wenlan_data.train.state import TrainingState
from wenlan_data.train.trainer import run_training

SMALL = (
    "image.backbone=test_convnext",
    "image.size_px=32",
    "embedding=16",
    "attention={layers: 1, heads: 2, feed_forward: 16}",
    "text.small={layers: 1, width: 16, heads: 2, vocabulary: 300}",
    "negatives.queue=24",
    "batch_size=8",
    "optimizer.warmup_steps=2",
    "checkpoints={every_steps: 2, keep: 3}",
)
ROOT = Path(__file__).parent.parent.parent
WORDS = tuple(word for override in SMALL for word in ("--set", override))


def config(*overrides: str) -> TrainConfig:
    """The small config with more overrides."""
    return load_config("brivl-tiny", [*SMALL, *overrides])


def corpus(path: Path, counts: tuple[int, ...] = (14, 13)) -> Path:
    """A corpus with so many images in each shard, each with its caption."""
    from dataclasses import replace

    from tests.load.corpora import sample
    from wenlan_data.testing import write_corpus

    numbers = iter(range(sum(counts)))
    shards = [
        [
            replace(
                sample(one, image=make_image(one, width=32, height=32)),
                caption=make_caption(one),
                width=32,
                height=32,
            )
            for one in (next(numbers) for _ in range(count))
        ]
        for count in counts
    ]
    return write_corpus(path, shards)


def wordless(shards: Path, tar: Path) -> Path:
    """`tar`, with the images of a corpus's first shard and none of its texts."""
    with (
        tarfile.open(shards / "shards" / "wenlan-000000.tar") as source,
        tarfile.open(tar, "w") as target,
    ):
        for member in source:
            if member.name.endswith(".jpg"):
                target.addfile(member, source.extractfile(member))
    return tar


def trained(shards: Path, out: Path, *overrides: str, **options: object) -> TrainingState:
    """A training of the small config, in this process."""
    return run_training(
        config(*overrides),
        TrainOptions(shards=(shards,), out=out, workers=0, **options),
    )


def brivl_of(training: TrainingState) -> Brivl:
    """The objective of a BriVL training, with its queues and momentum towers."""
    assert isinstance(training.objective, Brivl)
    return training.objective


def seal(checkpoint: Path, state: dict[str, object]) -> None:
    """Writes `state.json` with the digest of its values, as someone who knows the format would."""
    text = json.dumps({**state, "state_sha256": state_digest(state)})
    (checkpoint / "state.json").write_text(text, encoding="utf-8")


def losses(out: Path) -> list[float]:
    """The loss of each logged step, in order."""
    return [
        cast("dict[str, float]", one["figures"])["loss"]
        for one in read_log(out)
        if one["kind"] == "step"
    ]


def ranks_command(shards: Path, out: Path, ranks: int, *more: str) -> subprocess.Popen[bytes]:
    """A training of the small config on so many gloo ranks; returns the started launcher."""
    words = ["train", "--config", "brivl-tiny", "--shards", str(shards), "--out", str(out), *WORDS]
    words += ["--workers", "0", "--nproc", str(ranks), "--set", "checkpoints.every_steps=10", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "wenlan_data", *words],
        env=environment,
        stderr=subprocess.PIPE,
        cwd=out.parent,
    )


def run_ranks(shards: Path, out: Path, ranks: int, *more: str) -> None:
    """Train the small config on so many gloo ranks, to the end."""
    process = ranks_command(shards, out, ranks, *more)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr.decode()[-2000:]
