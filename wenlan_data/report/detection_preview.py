"""Draws the regions that a detector finds in an image, for `wenlan-data detect`."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from wenlan_data.detect.regions import DetectionInput
from wenlan_data.errors import DamageError, RecipeError, UsageError, os_errors
from wenlan_data.files import read_bounded, write_new
from wenlan_data.image.rules import ImageRules
from wenlan_data.recipe import DetectRules
from wenlan_data.records import Drop, Region
from wenlan_data.sandbox.client import check_image, decode_stored, normalise, thumbnail_jpeg
from wenlan_data.settings import describe, parse_yaml
from wenlan_data.web.limits import DEFAULTS

_ANY_IMAGE = ImageRules(
    formats=("jpeg", "png", "webp", "gif", "avif"),
    min_side_px=1,
    max_aspect=20_000,
    min_bytes=0,
    min_contrast=0,
    min_entropy_bits=0,
    max_icon_side_px=0,
)
_CLASSLESS = {"cell", "proposal", "region"}
"""Labels of regions without a class; their boxes are drawn without text."""
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


def parse_detect_rules(
    detector: str, weights: str | None, device: str, settings: Sequence[str]
) -> DetectRules:
    """Returns the `detect` part of a recipe from command-line values. Raises `RecipeError`."""
    value: dict[str, object] = {"detector": detector, "device": device}
    if weights is not None:
        value["weights"] = weights
    for setting in settings:
        key, sign, raw = setting.partition("=")
        if not sign:
            raise RecipeError(f"--set {setting}: write it as key=value, such as confidence=0.5")
        try:
            value[key] = parse_yaml(raw)
        except ValueError as error:
            raise RecipeError(f"--set {setting}: the value is not valid YAML") from error
    try:
        rules = DetectRules.model_validate(value)
    except ValidationError as error:
        raise RecipeError(f"--detector {detector}: {describe(error)}") from error
    if rules.load().from_source:
        raise RecipeError(
            f"--detector {detector}: its regions come from a source, and an image file has none: "
            "name another detector"
        )
    return rules


def load_stored_image(path: Path, max_side_px: int) -> DetectionInput:
    """Returns the image of a file as a shard would store it.

    Raises `UsageError` for a file that is not an image.
    """
    data = _bytes_of(path)
    found = check_image(data, _ANY_IMAGE)
    if isinstance(found, Drop):
        raise UsageError(
            f"{path}: no usable image ({found.in_words}): give a JPEG, PNG, WebP, GIF or AVIF"
        )
    stored = normalise(data, max_side_px=max_side_px, jpeg_quality=92)
    decoded = decode_stored(stored.jpeg)
    if isinstance(decoded, Drop):
        raise UsageError(
            f"{path}: this image cannot be decoded ({decoded.in_words}): export it again"
        )
    return DetectionInput(
        jpeg=stored.jpeg, width=stored.width, height=stored.height, pixels=decoded
    )


def check_files(paths: Sequence[Path]) -> None:
    """Raises `UsageError` for the first path that is not a file, before anything is written."""
    for path in paths:
        _check_file(path)


def _bytes_of(path: Path) -> bytes:
    _check_file(path)
    with os_errors(path):
        return read_bounded(path, DEFAULTS.max_image_bytes)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a folder: name the images in it, such as {path}/*.jpg")
    if not path.exists():
        raise UsageError(f"{path}: no such file: check the path")


def draw_regions(image: DetectionInput, regions: Sequence[Region]) -> bytes:
    """Returns a JPEG with a frame around every region but the whole image, the best one on top.

    A label that is not ASCII is drawn as its number in the list, because the font that Pillow
    ships has no Chinese characters.
    """
    # The sandbox decodes and encodes it, in sRGB.
    jpeg = thumbnail_jpeg(image.jpeg, side_px=max(image.width, image.height), quality=95)
    if jpeg is None:
        raise DamageError("a stored image cannot be decoded to be drawn: its bytes changed")
    canvas = Image.open(io.BytesIO(jpeg))
    draw = ImageDraw.Draw(canvas)
    line_px = max(2, round(max(canvas.size) / 300))
    font = ImageFont.load_default(max(10, line_px * 6))
    labels = sorted({region.label for region in regions})
    numbered = [*enumerate(_partial(regions), start=1)]
    for number, region in reversed(numbered):
        colour = _COLOURS[labels.index(region.label) % len(_COLOURS)]
        x1, y1, x2, y2 = region.box_xyxy
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=line_px)
        if region.label not in _CLASSLESS:
            name = region.label if region.label.isascii() else str(number)
            text = f"{name} {region.score:.2f}"
            box = draw.textbbox((x1 + line_px, y1 + line_px), text, font=font)
            draw.rectangle(box, fill=colour)
            draw.text((x1 + line_px, y1 + line_px), text, fill="white", font=font)
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=90)
    return out.getvalue()


def describe_regions(regions: Sequence[Region]) -> str:
    """Returns the number of regions, and the labels and scores of those with a class."""
    partial = _partial(regions)
    classified = [
        f"{number} {region.label} {region.score:.2f}"
        for number, region in enumerate(partial, start=1)
        if region.label not in _CLASSLESS
    ]
    count = f"{len(partial)} region{'' if len(partial) == 1 else 's'} and the whole image"
    return f"{count} ({', '.join(classified)})" if classified else count


def _partial(regions: Sequence[Region]) -> list[Region]:
    return [region for region in regions if region.label != "image"]


def write_drawing(path: Path, jpeg: bytes) -> Path:
    """Writes a new file, and creates its folder. Raises `UsageError` if the file exists."""
    with os_errors(path):
        if path.parent.is_file():
            raise UsageError(f"{path.parent}: is a file: name a folder for the drawings with --out")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_new(path, jpeg)
        except FileExistsError as error:
            raise UsageError(
                f"{path}: this file exists: move it, or choose another folder with --out"
            ) from error
    return path
