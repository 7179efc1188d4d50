"""Makes the decoders and parsers load all that they load lazily, while files can still be opened.

The sandbox's forks can open no file, so that a library which imports a plug-in at its first image
of a kind, or reads a table at its first page of an encoding, would fail there.
"""

import io
import json
import warnings

from PIL import Image, ImageCms

from wenlan_data.extract.encoding import ENCODINGS
from wenlan_data.extract.pairs import load_word_lists
from wenlan_data.image.decode import decode_jpeg, decode_other
from wenlan_data.image.hash import grey_thumbnail, perceptual_hashes
from wenlan_data.image.jpeg import read_header
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.records import Drop
from wenlan_data.sandbox import page_codec


def warm_up_images() -> None:
    """Decodes, colour-converts, hashes and encodes a tiny image of each format, whole and
    truncated."""
    image = Image.linear_gradient("L").resize((64, 64))
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, mode in (
            ("PNG", "RGBA"),
            ("PNG", "P"),
            ("WEBP", "RGB"),
            ("GIF", "P"),
            ("AVIF", "RGB"),
        ):
            data = _encoded(image.convert(mode), kind, icc)
            decode_other(data)
            decode_other(data[:-40])
        for mode in ("RGB", "CMYK"):
            data = _encoded(image.convert(mode), "JPEG", icc)
            header = read_header(data)
            if not isinstance(header, Drop):
                decode_jpeg(data, header, min_side_px=64)
                decode_jpeg(data[:-40], header, min_side_px=64)
            stored = normalise(data, max_side_px=48, jpeg_quality=92)
            perceptual_hashes(grey_thumbnail(srgb_pixels(stored.jpeg)))


def warm_up_pages() -> None:
    """Parses a small page in each encoding, and loads the word lists that pages are read with."""
    load_word_lists()
    options = json.dumps(
        {
            "content_type": "",
            "url": "http://a.cn/",
            "source": "",
            "signals": [],
            "page_origin": None,
            "max_links": 9,
            "fallback_url": "",
        }
    ).encode()
    html = "<html><title>t</title><base href=/><a href=/b>b</a><img src=1.jpg alt=x>"
    for encoding in ENCODINGS:
        page = html.encode(encoding)
        page_codec.extract_pairs(options, page)
        page_codec.extract_explanation(options, page)
        # GBK bytes that no encoding is declared for: the detection by statistics runs too.
        page_codec.extract_links(options, page + b"\xb5\xc4\xd2\xbb" * 20)


def _encoded(image: Image.Image, kind: str, icc: bytes) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, icc_profile=icc)
    return out.getvalue()
