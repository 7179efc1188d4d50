"""How surely edits of real images are found, and what is wrongly taken for a duplicate.

    python -m benchmarks.dedupe.edits --photos FOLDER --screenshots FOLDER --wallpapers FOLDER --emoji FOLDER

`--screenshots` holds one folder a language with equal file names below (debian-handbook's `html`).
Each folder may be left out. Prints one JSON line each; `--work` gets an image of every false
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


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The image as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _scaled(factor: float) -> Callable[[Image.Image], bytes]:
    def edit(image: Image.Image) -> bytes:
        size = (max(16, int(image.width * factor)), max(16, int(image.height * factor)))
        return saved(image.resize(size, Image.Resampling.LANCZOS), quality=85)

    return edit


def _cropped(share: float) -> Callable[[Image.Image], bytes]:
    def edit(image: Image.Image) -> bytes:
        x, y = int(image.width * share / 2), int(image.height * share / 2)
        return saved(image.crop((x, y, image.width - x, image.height - y)), quality=85)

    return edit


def _quality(quality: int) -> Callable[[Image.Image], bytes]:
    return lambda image: saved(image, quality=quality)


def _rotated_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif)


def _marked(image: Image.Image) -> bytes:
    small = image.copy()
    patch = Image.new("RGB", (image.width // 6, image.height // 20), (250, 250, 250))
    small.paste(patch, (image.width - patch.width - 8, image.height - patch.height - 8))
    return saved(small, quality=85)


def _recoloured(image: Image.Image) -> bytes:
    bright, blue, red = image.convert("YCbCr").split()
    return saved(Image.merge("YCbCr", (bright, red, blue)).convert("RGB"), quality=90)


def _enhanced(
    kind: Callable[[Image.Image], ImageEnhance._Enhance], factor: float
) -> Callable[[Image.Image], bytes]:
    return lambda image: saved(kind(image).enhance(factor), quality=90)


EDITS: dict[str, Callable[[Image.Image], bytes]] = {
    **{f"jpeg quality {quality}": _quality(quality) for quality in (30, 50, 70, 85, 95)},
    **{f"scale {factor}": _scaled(factor) for factor in (0.25, 0.5, 0.75, 1.5, 2.0)},
    "png": lambda image: saved(image, "PNG"),
    "webp 75": lambda image: saved(image, "WEBP", quality=75),
    "exif rotation": _rotated_by_exif,
    "mark in a corner": _marked,
    **{f"crop {percent} %": _cropped(percent / 100) for percent in (1, 2, 5, 10)},
    **{
        f"brightness {factor}": _enhanced(ImageEnhance.Brightness, factor)
        for factor in (0.8, 0.9, 1.1, 1.2)
    },
    **{f"contrast {factor}": _enhanced(ImageEnhance.Contrast, factor) for factor in (0.8, 1.2)},
    **{f"colour {factor}": _enhanced(ImageEnhance.Color, factor) for factor in (0.0, 0.8, 1.2)},
    "other colours, as bright": _recoloured,
    "mirrored": lambda image: saved(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=90),
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
        for image, before in originals:
            after = facts_of(edit(image))
            far.append(distances(before, after) if after else (64, 256, 255))
        phash, pdq, levels = np.array(far).T
        same = (pdq <= MAX_PDQ_BITS) & (levels <= COLOUR_LEVELS)
        yield {
            "edit": name,
            "images": len(far),
            "found": round(float(((phash <= RADIUS_BITS) & same).mean()), 3),
            "found_radius_8": round(float(((phash <= 8) & same).mean()), 3),
            "whatever_colour": round(
                float(((phash <= RADIUS_BITS) & (pdq <= MAX_PDQ_BITS)).mean()), 3
            ),
            "phash_alone": round(float((phash <= RADIUS_BITS).mean()), 3),
            "median_bits": [int(np.median(phash)), int(np.median(pdq))],
            "colour_levels": np.percentile(levels, [50, 95, 100]).astype(int).tolist(),
        }


def _upright(paths: list[Path]) -> Iterator[Image.Image]:
    for path in paths:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
        yield upright


def screenshots(folder: Path) -> dict[str, object]:
    """Pairs of one screenshot in two languages, counted by outcome of the rule."""
    by_name: dict[str, list[bytes]] = defaultdict(list)
    for path in _files(folder):
        by_name[path.name].append(path.read_bytes())
    counts: Counter[str] = Counter()
    for copies in by_name.values():
        for one, other in combinations(copies, 2):
            counts[_outcome(one, other)] += 1
    return {"set": "screenshots", "pairs": counts.total(), **dict(sorted(counts.items()))}


def _outcome(one: bytes, other: bytes) -> str:
    if one == other:
        return "equal bytes"
    left, right = facts_of(one), facts_of(other)
    if left is None or right is None:
        return "no image"
    phash, pdq, levels = distances(left, right)
    if phash <= RADIUS_BITS and pdq <= MAX_PDQ_BITS and levels > COLOUR_LEVELS:
        return "distinguished by colour"
    band = (
        "pHash 0-4" if phash <= 4 else "5-8" if phash <= 8 else "9-16" if phash <= 16 else "over 16"
    )
    return f"{band}, PDQ {'agrees' if pdq <= MAX_PDQ_BITS else 'disagrees'}"


def pairs_of_a_folder(folder: Path, work: Path) -> dict[str, object]:
    """Pairs of files: those near by pHash, and of them those that the rule takes for duplicates.

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
            counts["distinguished_by_colour"] += 1
        elif phash <= RADIUS_BITS and pdq <= MAX_PDQ_BITS:
            counts["taken_for_one"] += 1
            if one.relative_to(folder).parts[0] != other.relative_to(folder).parts[0]:
                counts["of_other_wallpapers"] += 1
                _beside(one, other).save(
                    work / f"taken-{folder.name}-{counts['of_other_wallpapers']:03d}.png"
                )
        elif phash <= RADIUS_BITS:
            counts["distinguished_by_pdq"] += 1
    return dict(counts)


