import io

import pytest
from PIL import Image

from wenlan_data.image.sniff import looks_like, other_image, sniff


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif"])
def test_the_four_formats_are_known_by_their_first_bytes(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, name)
    assert sniff(out.getvalue()) == name
    assert sniff(out.getvalue()[:16]) == name


@pytest.mark.parametrize("name", ["bmp", "tiff", "ico"])
def test_other_images_are_named_but_not_taken(name: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, name)
    assert sniff(out.getvalue()) == ""
    assert other_image(out.getvalue()) == name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "html"),
        (b"\xef\xbb\xbf\n<!-- moved --><HTML>", "html"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "svg"),
        (b"<svg><script>alert(1)</script></svg>", "svg"),
        (b"%PDF-1.7", "pdf"),
        (b'{"error": 404}', "json"),
        (b"\0\0\0\x18ftypmp42", "video"),
        (b"PK\x03\x04", "zip"),
        (b"", "unknown"),
        ("你好".encode(), "unknown"),
    ],
)
def test_bytes_that_are_no_image_are_named(data: bytes, name: str) -> None:
    assert sniff(data) == other_image(data) == ""
    assert looks_like(data) == name
