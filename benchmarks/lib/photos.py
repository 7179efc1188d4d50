"""Generates the images that the benchmarks read, all different: JPEGs of 800x600 pixels, about 80
kB.

python -m benchmarks.lib.photos --images 20000 --out bench-out/photos
"""

import argparse
import multiprocessing
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

WIDTH_PX = 800
HEIGHT_PX = 600
QUALITY = 85
COARSE_OCTAVES = 5
FINE_NOISE = 4.2
"""Standard deviation of the grain, in grey levels; with `QUALITY` it sets the size of about 80
kB."""


def photo_name(index: int) -> str:
    """Returns the path of image `index` below the root: a thousand images per folder."""
    return f"{index // 1000:03d}/{index:06d}.jpg"


def make_photo(index: int) -> bytes:
    """Returns the JPEG of image `index`: clouds of colour, and grain with the falling spectrum of a
    photograph.

    Depends on `index` alone. All images differ in their coarsest shapes, so none are
    near-duplicates.
    """
    random = np.random.default_rng(index)
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), 128, np.float32)
    for octave in range(COARSE_OCTAVES):
        shape = (3 << octave, 4 << octave, 3)
        cells = random.standard_normal(shape, dtype=np.float32) * (52 / 1.7**octave)
        canvas += cv2.resize(cells, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    grain = random.standard_normal((HEIGHT_PX, WIDTH_PX, 1), dtype=np.float32) * FINE_NOISE
    pixels = np.clip(canvas + grain, 0, 255).astype(np.uint8)
    return bytes(
        simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality=QUALITY, colorsubsampling="420"
        )
    )


def _write(root: Path, index: int) -> int:
    path = root / photo_name(index)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        partly = path.with_suffix(".part")
        partly.write_bytes(make_photo(index))
        partly.rename(path)
    return path.stat().st_size


def make_photos(root: Path, images: int, processes: int = 2) -> int:
    """Writes those of the first `images` images that are missing under `root`.

    Returns the total size in bytes.
    """
    with multiprocessing.Pool(processes) as pool:
        return sum(pool.imap_unordered(partial(_write, root), range(images), chunksize=100))


def main() -> None:
    """Generates the images and prints their size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("bench-out/photos"))
    options = parser.parse_args()
    size_bytes = make_photos(options.out, options.images)
    print(
        f"{options.images} images in {options.out}, "
        f"{size_bytes / max(options.images, 1):,.0f} bytes each"
    )


if __name__ == "__main__":
    main()
