"""How far the hashes of edited copies lie from their originals, for several definitions of the
thumbnail.

    python -m benchmarks.dedupe.hash_stability FOLDER...  # default: the photos that scikit-image and scikit-learn ship

One JSON line: for each definition (side of the thumbnail, least side of the decoded image) and
kind of edit, mean and maximum of the pHash and PDQ distances, and the share found at pHash 4 and
PDQ 31. `recipes`: the same between the hashes of one file under a recipe that stores it unchanged
and under one that stores it 512 px long.
"""

import io
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pdqhash
import simplejpeg
from PIL import Image

from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.npy import Bools, Indices
from wenlan_data.records import ImageFacts

DEFINITIONS = ((128, 128), (64, 64), (64, 128), (96, 96))
LONGEST_PX = 1600
STORED_PX = 512
SMALLEST_PX = 200


def main() -> None:
    """Hash all, print the line."""
    folders = [Path(word) for word in sys.argv[1:]] or list(_shipped())
    originals = list(_photos(folders))
    result = {"photos": len(originals), "definitions": {}, "recipes": _between_recipes(originals)}
    edited = [dict(_edits(photo)) for photo in originals]
    for side, decoded_side in DEFINITIONS:
        result["definitions"][f"{side}/{decoded_side}"] = _distances(  # type: ignore[index]
            originals, edited, side, decoded_side
        )
    print(json.dumps(result))


def _distances(
    originals: list[Image.Image], edited: list[dict[str, bytes]], side: int, decoded_side: int
) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for photo, edits in zip(originals, edited, strict=True):
        phash, pdq = _hashes(_jpeg(photo, 95), side, decoded_side)
        for name, data in edits.items():
            other_phash, other_pdq = _hashes(data, side, decoded_side)
            found.setdefault(name, []).append(
                (int((phash != other_phash).sum()), int((pdq != other_pdq).sum()))
            )
    return {name: _figures(np.array(pairs)) for name, pairs in found.items()}


def _between_recipes(originals: list[Image.Image]) -> dict[str, float]:
    unchanged = ImageRules(max_side_px=LONGEST_PX, max_aspect=1e6)
    smaller = ImageRules(max_side_px=STORED_PX, max_aspect=1e6)
    pairs = []
    for photo in originals:
        data = _jpeg(photo, 95)
        first, second = check_image(data, unchanged), check_image(data, smaller)
        if (
            max(photo.size) > STORED_PX
            and isinstance(first, ImageFacts)
            and isinstance(second, ImageFacts)
        ):
            pdq = int.from_bytes(first.pdq) ^ int.from_bytes(second.pdq)
            pairs.append(((first.phash ^ second.phash).bit_count(), pdq.bit_count()))
    return {"photos": len(pairs), **_figures(np.array(pairs))}


def _figures(pairs: Indices) -> dict[str, float]:
    phash, pdq = pairs.T
    return {
        "phash_mean": round(float(phash.mean()), 2),
        "phash_max": int(phash.max()),
        "pdq_mean": round(float(pdq.mean()), 2),
        "pdq_max": int(pdq.max()),
        "found": round(float(((phash <= 4) & (pdq <= 31)).mean()), 4),
    }


def _hashes(data: bytes, side: int, decoded_side: int) -> tuple[Bools, Bools]:
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    factor = next((step for step in (8, 4, 2) if min(width, height) // step >= decoded_side), 1)
    grey = simplejpeg.decode_jpeg(
        data, "GRAY", min_width=-(-width // factor), min_height=-(-height // factor)
    )
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    pdq, _quality = pdqhash.compute(cv2.cvtColor(small, cv2.COLOR_GRAY2RGB))
    return imagehash.phash(Image.fromarray(small)).hash.ravel(), pdq.astype(bool)


def _edits(photo: Image.Image) -> Iterator[tuple[str, bytes]]:
    width, height = photo.size
    for quality in (90, 40, 15):
        yield f"quality {quality}", _jpeg(photo, quality)
    for scale in (0.75, 0.5, 0.33):
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        if min(size) >= 100:
            yield f"scale {scale}", _jpeg(photo.resize(size, Image.Resampling.LANCZOS), 85)
    bright = np.clip(np.asarray(photo, dtype=np.float32) * 1.12 + 6, 0, 255).astype(np.uint8)
    yield "brighter", _jpeg(Image.fromarray(bright), 88)


def _jpeg(photo: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _photos(folders: list[Path]) -> Iterator[Image.Image]:
    for path in sorted(path for folder in folders for path in folder.rglob("*.jp*g")):
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
        if min(photo.size) >= SMALLEST_PX:
            photo.thumbnail((LONGEST_PX, LONGEST_PX))
            yield photo


def _shipped() -> Iterator[Path]:
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec and spec.origin:
            yield Path(spec.origin).parent / folder


if __name__ == "__main__":
    main()
