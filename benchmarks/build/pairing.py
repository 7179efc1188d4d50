"""Measures what the pairing of a checkout is worth: both checkouts build a corpus from the same
pages, a model trains on the `surrounding` texts of each, and retrieval is tested on held-out true
pairs.

    git clone . /tmp/old && git -C /tmp/old checkout COMMIT
    OMP_NUM_THREADS=1 python -m benchmarks.build.pairing /tmp/old . [--seeds 0,1] [--backbones]

The pages hold cards of emoji in the twelve structures of `pairing_pages.py`, drawn as Twemoji,
OpenMoji and Fluent. The test set is Noto's drawings of the same emoji, each with a new description,
and is the same for both. A text is true if it names the emoji of its image and no other one. The
corpora are read and trained on by the checkout that runs this script. Prints one JSON line. Needs
what `train/emoji.py` needs, and keeps it in the same folder.
"""

import argparse
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from benchmarks.build.pairing_pages import (
    FILLERS,
    SENTENCES,
    TITLES,
    Emoji,
    Site,
    describe,
    write_site,
)
from benchmarks.crawl.pages import samples_of
from benchmarks.train.emoji import SETTINGS, in_percent, shards, timed, wenlan, with_backbones
from benchmarks.train.emoji_corpora import (
    RECIPE,
    SOURCES,
    STYLES,
    draw,
    emojibase,
    served,
    texts_of_emoji,
    unpack,
)
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare as prepare_build
from wenlan_data.run.runner import build

TRAIN_STYLES = ("twitter", "openmoji", "fluent")
TEST_STYLE = "google"
MIN_TAGS = 2
# The default recipe, without the checks that drawings of 128 px fail: two of them that look alike
# are different emoji, and flat colours give small files.
RECIPE_SETTINGS = (
    "image.max_icon_side_px=0", "image.min_bytes=100", "image.min_contrast=0",
    "image.min_entropy_bits=0", "dedupe.radius_bits=off",
)  # fmt: skip
TRAIN_SETTINGS = (*SETTINGS, "text.choose=surrounding", "text.max_tokens=48")


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--work", type=Path, default=Path("bench-out/emoji"))
    parser.add_argument("--emoji", type=int, default=600)
    parser.add_argument("--pages-seed", type=int, default=0)
    parser.add_argument("--seeds", default="0", help="seeds of the training, joined by commas")
    parser.add_argument("--steps", type=int, default=600, help="0 builds without training")
    parser.add_argument(
        "--backbones", action="store_true", help="train with the backbones of train/emoji.py"
    )
    given = parser.parse_args()
    work: Path = given.work / "pairing"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    emoji = prepare(given.work, given.emoji, random.Random(given.pages_seed))
    rng = random.Random(given.pages_seed + 1)
    drawings = {style: given.work / "images" / style for style in TRAIN_STYLES}
    site = write_site(work / "site", drawings, emoji, rng)
    checkouts = {"old": given.old, "new": given.new}
    corpora = build_pages(work, [work / "site"], checkouts, RECIPE_SETTINGS)
    test = build_test(work, given.work / "images", emoji, rng)
    found: dict[str, object] = {
        "emoji": len(emoji), "pages": site.pages, "cards": len(site.names), "test_pairs": len(emoji),
        "texts": {side: counted(samples_of(corpus), site) for side, corpus in corpora.items()},
    }  # fmt: skip
    if given.steps:
        settings = [*TRAIN_SETTINGS, *(with_backbones(given.work) if given.backbones else ()),
                    f"max_steps={given.steps}"]  # fmt: skip
        seeds = [int(seed) for seed in given.seeds.split(",")]
        found |= {
            "settings": settings,
            "chance": [round(100 * cut / len(emoji), 1) for cut in (1, 5, 10)],
        }
        found["runs"] = [
            {"pairing": side, "seed": seed, **train(work / f"{side}-{seed}", corpus, test,
                                                    [*settings, f"seed={seed}"])}
            for seed in seeds for side, corpus in corpora.items()
        ]  # fmt: skip
    print(json.dumps(found))


def prepare(work: Path, many: int, rng: random.Random) -> list[Emoji]:
    """Downloads and draws the emoji once, and returns `many` of them, all drawn in every style.

    A text names the emoji whose labels it contains, so no label is a part of another one, of a tag
    or of the rest of the pages.
    """
    if not (work / "images").exists():
        unpack(work)
        draw(work)
    found: list[Emoji] = []
    simplified = emojibase(work, "zh")
    codes = [code for code, _ in texts_of_emoji(work)]
    for code in rng.sample(codes, len(codes)):
        one = simplified[code.upper()]
        name = one["label"]
        drawn = all((work / "images" / style / f"{code}.png").exists() for style in STYLES)
        apart = not any(name in other.name or other.name in name for other in found)
        apart = apart and not any(name in text for text in (*SENTENCES, *FILLERS, *TITLES))
        if drawn and apart and re.fullmatch(r"[一-鿿]{2,12}", name):
            found.append(Emoji(code=code, name=name, tags=tuple(one.get("tags", []))))
    names = [one.name for one in found]
    usable = [
        Emoji(code=one.code, name=one.name, tags=tags)
        for one in found
        if len(tags := tuple(tag for tag in one.tags if _is_usable(tag, names))) >= MIN_TAGS
    ]
    if len(usable) < many:
        raise SystemExit(f"--emoji {many}: choose up to {len(usable)}")
    return usable[:many]


