"""Chooses the URL of an image: the largest of `srcset`, lazy attributes and links to full size."""

import re
from collections.abc import Mapping

from wenlan_data.extract.html import Element, attribute

LAZY_ATTRIBUTES = (
    "data-original", "data-src", "data-lazy-src", "data-lazyload", "data-lazy",
    "data-actualsrc", "data-actual-src", "data-echo", "data-url", "data-ks-lazyload",
    "data-ks-lazyload-src", "data-croporisrc", "data-backsrc", "data-original-src",
    "data-image-src", "data-img", "data-imgsrc", "data-real-src", "data-realsrc", "lazy-src",
    "lazyload", "lazysrc", "original", "_src", "real_src", "realsrc", "src2", "file",
    "zoomfile", "load-src",
)  # fmt: skip
"""Attributes of lazy loading, which hold the URL until the image is scrolled to; seen on Chinese
portals, forums and shops."""
FULL_SIZE_ATTRIBUTES = (
    "data-full", "data-full-src", "data-large", "data-large-src", "data-large-file",
    "data-orig-file", "data-zoom", "data-zoom-image", "data-hires", "data-highres",
    "data-rawsrc", "data-origin", "zoomfile",
)  # fmt: skip
"""Attributes that hold the URL of a larger copy; they come before `src` and `srcset`."""

ElementAttributes = Mapping[str, str | None]

_SRCSET_SEPARATORS = " \t\r\n\f,"
_IMAGE_EXTENSION = re.compile(r"\.(?:jpe?g|jpe|jfif|png|webp|gif)$", re.IGNORECASE)
_VECTOR_EXTENSION = re.compile(r"\.(?:svgz?|ico|cur)$", re.IGNORECASE)
_UNSUPPORTED_TYPES = frozenset(
    {"image/svg+xml", "image/avif", "image/jxl", "image/heic", "image/x-icon"}
)
MAX_SRCSET_CHARACTERS = 64 << 10
MAX_SRCSET_ENTRIES = 200


def best_image_url(image: Element) -> str:
    """Returns the URL, as written, of the largest copy of an image; empty if there is none.

    A `data:` URI is the last choice: most often it is the page's own placeholder.
    """
    if url := _linked_image_url(image):
        return url
    attributes = image.attributes
    if url := _first_url(attributes, FULL_SIZE_ATTRIBUTES):
        return url
    srcsets = [*_picture_element_srcsets(image), _srcset_attribute(attributes)]
    largest, size = max(
        (entry for value in srcsets for entry in parse_srcset(value)),
        key=lambda entry: entry[1],
        default=("", 0.0),
    )
    lazy, src = _first_url(attributes, LAZY_ATTRIBUTES), _usable_url(attributes.get("src") or "")
    if largest and size > 1:
        return largest
    remote = next((url for url in (lazy, src, largest) if url and not is_data_uri(url)), "")
    return remote or src or lazy


def parse_srcset(value: str) -> list[tuple[str, float]]:
    """Returns URL and size of each entry: the number before `w` or `x`, or 1 without a
    descriptor."""
    entries: list[tuple[str, float]] = []
    rest = value[:MAX_SRCSET_CHARACTERS].lstrip(_SRCSET_SEPARATORS)
    while rest and len(entries) < MAX_SRCSET_ENTRIES:
        # A URL may hold commas, as those of image services do: only white space or a comma at its
        # end ends it.
        url = rest.split(maxsplit=1)[0]
        rest = rest[len(url) :]
        descriptor = ""
        if not url.endswith(","):
            descriptor, _, rest = rest.partition(",")
        url = url.rstrip(",")
        if not is_data_uri(url) and _usable_url(url):
            entries.append((url, _descriptor_size(descriptor)))
        rest = rest.lstrip(_SRCSET_SEPARATORS)
    return entries


def is_data_uri(url: str) -> bool:
    """Whether it is a `data:` URI."""
    return url[:5].lower() == "data:"


def has_image_extension(url: str) -> bool:
    """Whether a URL's path ends with an image extension; wiki pages such as `File:a.jpg` do not
    count.
    """
    path = url.partition("#")[0].partition("?")[0]
    name = path.rpartition("/")[2]
    return bool(_IMAGE_EXTENSION.search(name)) and ":" not in name and "%3A" not in name.upper()


def _linked_image_url(image: Element) -> str:
    """The image that a link around a thumbnail leads to."""
    node = image
    for _ in range(3):
        parent = node.parent
        if parent is None:
            return ""
        if parent.tag == "a":
            href = attribute(parent, "href").strip()
            return href if has_image_extension(href) else ""
        node = parent
    return ""


def _picture_element_srcsets(image: Element) -> list[str]:
    parent = image.parent
    if parent is None or parent.tag != "picture":
        return []
    sources = [node.attributes for node in parent.css("source")]
    return [
        _srcset_attribute(attributes)
        for attributes in sources
        if (attributes.get("type") or "").strip().lower() not in _UNSUPPORTED_TYPES
    ]


def _srcset_attribute(attributes: ElementAttributes) -> str:
    return (
        attributes.get("data-srcset")
        or attributes.get("data-lazy-srcset")
        or attributes.get("srcset")
        or ""
    )


def _first_url(attributes: ElementAttributes, names: tuple[str, ...]) -> str:
    # Saves some forty look-ups for an image that has `src` alone.
    if len(attributes) < 2:
        return ""
    for name in names:
        if name in attributes:
            url = _usable_url(attributes[name] or "")
            if url and _looks_like_url(url):
                return url
    return ""


def _looks_like_url(value: str) -> bool:
    """Whether an attribute holds a URL; some pages write `data-src="true"`."""
    return "/" in value or bool(_IMAGE_EXTENSION.search(value.partition("?")[0]))


def _usable_url(value: str) -> str:
    url = value.strip()
    is_vector = _VECTOR_EXTENSION.search(url.partition("#")[0].partition("?")[0])
    return "" if url.startswith("#") or is_vector else url


def _descriptor_size(descriptor: str) -> float:
    best = 1.0
    for word in descriptor.split():
        try:
            best = max(best, float(word[:-1])) if word[-1:] in {"w", "x"} else best
        except ValueError:
            continue
    return best
