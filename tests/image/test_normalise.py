import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from wenlan_data.errors import DamageError
from wenlan_data.image import decode
from wenlan_data.image.normalise import StoredJpeg, normalise, srgb_pixels
from wenlan_data.testing import make_image

INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def photo(seed: int = 7, width: int = 320, height: int = 240) -> Image.Image:
    return Image.open(io.BytesIO(make_image(seed, width=width, height=height, quality=95))).convert(
        "RGB"
    )


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def stored(data: bytes, max_side_px: int = 1024) -> StoredJpeg:
    return normalise(data, max_side_px=max_side_px, jpeg_quality=92)


def array(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


def differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(np.int16) - other).mean())


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}]
)
def test_a_jpeg_passes_with_every_pixel_bit(mode: str, options: dict[str, Any]) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[2] = (39.0, 54.0, 26.0)
    data = saved(photo().convert(mode), exif=exif, comment="拍摄者", quality=90, **options)
    found = stored(data + b"trailing")
    assert np.array_equal(array(found.jpeg), array(data))
    assert (found.width, found.height) == (320, 240)
    assert len(found.jpeg) < len(data)
    assert not Image.open(io.BytesIO(found.jpeg)).getexif()
    assert stored(found.jpeg).jpeg == found.jpeg


def test_rgb_components_marked_by_adobe_keep_their_colours() -> None:
    data = saved(photo(), keep_rgb=True, quality=90)
    assert np.array_equal(array(stored(data).jpeg), array(data))


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("max_side_px", [1024, 100])
def test_a_turned_image_is_stored_upright(orientation: int, max_side_px: int) -> None:
    upright = photo(width=300, height=200)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = stored(
        saved(upright.transpose(INVERSE[orientation]), exif=exif, quality=95), max_side_px
    )
    wanted = upright if max_side_px > 300 else upright.resize((100, 67), Image.Resampling.BOX)
    assert differ(array(found.jpeg), np.asarray(wanted)) < 6
    assert (found.width, found.height) == wanted.size
    assert not Image.open(io.BytesIO(found.jpeg)).getexif()


@pytest.mark.parametrize(
    ("size", "wanted"), [((1600, 1200), (400, 300)), ((401, 1), (400, 1)), ((370, 999), (148, 400))]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_image_is_scaled_to_its_longer_side(
    kind: str, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    image = photo(width=size[0], height=size[1])
    found = stored(saved(image, kind), 400)
    assert (found.width, found.height) == wanted == Image.open(io.BytesIO(found.jpeg)).size
    assert differ(array(found.jpeg), np.asarray(image.resize(wanted, Image.Resampling.BOX))) < 8


def test_alpha_lies_on_white() -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 32, 64))
    palette = image.quantize(8)
    for data in (
        saved(image, "PNG"),
        saved(image, "WEBP", lossless=True),
        saved(palette, "PNG"),
        saved(image, "GIF"),
    ):
        shown = array(stored(data).jpeg)
        assert np.abs(shown[32, 60].astype(int) - 255).max() <= 4
        assert np.abs(shown[32, 4].astype(int) - (0, 0, 255)).max() <= 6


def test_half_transparent_grey_is_blended() -> None:
    shown = array(stored(saved(Image.new("LA", (64, 64), (0, 128)), "PNG")).jpeg)
    assert np.abs(shown.astype(int) - 127).max() <= 2


def test_sixteen_bits_keep_their_high_byte() -> None:
    image = Image.frombytes("I;16", (64, 64), b"\x34\x80" * 64 * 64)
    assert np.abs(array(stored(saved(image, "PNG")).jpeg).astype(int) - 128).max() <= 1


def test_cmyk_becomes_rgb() -> None:
    image = photo().convert("CMYK")
    found = array(stored(saved(image, quality=95)).jpeg)
    assert differ(found, np.asarray(image.convert("RGB"))) < 6


def test_a_profile_stays_on_a_jpeg_and_is_applied_to_a_png() -> None:
    linear = linear_profile()
    jpeg = saved(Image.new("RGB", (64, 64), (55, 55, 55)), icc_profile=linear, quality=95)
    assert Image.open(io.BytesIO(stored(jpeg).jpeg)).info["icc_profile"] == linear
    png = stored(saved(Image.new("RGB", (64, 64), (55, 55, 55)), "PNG", icc_profile=linear)).jpeg
    assert "icc_profile" not in Image.open(io.BytesIO(png)).info
    # 55/255 of linear light is 127 in sRGB.
    for shown in (srgb_pixels(jpeg), srgb_pixels(png)):
        assert np.abs(shown.astype(int) - 127).max() <= 3


def linear_profile() -> bytes:
    """sRGB's profile with its three tone curves replaced by the identity."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(profile[128:132], "big")
    for entry in range(132, 132 + 12 * tags, 12):
        if bytes(profile[entry : entry + 4]) in {b"rTRC", b"gTRC", b"bTRC"}:
            offset = int.from_bytes(profile[entry + 4 : entry + 8], "big")
            profile[offset : offset + 12] = b"curv" + bytes(8)
    return bytes(profile)


@pytest.mark.parametrize("icc", [b"broken", bytes(200)])
def test_a_broken_profile_is_ignored(icc: bytes) -> None:
    image = photo()
    assert differ(srgb_pixels(saved(image, icc_profile=icc, quality=95)), np.asarray(image)) < 6
    assert differ(array(stored(saved(image, "PNG", icc_profile=icc)).jpeg), np.asarray(image)) < 6


def test_the_same_bytes_give_the_same_bytes() -> None:
    for data in (
        saved(photo(), "PNG"),
        saved(photo(), "GIF"),
        make_image(1, width=1500, height=1000),
    ):
        assert stored(data) == stored(bytes(bytearray(data)))


def test_pixels_of_a_grey_jpeg_have_three_channels() -> None:
    grey = photo().convert("L")
    found = srgb_pixels(saved(grey, quality=95))
    assert found.shape == (240, 320, 3)
    assert found.dtype == np.uint8
    assert differ(found[..., 0], np.asarray(grey)) < 3


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", make_image(1)[:1000], saved(photo(), "PNG")[:1000]]
)
def test_bytes_that_changed_since_raise_damage_error(data: bytes) -> None:
    with pytest.raises(DamageError, match="cannot be decoded"):
        normalise(data, max_side_px=100, jpeg_quality=92)
    with pytest.raises(DamageError, match="cannot be decoded"):
        srgb_pixels(data)


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1"])
def test_a_large_image_flattened_by_strips_is_the_same(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photo(width=301, height=203)
    image.putalpha(image.convert("L"))
    made = image.convert(mode) if mode != "P" else image.quantize(64)
    for options in ({}, {"icc_profile": linear_profile()}):
        data = saved(made, "PNG", **options)
        whole = decode.decode_other(data)
        monkeypatch.setattr(decode, "_STRIP_PIXELS", 7_000)
        strips = decode.decode_other(data)
        assert isinstance(whole, np.ndarray)
        assert isinstance(strips, np.ndarray)
        assert np.array_equal(strips, whole)
        monkeypatch.undo()
