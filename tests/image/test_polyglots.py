"""Files of two formats at once, or of a wrong one: refused by magic number, or stored without the
other half."""

import io
import zipfile

import pytest
from PIL import Image

from wenlan_data.image.check import check_image
from wenlan_data.image.normalise import normalise
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.testing import make_image

RULES = ImageRules()
SCRIPT = b"<script>alert(document.cookie)</script>"


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("payload.js", "alert(1)")
    return out.getvalue()


def saved(kind: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1))).save(out, kind)
    return out.getvalue()


def gif_with_script() -> bytes:
    """`GIF89a/*...*/=1;alert(1)`: valid as a GIF and as JavaScript."""
    data = bytearray(make_image(1, kind="GIF"))
    return bytes(data) + b"*/=1;alert(1)//"


def jpeg_with_comment() -> bytes:
    data = make_image(1)
    body = SCRIPT + b"<!--"
    return data[:2] + b"\xff\xfe" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


@pytest.mark.parametrize(
    ("data", "drop"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(3000), Drop("not_image", "eps")),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'>" + SCRIPT + b" " * 3000,
            Drop("not_image", "svg"),
        ),
        (b"%PDF-1.7\n" + bytes(3000), Drop("not_image", "pdf")),
        (saved("TIFF"), Drop("format", "tiff")),
        (saved("ICO"), Drop("format", "ico")),
        (saved("BMP"), Drop("format", "bmp")),
        (b"\0\0\0\x18ftypmp42" + bytes(3000), Drop("not_image", "video")),
        (b'{"image": "' + b"x" * 3000, Drop("not_image", "json")),
    ],
)
def test_other_formats_never_reach_a_decoder(data: bytes, drop: Drop) -> None:
    assert check_image(data, RULES) == drop


@pytest.mark.parametrize(
    "data",
    [
        make_image(1) + archive(),
        make_image(1) + b"\n<html><body>" + SCRIPT,
        jpeg_with_comment(),
        gif_with_script(),
        make_image(1, kind="PNG") + archive(),
        make_image(1, kind="WEBP") + SCRIPT,
    ],
)
def test_the_stored_image_ends_at_its_end_marker_and_holds_nothing_else(data: bytes) -> None:
    assert isinstance(check_image(data, RULES), ImageFacts)
    stored = normalise(data, max_side_px=1024, jpeg_quality=92).jpeg
    assert stored.endswith(b"\xff\xd9")
    for foreign in (b"alert", b"<script", b"PK\x03\x04", b"<html"):
        assert foreign not in stored
    again = normalise(stored, max_side_px=1024, jpeg_quality=92)
    assert normalise(stored + b"trailing", max_side_px=1024, jpeg_quality=92) == again
