"""Makes every library of the decoders load all that it loads lazily, before files can no longer be opened."""

import io
import warnings

from PIL import Image, ImageCms

from wenlan_data.image.decode import decode_jpeg, decode_other
from wenlan_data.image.hash import grey_thumbnail, perceptual_hashes
from wenlan_data.image.jpeg import read_header
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.records import Drop


def warm_up() -> None:
    """Decode, colour-convert, hash and encode a tiny picture of each format."""
    small = Image.linear_gradient("L").resize((64, 64))
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
            out = io.BytesIO()
            small.convert(mode).save(out, kind, icc_profile=icc)
            decode_other(out.getvalue())
            decode_other(out.getvalue()[:-40])
        for mode in ("RGB", "CMYK"):
            out = io.BytesIO()
            small.convert(mode).save(out, "JPEG", icc_profile=icc)
            header = read_header(out.getvalue())
            if not isinstance(header, Drop):
                decode_jpeg(out.getvalue(), header, min_side_px=64)
                decode_jpeg(out.getvalue()[:-40], header, min_side_px=64)
            perceptual_hashes(
                grey_thumbnail(
                    srgb_pixels(normalise(out.getvalue(), max_side_px=48, jpeg_quality=92).jpeg)
                )
            )
