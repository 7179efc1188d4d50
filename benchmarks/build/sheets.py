"""Draws the contact sheets of `docs/regions.md`: every image mode, and every detector on the same
six images.

python -m benchmarks.build.sheets --weights yolox_nano.onnx --out docs/images
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont

from tests.image.modes import cases
from wenlan_data.detect.regions import DetectionInput, region_finder
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.recipe import DetectRules
from wenlan_data.report.detection_preview import draw_regions

CELL_PX = 190
TITLE_PX = 16


def sheet(rows: Sequence[Sequence[tuple[str, Image.Image]]], cell: tuple[int, int]) -> Image.Image:
    """Draws images with titles, row by row, each fitted into a cell of (width, height) pixels."""
    width, height = cell
    whole = Image.new(
        "RGB", (width * max(map(len, rows)), (height + TITLE_PX) * len(rows)), "white"
    )
    draw = ImageDraw.Draw(whole)
    font = ImageFont.load_default(12)
    for down, row in enumerate(rows):
        for across, (title, image) in enumerate(row):
            fitted = image.copy()
            fitted.thumbnail((width - 4, height - 4))
            place = (across * width, down * (height + TITLE_PX))
            draw.text((place[0] + 2, place[1] + 1), title, fill="black", font=font)
            whole.paste(fitted, (place[0] + 2, place[1] + TITLE_PX))
    return whole


def modes() -> Image.Image:
    """Draws the stored form of each mode of one photograph, and below it a reference conversion."""
    photo = Image.fromarray(skimage.data.chelsea()).resize((300, 200))  # type: ignore[no-untyped-call]
    made = [
        (case, srgb_pixels(normalise(case.data, max_side_px=1024, jpeg_quality=92).jpeg))
        for case in cases(photo)
    ]
    rows = []
    for start in range(0, len(made), 7):
        some = made[start : start + 7]
        rows.append([(case.name, Image.fromarray(shown)) for case, shown in some])
        rows.append([("  reference", Image.fromarray(case.wanted)) for case, _ in some])
    return sheet(rows, (150, 100))


def detectors(weights: str) -> Image.Image:
    """Draws six images per row, one row per detector, with at most 36 regions each."""
    names = ("astronaut", "chelsea", "coffee", "stereo_motorcycle")
    loaded = [getattr(skimage.data, name)() for name in names]
    scenes = [one[0] if isinstance(one, tuple) else one for one in loaded] + list(
        sklearn.datasets.load_sample_images().images
    )
    yolox = {"detector": "yolox", "weights": weights}
    rows = []
    for title, settings in {
        "grid": {"detector": "grid"},
        "yolox (nano)": yolox,
        "proposals, first 10": {"detector": "proposals", "max_regions": 10},
        "mix, 36": {"detector": "mix", "of": [yolox, {"detector": "proposals"}]},
    }.items():
        rules = DetectRules.model_validate(settings)
        find, _ = region_finder(rules.load(), rules.max_regions)
        row = []
        for scene in scenes:
            stored = _stored(np.asarray(scene))
            (regions,) = find([stored])
            row.append(
                (
                    f"{title}: {len(regions) - 1}",
                    Image.open(io.BytesIO(draw_regions(stored, regions))),
                )
            )
        rows.append(row)
    return sheet(rows, (CELL_PX, CELL_PX))


def _stored(scene: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> DetectionInput:
    out = io.BytesIO()
    Image.fromarray(scene).save(out, "JPEG", quality=92)
    stored = normalise(out.getvalue(), max_side_px=480, jpeg_quality=92)
    return DetectionInput(jpeg=stored.jpeg, width=stored.width, height=stored.height)


def main() -> None:
    """Writes `modes.jpg` and `detectors.jpg`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, made in (("modes", modes()), ("detectors", detectors(options.weights))):
        made.save(options.out / f"{name}.jpg", quality=72, optimize=True)


if __name__ == "__main__":
    main()