def _is_usable(tag: str, names: Sequence[str]) -> bool:
    """Reports whether a tag is Chinese and contains no label."""
    return re.fullmatch(r"[一-鿿]{1,8}", tag) is not None and not any(name in tag for name in names)


def build_pages(
    work: Path, folders: Sequence[Path], checkouts: Mapping[str, Path], settings: Sequence[str]
) -> dict[str, Path]:
    """Crawls the folders, each served as a host, with each checkout, and returns the corpora."""
    corpora = {side: (work / f"corpus-{side}").resolve() for side in checkouts}
    with ExitStack() as stack:
        hosts = [stack.enter_context(served(folder)) for folder in folders]
        seeds = [f"http://{host}/index.html" for host in hosts]
        sources = {
            "network": {"allow": hosts},
            "hosts": {host: {"min_gap_s": 0, "max_connections": 8} for host in hosts},
            "sources": [{"kind": "pages", "seeds": seeds}],
        }
        path = (work / "pages.yaml").resolve()
        path.write_text(yaml.safe_dump(sources), "utf-8")
        words = [word for setting in settings for word in ("--set", setting)]
        for side, checkout in checkouts.items():
            command = wenlan(
                "build", "--sources", path, "--out", corpora[side], *words,
                "--executor", "local", "--workers", 1, "--contact", "benchmark@example.org",
            )  # fmt: skip
            environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
            subprocess.run(command, cwd=checkout, env=environment, stdout=sys.stderr, check=True)
    return corpora


def build_test(work: Path, images: Path, emoji: Sequence[Emoji], rng: random.Random) -> Path:
    """Builds a corpus of true pairs: each emoji in the style that no page shows, with a new
    description."""
    (work / "test.recipe.yaml").write_text(RECIPE, encoding="utf-8")
    out = work / "corpus-test"
    with served(images) as host:
        rows = [
            {"url": f"http://{host}/{TEST_STYLE}/{one.code}.png", "text": [describe(one, rng)],
             "page_url": f"http://{host}/{one.code}"}
            for one in emoji
        ]  # fmt: skip
        table, sources = work / "test.jsonl", work / "test.yaml"
        table.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8"
        )
        sources.write_text(SOURCES.format(host=host, table=table.resolve()), encoding="utf-8")
        options = BuildOptions(out=out, executor="local", workers=1)
        recipe = str(work / "test.recipe.yaml")
        build(prepare_build(options, [str(sources)], recipe, (), "benchmark@example.org"))
    return out


def counted(rows: Sequence[Mapping[str, object]], site: Site) -> dict[str, object]:
    """Counts samples, and their first `surrounding` text by the emoji that it names.

    `true`: that of the image alone; `mixed`: that one and others; `other`: others alone; `none`:
    no emoji; `missing`: there is no such text, so the caption trains. By structure, the true ones.
    """
    kinds: Counter[str] = Counter()
    captions: Counter[str] = Counter()
    structures: Counter[str] = Counter()
    names = sorted(set(site.names.values()))
    for row in rows:
        path = urlsplit(str(row["image_url"])).path
        texts: list[dict[str, str]] = row["texts"]  # type: ignore[assignment]
        text = next((one["text"] for one in texts if one["type"] == "surrounding"), None)
        kind = "missing" if text is None else names_in(text, site.names[path], names)
        kinds[kind] += 1
        structures[site.structures[path]] += kind == "true"
        captions[names_in(str(row["caption"]), site.names[path], names)] += 1
    return {
        "samples": len(rows),
        "surrounding": dict(kinds),
        "captions": dict(captions),
        "true_by_structure": dict(structures),
        "cards_by_structure": dict(Counter(site.structures.values())),
    }


def names_in(text: str, own: str, names: Sequence[str]) -> str:
    """Returns which emoji a text names: `true` for the one of the image, `mixed`, `other`, or
    `none`."""
    found = {name for name in names if name in text}
    if own in found:
        return "true" if len(found) == 1 else "mixed"
    return "other" if found else "none"


def train(run: Path, corpus: Path, test: Path, settings: Sequence[str]) -> dict[str, object]:
    """Trains on a corpus, and returns recalls on the test pairs with their standard errors."""
    words = [word for setting in settings for word in ("--set", setting)]
    spent = timed(
        "train", "--config", "brivl-tiny", *words, "--out", run, *shards([corpus]), "--workers", 1
    )
    command = wenlan("eval", "retrieval", "--checkpoint", run, *shards([test]), "--json")
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed)
    return {**spent, **in_percent(found), "standard_error": {
        way: [round(100 * math.sqrt(values[f"recall@{cut}"] * (1 - values[f"recall@{cut}"]) / values["queries"]), 1)
              for cut in (1, 5, 10)] for way, values in found.items()}}  # fmt: skip


if __name__ == "__main__":
    main()
