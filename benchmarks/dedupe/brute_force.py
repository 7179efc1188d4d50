"""The near search and the decisions on dense codes of real images, against brute force and the
rule written naively.

    python -m benchmarks.dedupe.brute_force --images FOLDER [FOLDER ...] --codes 200000

Each image is cropped, scaled, made lighter or darker and encoded as JPEG at random (seeded) until
there are so many codes; those and uniform ones are searched at each radius from 0 to 8. Prints one
JSON line each.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from tests.dedupe.hamming.near_pairs import near_pairs
from wenlan_data.dedupe.decisions import Decisions
from wenlan_data.dedupe.groups import Images, group_by_hash
from wenlan_data.dedupe.near_step import NearFiles
from wenlan_data.dedupe.selection import Constraints, select
from wenlan_data.dedupe.similarity import Thresholds, colour_distance
from wenlan_data.image.hash import colour_thumbnail, luma, perceptual_hashes, quarter_colours
from wenlan_data.index.published import Signatures
from wenlan_data.npy import Codes, Indices
from wenlan_data.recipe import DedupeRules

SEED = 20210311
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
MAX_SIDE_PX, MAX_RADIUS = 128, 8
BLOCK = 256


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--codes", type=int, default=200_000)
    parser.add_argument("--work", type=Path, default=Path("bench-out"))
    given = parser.parse_args()
    phash, pdq, colours = dense_hashes(given.images, given.codes, given.work)
    uniform = np.random.default_rng(SEED).integers(0, 2**64, given.codes, dtype=np.uint64)
    print(json.dumps(decisions_against_the_rule(phash, pdq, colours)), flush=True)
    for name, codes in (("real images", phash), ("uniform", uniform)):
        for row in pairs_at_each_radius(codes):
            print(json.dumps({"codes": name, "count": len(codes), **row}), flush=True)


def dense_hashes(folders: list[Path], count: int, work: Path) -> tuple[Codes, Codes, Codes]:
    """So many pHashes, PDQs and colours of edited images; kept in `work`, since they take
    minutes."""
    path = work / f"dense-{count}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        found = list(_hashed(folders, count))
        pdq = np.frombuffer(b"".join(one for _, one, _ in found), np.uint64).reshape(-1, 4)
        colours = np.frombuffer(b"".join(one for *_, one in found), np.uint64)
        np.savez(
            path,
            phash=np.array([phash for phash, *_ in found], np.uint64),
            pdq=pdq,
            colours=colours,
        )
    with np.load(path) as saved:
        return saved["phash"], saved["pdq"], saved["colours"]


def _hashed(folders: list[Path], count: int) -> Iterator[tuple[int, bytes, bytes]]:
    files = sorted(
        path for one in folders for path in one.rglob("*") if path.suffix.lower() in SUFFIXES
    )
    random = np.random.default_rng(SEED)
    for number, path in enumerate(files):
        image = _on_white(path)
        for _ in range(count * (number + 1) // len(files) - count * number // len(files)):
            small = colour_thumbnail(_edited(image, random))
            yield *perceptual_hashes(luma(small)), quarter_colours(small)


def _on_white(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    white.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return white.convert("RGB")


def _edited(image: Image.Image, random: np.random.Generator) -> NDArray[np.uint8]:
    share = random.choice([0, 0, 0.01, 0.02, 0.05, 0.1]) / 2
    x, y = image.width * share, image.height * share
    size = [max(16, int(side * random.uniform(0.5, 1.5))) for side in image.size]
    small = image.resize(
        (size[0], size[1]), Image.Resampling.BILINEAR, (x, y, image.width - x, image.height - y)
    )
    out = io.BytesIO()
    ImageEnhance.Brightness(small).enhance(random.uniform(0.8, 1.2)).save(
        out, "JPEG", quality=int(random.uniform(30, 95))
    )
    return np.asarray(Image.open(out))


def pairs_at_each_radius(codes: Codes) -> Iterator[dict[str, object]]:
    """Whether the search gives the pairs of brute force."""
    pairs, far = brute_force(codes)
    for radius in range(MAX_RADIUS + 1):
        used = time.process_time()
        found = near_pairs(codes, radius)
        used = time.process_time() - used
        expected = pairs[far <= radius]
        same = np.array_equal(found, expected)
        yield {
            "radius_bits": radius,
            "pairs": len(expected),
            "same": same,
            "cpu_seconds": round(used, 2),
        }


def brute_force(codes: Codes) -> tuple[Indices, NDArray[np.uint8]]:
    """int64 (P, 2), sorted: all pairs i < j at most `MAX_RADIUS` apart, and their distances."""
    pairs, distances = [], []
    for start in range(0, len(codes), BLOCK):
        far = np.bitwise_count(codes[start : start + BLOCK, None] ^ codes[None, start:])
        i, j = np.nonzero(far <= MAX_RADIUS)
        later = i < j
        pairs.append(np.stack([i[later], j[later]], axis=1) + start)
        distances.append(far[i[later], j[later]])
    return np.concatenate(pairs), np.concatenate(distances)


def decisions_against_the_rule(phash: Codes, pdq: Codes, colours: Codes) -> dict[str, object]:
    """Whether `select` decides about each image as the rule applied to the images in turn."""
    count, random = len(phash), np.random.default_rng(SEED)
    order = random.permutation(count)
    names = [number.to_bytes(16, "big") for number in range(1, count + 1)]
    signatures = Signatures(
        phash=phash,
        pdq=pdq,
        colours=colours,
        sha256=np.array([name * 2 for name in names], "S32"),
        keys=np.array(names, "S16"),
    )
    used = time.process_time()
    every, thresholds = np.arange(count), Thresholds.of(DedupeRules())
    images = Images(
        rows=every,
        image=every,
        primary=every,
        signatures=signatures,
        order=order,
        groups=group_by_hash(signatures, order, thresholds),
    )
    decisions = Decisions.open(count)
    select(images, Constraints(), NearFiles(), decisions)
    found = decisions.winner
    used = time.process_time() - used
    expected = one_after_the_other(signatures, order)
    kept = int((expected == np.arange(count)).sum())
    same = bool(np.array_equal(found, expected))
    return {"decisions": count, "kept": kept, "same": same, "cpu_seconds": round(used, 2)}


def one_after_the_other(signatures: Signatures, order: Indices) -> Indices:
    """int64 (N,): the representative of each image, by the rule as it is written."""
    winner, left = np.full(len(order), -1), order
    phash, pdq, colours = signatures.phash[order], signatures.pdq[order], signatures.colours[order]
    while len(left):
        near = np.bitwise_count(phash ^ phash[0]) <= 4
        near[near] = np.bitwise_count(pdq[near] ^ pdq[0]).sum(axis=1) <= 31
        near[near] = colour_distance(colours[near], colours[:1]) <= DedupeRules().colour_levels
        winner[left[near]] = left[0]
        left, phash, pdq, colours = left[~near], phash[~near], pdq[~near], colours[~near]
    return winner


if __name__ == "__main__":
    main()
