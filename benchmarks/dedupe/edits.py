"""How surely edits of real pictures are found, and what is wrongly taken for the same.

    python -m benchmarks.dedupe.edits --photos FOLDER --screenshots FOLDER --wallpapers FOLDER --emoji FOLDER

`--screenshots` holds one folder a language with equal file names below (debian-handbook's `html`).
Each folder may be left out. Prints one JSON line each; `--work` gets a picture of every false
positive, side by side.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from wenlan_data.dedupe.similarity import MAX_PDQ_BITS, colour_distance
from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.recipe import DedupeRules
from wenlan_data.records import ImageFacts

RADIUS_BITS = 4
ANY = ImageRules(
    min_side_px=16,
    min_bytes=0,
    max_aspect=100,
    min_contrast=0,
    min_entropy_bits=0,
    max_icon_side_px=0,
)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
MAX_PHOTOS, MAX_SIDE_PX = 100, 900
COLOUR_LEVELS = DedupeRules().colour_levels

Picture = Image.Image


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("photos", "screenshots", "wallpapers", "emoji"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--work", type=Path, default=Path("bench-out"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.photos:
        for row in edits(given.photos):
            print(json.dumps(row), flush=True)
    if given.screenshots:
        print(json.dumps(screenshots(given.screenshots)), flush=True)
    if given.wallpapers:
        print(
            json.dumps({"set": "wallpapers", **pairs_of_a_folder(given.wallpapers, given.work)}),
            flush=True,
        )
    if given.emoji:
        print(json.dumps(skin_tones(given.emoji, given.work)), flush=True)
    print(json.dumps({"set": "gradients", **gradients(given.work)}), flush=True)


def saved(picture: Picture, kind: str = "JPEG", **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def _scaled(factor: float) -> Callable[[Picture], bytes]:
    def edit(picture: Picture) -> bytes:
        size = (max(16, int(picture.width * factor)), max(16, int(picture.height * factor)))
        return saved(picture.resize(size, Image.Resampling.LANCZOS), quality=85)

    return edit


def _cropped(share: float) -> Callable[[Picture], bytes]:
    def edit(picture: Picture) -> bytes:
        x, y = int(picture.width * share / 2), int(picture.height * share / 2)
        return saved(picture.crop((x, y, picture.width - x, picture.height - y)), quality=85)

    return edit


def _quality(quality: int) -> Callable[[Picture], bytes]:
    return lambda picture: saved(picture, quality=quality)


def _turned_back(picture: Picture) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(picture.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif)


def _marked(picture: Picture) -> bytes:
    small = picture.copy()
    patch = Image.new("RGB", (picture.width // 6, picture.height // 20), (250, 250, 250))
    small.paste(patch, (picture.width - patch.width - 8, picture.height - patch.height - 8))
    return saved(small, quality=85)


def _recoloured(picture: Picture) -> bytes:
    bright, blue, red = picture.convert("YCbCr").split()
    return saved(Image.merge("YCbCr", (bright, red, blue)).convert("RGB"), quality=90)


def _enhanced(
    kind: Callable[[Picture], ImageEnhance._Enhance], factor: float
) -> Callable[[Picture], bytes]:
    return lambda picture: saved(kind(picture).enhance(factor), quality=90)


EDITS: dict[str, Callable[[Picture], bytes]] = {
    **{f"jpeg quality {quality}": _quality(quality) for quality in (30, 50, 70, 85, 95)},
    **{f"scale {factor}": _scaled(factor) for factor in (0.25, 0.5, 0.75, 1.5, 2.0)},
    "png": lambda picture: saved(picture, "PNG"),
    "webp 75": lambda picture: saved(picture, "WEBP", quality=75),
    "exif rotation": _turned_back,
    "mark in a corner": _marked,
    **{f"crop {percent} %": _cropped(percent / 100) for percent in (1, 2, 5, 10)},
    **{
        f"brightness {factor}": _enhanced(ImageEnhance.Brightness, factor)
        for factor in (0.8, 0.9, 1.1, 1.2)
    },
    **{f"contrast {factor}": _enhanced(ImageEnhance.Contrast, factor) for factor in (0.8, 1.2)},
    **{f"colour {factor}": _enhanced(ImageEnhance.Color, factor) for factor in (0.0, 0.8, 1.2)},
    "other colours, as bright": _recoloured,
    "mirrored": lambda picture: saved(
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=90
    ),
}


def edits(folder: Path) -> Iterator[dict[str, object]]:
    """For each kind of edit the share found at radius 4 with PDQ, at 8 with PDQ, and by pHash alone
    at 4."""
    originals = [
        (one, facts)
        for one in _upright(_files(folder)[:MAX_PHOTOS])
        if (facts := facts_of(saved(one)))
    ]
    for name, edit in EDITS.items():
        far = []
        for picture, before in originals:
            after = facts_of(edit(picture))
            far.append(distances(before, after) if after else (64, 256, 255))
        phash, pdq, levels = np.array(far).T
        same = (pdq <= MAX_PDQ_BITS) & (levels <= COLOUR_LEVELS)
        yield {
            "edit": name,
            "pictures": len(far),
            "found": round(float(((phash <= RADIUS_BITS) & same).mean()), 3),
            "found_radius_8": round(float(((phash <= 8) & same).mean()), 3),
            "whatever_colour": round(
                float(((phash <= RADIUS_BITS) & (pdq <= MAX_PDQ_BITS)).mean()), 3
            ),
            "phash_alone": round(float((phash <= RADIUS_BITS).mean()), 3),
            "median_bits": [int(np.median(phash)), int(np.median(pdq))],
            "colour_levels": np.percentile(levels, [50, 95, 100]).astype(int).tolist(),
        }


def _upright(paths: list[Path]) -> Iterator[Picture]:
    for path in paths:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        upright.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
        yield upright


def screenshots(folder: Path) -> dict[str, object]:
    """Pairs of one screenshot in two languages, by what the rule says of them."""
    by_name: dict[str, list[bytes]] = defaultdict(list)
    for path in _files(folder):
        by_name[path.name].append(path.read_bytes())
    counts: Counter[str] = Counter()
    for copies in by_name.values():
        for one, other in combinations(copies, 2):
            counts[_said(one, other)] += 1
    return {"set": "screenshots", "pairs": counts.total(), **dict(sorted(counts.items()))}


def _said(one: bytes, other: bytes) -> str:
    if one == other:
        return "equal bytes"
    left, right = facts_of(one), facts_of(other)
    if left is None or right is None:
        return "no picture"
    phash, pdq, levels = distances(left, right)
    if phash <= RADIUS_BITS and pdq <= MAX_PDQ_BITS and levels > COLOUR_LEVELS:
        return "told apart by colour"
    band = (
        "pHash 0-4" if phash <= 4 else "5-8" if phash <= 8 else "9-16" if phash <= 16 else "over 16"
    )
    return f"{band}, PDQ {'agrees' if pdq <= MAX_PDQ_BITS else 'disagrees'}"


def pairs_of_a_folder(folder: Path, work: Path) -> dict[str, object]:
    """Pairs of files: those near by pHash, and of them those that the rule takes for one picture.

    A folder in it holds one wallpaper in several sizes, so only pairs of two folders can be wrong.
    """
    found = {path: facts for path in _files(folder) if (facts := facts_of(path.read_bytes()))}
    counts: Counter[str] = Counter()
    for one, other in combinations(found, 2):
        phash, pdq, levels = distances(found[one], found[other])
        counts["pairs"] += 1
        counts["near_by_phash_4"] += phash <= RADIUS_BITS
        counts["near_by_phash_8"] += phash <= 8
        if phash <= RADIUS_BITS and pdq <= MAX_PDQ_BITS and levels > COLOUR_LEVELS:
            counts["told_apart_by_colour"] += 1
        elif phash <= RADIUS_BITS and pdq <= MAX_PDQ_BITS:
            counts["taken_for_one"] += 1
            if one.relative_to(folder).parts[0] != other.relative_to(folder).parts[0]:
                counts["of_other_wallpapers"] += 1
                _beside(one, other).save(
                    work / f"taken-{folder.name}-{counts['of_other_wallpapers']:03d}.png"
                )
        elif phash <= RADIUS_BITS:
            counts["told_apart_by_pdq"] += 1
    return dict(counts)


def skin_tones(folder: Path, work: Path) -> dict[str, object]:
    """Pairs of one emoji in two skin tones, and of different emoji, that the rule takes for one
    picture.

    Files are named by their code points, such as `1f44b-1f3fd.png`. Of different ones, `work` gets
    a sheet.
    """
    found = {path: facts for path in _files(folder) if (facts := facts_of(path.read_bytes()))}
    paths = list(found)
    groups = [re.sub(r"-1f3f[b-f]", "", path.stem).replace("-fe0f", "") for path in paths]
    number = np.unique(groups, return_inverse=True)[1]
    phash = np.array([facts.phash for facts in found.values()], np.uint64)
    pdq = np.array([np.frombuffer(facts.pdq, np.uint64) for facts in found.values()])
    tints = np.array([np.frombuffer(facts.colours, np.uint64)[0] for facts in found.values()])
    counts: Counter[str] = Counter()
    taken = []
    for row in range(len(phash) - 1):
        same = number[row + 1 :] == number[row]
        near = np.bitwise_count(phash[row + 1 :] ^ phash[row]) <= RADIUS_BITS
        both = near & (np.bitwise_count(pdq[row + 1 :] ^ pdq[row]).sum(axis=1) <= MAX_PDQ_BITS)
        alike = both & (colour_distance(tints[row + 1 :], tints[row : row + 1]) <= COLOUR_LEVELS)
        for name, chosen in (("one emoji", same), ("different emoji", ~same)):
            counts[f"{name}: pairs"] += int(chosen.sum())
            counts[f"{name}: near by pHash"] += int((near & chosen).sum())
            counts[f"{name}: near by PDQ too"] += int((both & chosen).sum())
            counts[f"{name}: taken for one"] += int((alike & chosen).sum())
        taken += [
            (paths[row], paths[row + 1 + other]) for other in np.flatnonzero(alike & ~same).tolist()
        ]
    for one, other in taken:
        counts["different emoji: of these variants of one drawing"] += _drawn(one.stem) == _drawn(
            other.stem
        )
    for place in range(min(len(taken), 40)):
        chosen_pair = taken[place * len(taken) // 40]
        _beside(*chosen_pair).save(work / f"taken-emoji-{place:03d}.png")
    return {"set": "emoji", "pictures": len(phash), **dict(counts)}


def _drawn(stem: str) -> str:
    """An emoji without who does it (man, woman, person), in which skin and hair, and facing
    where."""
    return re.sub(
        r"-1f3f[b-f]|-1f9b[0-3]|-fe0f|-200d-(2640|2642|27a1)|1f468|1f469|1f9d1|-200d", "", stem
    )


def gradients(work: Path) -> dict[str, object]:
    """Smooth pictures of two colours in many directions: how many pHash alone and the rule would
    take for another."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:240, 0:320] / 320
    pictures, facts = [], []
    for _ in range(300):
        angle, ends = random.uniform(0, 2 * np.pi), random.integers(0, 256, (2, 3))
        ramp = (np.cos(angle) * x + np.sin(angle) * y)[:, :, None]
        ramp = (ramp - ramp.min()) / np.ptp(ramp)
        pictures.append(Image.fromarray((ends[0] + (ends[1] - ends[0]) * ramp).astype(np.uint8)))
        made = facts_of(saved(pictures[-1], "PNG"))
        if made is None:
            raise SystemExit("a gradient could not be read back")
        facts.append(made)
    counts: Counter[str] = Counter(pairs=len(facts) * (len(facts) - 1) // 2)
    for one, other in combinations(range(len(facts)), 2):
        phash, pdq, levels = distances(facts[one], facts[other])
        counts["near_by_phash_4"] += phash <= RADIUS_BITS
        if phash <= RADIUS_BITS and pdq <= MAX_PDQ_BITS and levels <= COLOUR_LEVELS:
            counts["taken_for_one"] += 1
            if counts["taken_for_one"] <= 20:
                both = Image.new("RGB", (650, 240), "white")
                both.paste(pictures[one], (0, 0))
                both.paste(pictures[other], (330, 0))
                both.save(work / f"taken-gradient-{counts['taken_for_one']:03d}.png")
    return dict(counts)


def facts_of(data: bytes) -> ImageFacts | None:
    """Hashes as a build makes them; None for what is no picture."""
    found = check_image(data, ANY)
    return found if isinstance(found, ImageFacts) else None


def distances(one: ImageFacts, other: ImageFacts) -> tuple[int, int, int]:
    """Bits of pHash and of PDQ, and levels of the quarters' colours."""
    pdq = int.from_bytes(one.pdq, "big") ^ int.from_bytes(other.pdq, "big")
    levels = colour_distance(
        np.frombuffer(one.colours, np.uint64), np.frombuffer(other.colours, np.uint64)
    )
    return (one.phash ^ other.phash).bit_count(), pdq.bit_count(), int(levels[0])


def _files(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def _beside(one: Path, other: Path) -> Picture:
    both = Image.new("RGB", (820, 400), "white")
    for place, path in enumerate((one, other)):
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail((400, 400))
        both.paste(small, (place * 420, 0))
    return both


if __name__ == "__main__":
    main()
