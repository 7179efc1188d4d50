"""Measures training steps with a frozen image backbone: on images, and on its region features.

python -m benchmarks.train.region_features [--backbone tf_efficientnet_b0] [--size-px 224]
    [--layers 4] [--batch 16] [--steps 8] [--runs 3]

Weights and images are random, since only time is measured. Everything runs in one process without
loader workers, so that the processor time of a step includes reading and decoding. Both ways
alternate, and take the same samples.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from wenlan_data.eval.embed import EmbeddingModel
from wenlan_data.eval.region_features import write_region_features
from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.model.tokenizer import vocabulary_size, write_tokenizer
from wenlan_data.model.towers import make_towers
from wenlan_data.testing import make_image, make_sample, write_corpus
from wenlan_data.train.batches import START, TrainingData, batches
from wenlan_data.train.distributed import Distributed
from wenlan_data.train.features import open_features
from wenlan_data.train.state import start_training
from wenlan_data.train.step import training_step

CPU = Distributed(0, 1, torch.device("cpu"))
WARM_UP_STEPS = 1


def main() -> None:
    """Prints one JSON line: medians of processor milliseconds a sample, their ratio, and the size
    and cost of the features."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="tf_efficientnet_b0")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--layers", type=int, default=4, help="of attention pooling")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    keep_freed_memory()
    folder = Path(tempfile.mkdtemp())
    try:
        print(json.dumps(measure(folder, given)))
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """The figures, from a corpus of as many samples as a run has steps."""
    count = given.batch * (given.steps + WARM_UP_STEPS)
    side = given.size_px * 8 // 7
    samples = [
        replace(make_sample(number), jpeg=make_image(number, width=side, height=side))
        for number in range(count)
    ]
    corpus = write_corpus(folder / "corpus", [samples])
    config = frozen_config(given)
    write_tokenizer(config.text, [corpus], folder / "tokenizer.json")
    vocabulary = vocabulary_size(folder / "tokenizer.json")
    model = EmbeddingModel(
        towers=make_towers(config, vocabulary).eval(),
        config=config,
        tokenizer=folder / "tokenizer.json",
        device=CPU.device,
    )
    start = time.process_time()
    written = write_region_features(model, [corpus], folder / "features", workers=0)
    embed_s = time.process_time() - start
    features = {"features": str(folder / "features")}
    ways = {
        "images": config,
        "features": config.model_copy(update={"image": config.image.model_copy(update=features)}),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(given.runs):
        for way, used in ways.items():
            found[way] += steps(used, corpus, folder / "tokenizer.json", given.steps)
    medians = {way: 1000 * statistics.median(one) / given.batch for way, one in found.items()}
    return {
        "what": "region features",
        "backbone": given.backbone,
        "size_px": given.size_px,
        "layers": given.layers,
        "regions": [written.regions, written.width],
        "bytes_per_sample": round(written.bytes / written.samples),
        "embed_cpu_ms_per_sample": round(1000 * embed_s / count, 2),
        **{f"{way}_cpu_ms_per_sample": round(value, 2) for way, value in medians.items()},
        "ratio": round(medians["images"] / medians["features"], 2),
    }


def frozen_config(given: argparse.Namespace) -> TrainConfig:
    """brivl-base with a small text encoder, a frozen image backbone and no augmentation."""
    return load_config(
        "brivl-base",
        [
            f"image.backbone={given.backbone}", "image.weights=none", "image.train=none",
            f"image.size_px={given.size_px}", "precision=fp32", f"batch_size={given.batch}",
            f"max_steps={given.steps + WARM_UP_STEPS}",
            "augment={jitter_share: 0, grey_share: 0}", "embedding=256", "negatives.queue=1024",
            f"attention={{layers: {given.layers}, heads: 4, feed_forward: 2048}}",
            f"image.projection={'true' if given.layers else 'false'}",
            "text={backbone: small, train: all, small: {layers: 2, width: 128, heads: 4}}",
        ],
    )  # fmt: skip


def steps(config: TrainConfig, corpus: Path, tokenizer: Path, count: int) -> Iterator[float]:
    """Trains from step 0; yields the processor seconds of each step but the first ones."""
    torch.manual_seed(0)
    training = start_training(make_towers(config, vocabulary_size(tokenizer)), config, CPU.device)
    data = TrainingData(
        shards=[corpus],
        tokenizer=tokenizer,
        workers=0,
        features=open_features(config, [corpus], training.towers.image),
    )
    with closing(batches(data, config, CPU, START)) as source:
        for number in range(count + WARM_UP_STEPS):
            start = time.process_time()
            training_step(training, training.towers, [next(source)], config, CPU)
            if number >= WARM_UP_STEPS:
                yield time.process_time() - start


if __name__ == "__main__":
    main()
