"""One photograph in every mode of the web, each with its expected pixels, computed
independently."""

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFilter, ImageOps

Pixels = NDArray[np.uint8]
P3_TO_XYZ = np.array(
    [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
"""Display-P3's primaries adapted to D50, column by column, as its ICC profile holds them."""
SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""EXIF orientation to Pillow's transposition that makes it from an upright image."""


@dataclass(frozen=True)
class Case:
    """A file and the sRGB pixels that a viewer shows."""

    name: str
    data: bytes
    wanted: Pixels


def cases(photo: Image.Image) -> Iterator[Case]:
    """Every case of an RGB photograph."""
    plain = np.asarray(photo)
    white = _on_white(photo)
    yield Case("RGB JPEG", _saved(photo), plain)
    yield Case("progressive", _saved(photo, progressive=True), plain)
    yield Case("grey JPEG", _saved(photo.convert("L")), _rgb(photo.convert("L")))
    cmyk = photo.convert("CMYK")
    yield Case("CMYK, Adobe", _saved(cmyk), _rgb(cmyk))
    yield Case("CMYK, no mark", _without_adobe(_saved(cmyk)), _rgb(cmyk))
    yield Case(
        "MPO", _saved(photo, "MPO", save_all=True, append_images=[ImageOps.invert(photo)]), plain
    )
    for orientation in range(1, 9):
        turned = photo if orientation == 1 else photo.transpose(Image.Transpose(TURNS[orientation]))
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield Case(f"EXIF {orientation}", _saved(turned, exif=exif), plain)
    p3 = profile(P3_TO_XYZ)
    yield Case("Display-P3 JPEG", _saved(photo, icc_profile=p3), from_p3(plain))
    yield Case("Display-P3 PNG", _saved(photo, "PNG", icc_profile=p3), from_p3(plain))
    yield Case("broken ICC", _saved(photo, icc_profile=b"no profile at all"), plain)
    yield Case("1 bit PNG", _saved(photo.convert("1"), "PNG"), _rgb(photo.convert("1")))
    yield Case("16 bit PNG", _saved(_sixteen(photo), "PNG"), _rgb(photo.convert("L")))
    yield Case("palette PNG", _saved(photo.quantize(64), "PNG"), _rgb(photo.quantize(64)))
    alpha = photo.copy()
    alpha.putalpha(_mask(photo.size))
    yield Case("RGBA PNG", _saved(alpha, "PNG"), white)
    grey = alpha.convert("LA")
    yield Case("LA PNG", _saved(grey, "PNG"), _composite(grey))
    yield Case("palette, alpha", _saved(alpha.quantize(64), "PNG"), _composite(alpha.quantize(64)))
    yield Case("RGBA WebP", _saved(alpha, "WEBP", lossless=True), white)
    others = [ImageOps.invert(photo)] * 2
    yield Case(
        "animated WebP",
        _saved(photo, "WEBP", save_all=True, append_images=others, quality=95),
        plain,
    )
    first = photo.quantize(128)
    moving = _saved(
        first, "GIF", save_all=True, append_images=[one.quantize(128) for one in others]
    )
    yield Case("animated GIF", moving, _rgb(first))
    yield Case("interlaced GIF", _saved(first, "GIF", interlace=1), _rgb(first))


def profile(to_xyz: NDArray[np.float64]) -> bytes:
    """sRGB's profile with other primaries."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True))
    for entry in range(132, 132 + 12 * int.from_bytes(made[128:132], "big"), 12):
        column = columns.get(bytes(made[entry : entry + 4]))
        if column is not None:
            offset = int.from_bytes(made[entry + 4 : entry + 8], "big")
            made[offset + 8 : offset + 20] = struct.pack(
                ">3i", *(round(value * 65536) for value in column)
            )
    return bytes(made)


def from_p3(pixels: Pixels) -> Pixels:
    """Display-P3 to sRGB by the definition: linear light, two matrices, clipping."""
    coded = pixels.astype(np.float64) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    light = np.clip(linear @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T, 0, 1)
    again = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    shown: Pixels = np.round(again * 255).astype(np.uint8)
    return shown


def difference(shown: Pixels, wanted: Pixels) -> NDArray[np.float64]:
    """CIEDE2000 of each pixel, the dots of JPEG and of palettes smoothed away; needs
    scikit-image."""
    from skimage import color

    distance: Callable[..., NDArray[np.float64]] = color.deltaE_ciede2000
    labs = [
        color.rgb2lab(Image.fromarray(one).filter(ImageFilter.BoxBlur(4)))
        for one in (shown, wanted)
    ]
    return distance(*labs)


def _saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    quality = {"quality": 95, "subsampling": 0} if kind in {"JPEG", "MPO"} else {}
    save: Callable[..., None] = image.save
    save(out, kind, **{**quality, **options})
    return out.getvalue()


def _rgb(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"))


def _mask(size: tuple[int, int]) -> Image.Image:
    return Image.linear_gradient("L").resize(size)


def _on_white(photo: Image.Image) -> Pixels:
    share = np.asarray(_mask(photo.size)).astype(np.float64)[..., None] / 255
    shown: Pixels = np.round(np.asarray(photo) * share + 255 * (1 - share)).astype(np.uint8)
    return shown


def _composite(image: Image.Image) -> Pixels:
    layers = np.asarray(image.convert("RGBA")).astype(np.float64)
    share = layers[..., 3:] / 255
    shown: Pixels = np.round(layers[..., :3] * share + 255 * (1 - share)).astype(np.uint8)
    return shown


def _sixteen(photo: Image.Image) -> Image.Image:
    grey = np.asarray(photo.convert("L")).astype("<u2")
    return Image.frombytes("I;16", photo.size, (grey * 257).tobytes())


def _without_adobe(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
