"""Measures how long the first batch of an epoch takes: of one loader that runs on, and of a loader
for each epoch.

python -m benchmarks.load.epochs
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.corpora import make_corpus
from wenlan_data.load import Loader, LoaderBatch

SAMPLES = 512
BATCH_SIZE = 64
STEP_S = 0.2
"""What a step takes; meanwhile the workers prepare the next batches."""


def main() -> None:
    """Prints one JSON line: the medians over the epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench-out/loader"))
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    corpus = make_corpus(arguments.out, None, width=512, height=384, samples=SAMPLES)
    workers = arguments.workers
    separate, together = [], []
    # In turns, so that both see the same load of the machine.
    with _loader(corpus, workers, 0, None) as endless:
        together.append(_first_batch_s(endless))
        for epoch in range(arguments.epochs):
            for _ in range(len(endless)):
                next(endless)
                time.sleep(STEP_S)
            together.append(_first_batch_s(endless))
            with _loader(corpus, workers, epoch, 1) as single:
                separate.append(_first_batch_s(single))
    print(
        json.dumps(
            {
                "workers": workers,
                "first_batch_s_loader_of_each_epoch": round(statistics.median(separate), 4),
                "first_batch_s_one_loader": round(statistics.median(together[1:]), 4),
            }
        )
    )


def _loader(corpus: Path, workers: int, epoch: int, epochs: int | None) -> Loader:
    return Loader(
        corpus,
        batch_size=BATCH_SIZE,
        size_px=224,
        workers=workers,
        epoch=epoch,
        epochs=epochs,
    )


def _first_batch_s(loader: Iterator[LoaderBatch]) -> float:
    start = time.perf_counter()
    next(loader)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
