"""A picture with its regions drawn into it, for the eye."""

import io
from collections.abc import Sequence
from pathlib import Path

import yaml
from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from wenlan_data.detect.regions import DetectionInput
from wenlan_data.errors import DamageError, RecipeError, UsageError, os_errors
from wenlan_data.image.rules import ImageRules
from wenlan_data.recipe import DetectRules
from wenlan_data.records import Drop, Region
from wenlan_data.sandbox.client import check_image, decode_stored, normalise, thumbnail_jpeg
from wenlan_data.settings import describe

_ANY_PICTURE = ImageRules(
    formats=("jpeg", "png", "webp", "gif", "avif"),
    min_side_px=1,
    max_aspect=20_000,
    min_bytes=0,
    min_contrast=0,
    min_entropy_bits=0,
    max_icon_side_px=0,
)
_NAMELESS = {"cell", "proposal", "region"}
_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")


def rules_of(
    detector: str, weights: str | None, device: str, settings: Sequence[str]
) -> DetectRules:
    """The `detect` part of a recipe from the words of a command line. Raises `RecipeError`."""
    value: dict[str, object] = {"detector": detector, "device": device}
    if weights is not None:
        value["weights"] = weights
    for setting in settings:
        key, sign, raw = setting.partition("=")
        if not sign:
            raise RecipeError(f"--set {setting}: write it as key=value, such as confidence=0.5")
        try:
            value[key] = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {setting}: the value is not valid YAML") from error
    try:
        rules = DetectRules.model_validate(value)
    except ValidationError as error:
        raise RecipeError(f"--detector {detector}: {describe(error)}") from error
    if getattr(rules.load(), "from_source", False):
        raise RecipeError(
            f"--detector {detector}: its regions come with a source's records, and a picture alone has none"
        )
    return rules


def looked_at(path: Path, max_side_px: int) -> DetectionInput:
    """The file's picture as a shard would store it. Raises `UsageError` where it is none."""
    data = _bytes_of(path)
    found = check_image(data, _ANY_PICTURE)
    if isinstance(found, Drop):
        reason = f"{found.reason} {found.detail}".strip()
        raise UsageError(
            f"{path}: no picture to look at ({reason}): give a JPEG, PNG, WebP, GIF or AVIF"
        )
    stored = normalise(data, max_side_px=max_side_px, jpeg_quality=92)
    shown = decode_stored(stored.jpeg)
    if isinstance(shown, Drop):
        raise UsageError(
            f"{path}: this picture cannot be decoded ({shown.reason} {shown.detail}): save it anew"
        )
    return DetectionInput(jpeg=stored.jpeg, width=stored.width, height=stored.height, pixels=shown)


def check_files(paths: Sequence[Path]) -> None:
    """Raise `UsageError` for the first that is no file, before anything is written."""
    for path in paths:
        _check_file(path)


def _bytes_of(path: Path) -> bytes:
    _check_file(path)
    with os_errors(path):
        return path.read_bytes()


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a folder: name the pictures in it, such as {path}/*.jpg")
    if not path.exists():
        raise UsageError(f"{path}: there is no such file: check its path")


def drawing(picture: DetectionInput, regions: Sequence[Region]) -> bytes:
    """A JPEG of the picture with a frame for each region but the whole image, the best on top."""
    # Encoded anew by the decoding process, in sRGB.
    shown = thumbnail_jpeg(picture.jpeg, side_px=max(picture.width, picture.height), quality=95)
    if shown is None:
        raise DamageError("a stored picture cannot be decoded to be drawn: its bytes changed")
    image = Image.open(io.BytesIO(shown))
    draw = ImageDraw.Draw(image)
    line_px = max(2, round(max(image.size) / 300))
    font = ImageFont.load_default(max(10, line_px * 6))
    kinds = sorted({region.label for region in regions})
    for place, region in reversed(
        [*enumerate((one for one in regions if one.label != "image"), start=1)]
    ):
        colour = _COLOURS[kinds.index(region.label) % len(_COLOURS)]
        x1, y1, x2, y2 = region.box_xyxy
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour, width=line_px)
        # What has no name says it by its box.
        if region.label not in _NAMELESS:
            # The font that Pillow brings along has no Chinese characters.
            name = region.label if region.label.isascii() else str(place)
            words = f"{name} {region.score:.2f}"
            box = draw.textbbox((x1 + line_px, y1 + line_px), words, font=font)
            draw.rectangle(box, fill=colour)
            draw.text((x1 + line_px, y1 + line_px), words, fill="white", font=font)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def said(regions: Sequence[Region]) -> str:
    """How many regions there are, and those that have a name, in order."""
    found = [one for one in regions if one.label != "image"]
    named = [
        f"{place} {one.label} {one.score:.2f}"
        for place, one in enumerate(found, start=1)
        if one.label not in _NAMELESS
    ]
    count = f"{len(found)} region{'' if len(found) == 1 else 's'} and the whole image"
    return f"{count} ({', '.join(named)})" if named else count


def write_new(path: Path, data: bytes) -> Path:
    """Write a file that is not there yet, in a folder that is made for it. Raises `UsageError` where it is there."""
    with os_errors(path):
        if path.parent.is_file():
            raise UsageError(f"{path.parent}: is a file: name a folder for the drawings with --out")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError as error:
            raise UsageError(
                f"{path}: this file exists: move it, or choose another folder with --out"
            ) from error
    return path
