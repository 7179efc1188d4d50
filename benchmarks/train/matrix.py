"""Trains the tiny configs on 1 to 4 gloo ranks with 1 and 2 micro-batches, and compares losses,
weights and queues: neither number may change a training but by rounding.

python -m benchmarks.train.matrix --corpus CORPUS [--steps 30] [--batch-size 24] [--set KEY=VALUE]

A run is compared with that on one rank. With brivl the micro-batches decide what is in the queue,
so the run on one rank has the same number of them; with clip it has one.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from wenlan_data.model.checkpoint import Checkpoint, list_checkpoints, load_checkpoint
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.train.launch import free_port
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.run_log import read_log
from wenlan_data.train.trainer import run_training

CONFIGS, OBJECTIVES = ("brivl-tiny", "clip-tiny"), ("brivl", "clip")
RANKS, ACCUMULATIONS = (1, 2, 3, 4), (1, 2)
LOSS_TOLERANCE, VALUE_TOLERANCE = 1e-6, 2e-5
"""Those of docs/training.md; values are weights, momentum weights and queues."""
# A server that has imported everything and computed nothing: its forks start in milliseconds.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["benchmarks.train.matrix"])


def main() -> None:
    """Prints one JSON line; exits with 1 where a tolerance is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    began = time.monotonic()
    size = (f"max_steps={given.steps}", f"batch_size={given.batch_size}")
    found = {
        f"{name} {objective}": compare(
            given.corpus, name, objective, [*size, *given.overrides], RANKS
        )
        for name in CONFIGS
        for objective in OBJECTIVES
    }
    worst = {
        what: max(one[what] for runs in found.values() for one in runs.values())
        for what in ("losses", "values")
    }
    is_equal = worst["losses"] <= LOSS_TOLERANCE and worst["values"] <= VALUE_TOLERANCE
    print(
        json.dumps(
            {
                "what": "ranks x accumulation",
                "steps": given.steps,
                "batch_size": given.batch_size,
                "runs": sum(map(len, found.values())),
                "worst": worst,
                "within": is_equal,
                "seconds": round(time.monotonic() - began),
                "differences": found,
            }
        )
    )
    if not is_equal:
        raise SystemExit(1)


def compare(
    corpus: Path, name: str, objective: str, overrides: Sequence[str], ranks: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Trains each of ranks x accumulations; returns the largest differences from the run that it
    must equal, by `ranks x accumulation`."""
    negatives = "{queue: 512, batch: true}" if objective == "brivl" else "{queue: 0, batch: true}"
    words = [f"objective={objective}", f"negatives={negatives}", *overrides]
    found = {}
    with tempfile.TemporaryDirectory(prefix="wenlan-matrix-") as folder:
        for accumulation in ACCUMULATIONS:
            config = load_config(name, [*words, f"accumulation={accumulation}"])
            for count in ranks:
                train_on_ranks(config, corpus, Path(folder) / f"{count}-{accumulation}", count)
        for accumulation in ACCUMULATIONS:
            same = Path(folder) / f"1-{accumulation if objective == 'brivl' else 1}"
            for count in ranks:
                other = Path(folder) / f"{count}-{accumulation}"
                found[f"{count}x{accumulation}"] = differences(same, other)
    return found


def train_on_ranks(config: TrainConfig, corpus: Path, out: Path, ranks: int) -> None:
    """Trains to the last step in so many processes. Raises `RuntimeError` where one fails."""
    port = free_port()
    options = TrainOptions(shards=(corpus,), out=out, workers=0)
    processes = [
        _SERVER.Process(
            target=_train,
            args=(
                config,
                options,
                {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(ranks),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                },
            ),
            daemon=True,
        )
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"{out}: a rank failed")


def _train(config: TrainConfig, options: TrainOptions, environment: Mapping[str, str]) -> None:
    import torch

    # One thread, so that the number of cores decides nothing.
    torch.set_num_threads(1)
    os.environ.update(environment)
    run_training(config, options)


def differences(same: Path, other: Path) -> dict[str, float]:
    """The largest absolute differences of losses, and of all other values, between two runs."""
    pairs = zip(_losses(same), _losses(other), strict=True)
    first, second = (load_checkpoint(list_checkpoints(run)[-1]) for run in (same, other))
    return {
        "losses": max(abs(one - two) for one, two in pairs),
        "values": max(_difference(first, second, file) for file in ("model", "momentum", "queues")),
    }


def _difference(first: Checkpoint, second: Checkpoint, file: str) -> float:
    names = set(first.tensors.get(file, {}))
    if names != set(second.tensors.get(file, {})):
        raise RuntimeError(f"{second.path}: {file} has other tensors than in {first.path}")
    return max(
        (
            float((first.tensors[file][name] - second.tensors[file][name]).abs().max())
            for name in names
        ),
        default=0.0,
    )


def _losses(run: Path) -> list[float]:
    return [
        cast("dict[str, float]", entry["figures"])["loss"]
        for entry in read_log(run)
        if entry["kind"] == "step"
    ]


if __name__ == "__main__":
    main()