def skin_tones(folder: Path, work: Path) -> dict[str, object]:
    """Pairs of one emoji in two skin tones, and of different emoji, that the rule takes for
    duplicates.

    Files are named by their code points, such as `1f44b-1f3fd.png`. Of different ones, `work` gets
    a sheet.
    """
    found = {path: facts for path in _files(folder) if (facts := facts_of(path.read_bytes()))}
    paths = list(found)
    groups = [re.sub(r"-1f3f[b-f]", "", path.stem).replace("-fe0f", "") for path in paths]
    number = np.unique(groups, return_inverse=True)[1]
    phash = np.array([facts.phash for facts in found.values()], np.uint64)
    pdq = np.array([np.frombuffer(facts.pdq, np.uint64) for facts in found.values()])
    colours = np.array([np.frombuffer(facts.colours, np.uint64)[0] for facts in found.values()])
    counts: Counter[str] = Counter()
    taken = []
    for row in range(len(phash) - 1):
        same = number[row + 1 :] == number[row]
        near = np.bitwise_count(phash[row + 1 :] ^ phash[row]) <= RADIUS_BITS
        both = near & (np.bitwise_count(pdq[row + 1 :] ^ pdq[row]).sum(axis=1) <= MAX_PDQ_BITS)
        levels = colour_distance(colours[row + 1 :], colours[row : row + 1])
        alike = both & (levels <= COLOUR_LEVELS)
        for name, chosen in (("one emoji", same), ("different emoji", ~same)):
            counts[f"{name}: pairs"] += int(chosen.sum())
            counts[f"{name}: near by pHash"] += int((near & chosen).sum())
            counts[f"{name}: near by PDQ too"] += int((both & chosen).sum())
            counts[f"{name}: taken for one"] += int((alike & chosen).sum())
        taken += [
            (paths[row], paths[row + 1 + other]) for other in np.flatnonzero(alike & ~same).tolist()
        ]
    for one, other in taken:
        is_variant = _drawing(one.stem) == _drawing(other.stem)
        counts["different emoji: of these variants of one drawing"] += is_variant
    for place in range(min(len(taken), 40)):
        chosen_pair = taken[place * len(taken) // 40]
        _beside(*chosen_pair).save(work / f"taken-emoji-{place:03d}.png")
    return {"set": "emoji", "images": len(phash), **dict(counts)}


def _drawing(stem: str) -> str:
    """An emoji without who does it (man, woman, person), in which skin and hair, and facing
    where."""
    return re.sub(
        r"-1f3f[b-f]|-1f9b[0-3]|-fe0f|-200d-(2640|2642|27a1)|1f468|1f469|1f9d1|-200d", "", stem
    )


def gradients(work: Path) -> dict[str, object]:
    """Pairs of smooth gradients that pHash alone, and the whole rule, take for duplicates."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:240, 0:320] / 320
    images, facts = [], []
    for _ in range(300):
        angle, ends = random.uniform(0, 2 * np.pi), random.integers(0, 256, (2, 3))
        ramp = (np.cos(angle) * x + np.sin(angle) * y)[:, :, None]
        ramp = (ramp - ramp.min()) / np.ptp(ramp)
        images.append(Image.fromarray((ends[0] + (ends[1] - ends[0]) * ramp).astype(np.uint8)))
        made = facts_of(saved(images[-1], "PNG"))
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
                both.paste(images[one], (0, 0))
                both.paste(images[other], (330, 0))
                both.save(work / f"taken-gradient-{counts['taken_for_one']:03d}.png")
    return dict(counts)


def facts_of(data: bytes) -> ImageFacts | None:
    """Hashes as a build makes them; None for an image that the check drops."""
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


def _beside(one: Path, other: Path) -> Image.Image:
    both = Image.new("RGB", (820, 400), "white")
    for place, path in enumerate((one, other)):
        with Image.open(path) as image:
            small = image.convert("RGB")
        small.thumbnail((400, 400))
        both.paste(small, (place * 420, 0))
    return both


if __name__ == "__main__":
    main()
