"""Compares how long training waits for a checkpoint that is written in the background with one that
is written at once, and with `torch.save` of the same tensors.

python -m benchmarks.train.checkpoints [--saves 5] [--mib 512] [--folder DIR]

Tensors of MIB in all, fp32, on the CPU. The three variants alternate; every file is flushed to the
disk. Whatever the variant, each checkpoint is on the disk before the next one begins.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from wenlan_data.model.checkpoint import CheckpointState, CorpusMark, shards_digest
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.train.checkpoint_writer import CheckpointWriter

TENSORS = 200


def main() -> None:
    """Prints one JSON line: median seconds that training waits, and until the file is on the disk,
    by variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--saves", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    size = given.mib * 2**20 // 4 // TENSORS
    tensors = {str(number): torch.randn(size) for number in range(TENSORS)}
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    config = load_config("brivl-tiny")
    savers = {
        "background": _saver(folder / "background", config, tensors),
        "at_once": _saver(
            folder / "at_once", load_config("brivl-tiny", ["checkpoints.background=false"]), tensors
        ),
        "torch_save": _torch_saver(folder / "plain.pt", tensors),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in savers}
    try:
        # The first save takes new memory for the copy, once in a run.
        for step in range(given.saves + 1):
            for name, save in savers.items():
                found[name].append(save(step))
    finally:
        shutil.rmtree(folder)
    waits, totals = (
        {name: statistics.median(one[index] for one in runs[1:]) for name, runs in found.items()}
        for index in (0, 1)
    )
    print(
        json.dumps(
            {
                "what": "checkpoints",
                "mib": given.mib,
                "saves": given.saves,
                "training_waits_s": {name: round(value, 4) for name, value in waits.items()},
                "on_disk_s": {name: round(value, 3) for name, value in totals.items()},
                "first_copy_s": round(found["background"][0][0], 4),
                "ratio": round(waits["at_once"] / waits["background"], 1),
            }
        )
    )


def _saver(
    folder: Path, config: TrainConfig, tensors: dict[str, Tensor]
) -> Callable[[int], tuple[float, float]]:
    writer = CheckpointWriter(folder, config, {"tokenizer.json": b"{}"})

    def save(step: int) -> tuple[float, float]:
        start = time.perf_counter()
        writer.save(_state(config, step), {"model": tensors}, is_last=False)
        waited = time.perf_counter() - start
        writer.wait()
        writer.raise_error()
        return waited, time.perf_counter() - start

    return save


def _state(config: TrainConfig, step: int) -> CheckpointState:
    return CheckpointState(
        code_version="", step=step, epoch=0, position=0, samples=0, queue_fill=0, queue_pointer=0,
        skipped=0, skipped_in_a_row=0, seed=0, config=config.resolved(), config_digest="",
        text_encoder={}, metrics={},
        corpus=CorpusMark(digest="", shards=0, shards_sha256=shards_digest(())),
    )  # fmt: skip


def _torch_saver(path: Path, tensors: dict[str, Tensor]) -> Callable[[int], tuple[float, float]]:
    def save(_: int) -> tuple[float, float]:
        start = time.perf_counter()
        with path.open("wb") as file:
            torch.save(tensors, file)
            file.flush()
            os.fsync(file.fileno())
        took = time.perf_counter() - start
        return took, took

    return save


if __name__ == "__main__":
    main()
