"""The images of one page, as far as they lie beside its file or inside it, as thumbnails."""

import base64
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wenlan_data.extract.explain import PageExplanation
from wenlan_data.records import Drop
from wenlan_data.report.html import QUALITY, SIDE_PX
from wenlan_data.sandbox.client import thumbnail_jpeg
from wenlan_data.sandbox.pages import read_inline_images
from wenlan_data.web.limits import DEFAULTS

MAX_THUMBNAILS = 200


def page_thumbnails(
    page: PageExplanation, payload: bytes, content_type: str, file: Path | None
) -> dict[int, str]:
    """Returns a `data:` URI for the images of a page that can be read without a request, by their
    places among the images.

    The sandbox decodes and encodes them again, so that no byte of an image reaches the browser.
    """
    urls = [image.candidate.url for image in page.images]
    inline = _inline_images(urls, payload, content_type)
    found: dict[int, str] = {}
    for number, url in enumerate(urls):
        if len(found) == MAX_THUMBNAILS:
            break
        data = inline.get(url) or _file_bytes(url, page.url, file)
        jpeg = thumbnail_jpeg(data, side_px=SIDE_PX, quality=QUALITY) if data else None
        if jpeg:
            found[number] = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    return found


def _inline_images(urls: Sequence[str], payload: bytes, content_type: str) -> dict[str, bytes]:
    """The images inside the page, by their names; no more than may become thumbnails."""
    names = list(dict.fromkeys(url for url in urls if url.startswith("data:")))[:MAX_THUMBNAILS]
    if not names:
        return {}
    images = read_inline_images(payload, content_type=content_type, names=names)
    return {
        name: data for name, data in zip(names, images, strict=True) if not isinstance(data, Drop)
    }


def _file_bytes(url: str, page_url: str, file: Path | None) -> bytes:
    path = local_image(url, page_url, file) if file is not None else None
    if path is None:
        return b""
    try:
        with path.open("rb") as stream:
            return stream.read(DEFAULTS.max_image_bytes)
    except OSError:
        return b""  # A page without one image is better than no page.


def local_image(url: str, page_url: str, file: Path) -> Path | None:
    """Returns the file of an image of a site that is stored in a folder, beside the page's `file`.

    The folder of the site is found by the folders' names, which are those in the page's URL. A page
    cannot name a file outside of it.
    """
    image, page = urlsplit(url), urlsplit(page_url)
    if (image.scheme, image.netloc) != (page.scheme, page.netloc):
        return None
    try:
        root = file.resolve().parent
        inner = [unquote(name) for name in page.path.split("/")[1:-1]]
        while inner and root.name == inner[-1]:
            root, inner = root.parent, inner[:-1]
        prefix = "".join(f"/{name}" for name in inner)
        path = unquote(image.path)
        if not path.startswith(f"{prefix}/"):
            return None
        found = (root / path.removeprefix(f"{prefix}/").lstrip("/")).resolve()
        return found if found.is_relative_to(root) and found.is_file() else None
    except (OSError, ValueError):
        return None
