"""One picture, several addresses: the largest of `srcset`, lazy attributes and links to the full size."""

import re
from collections.abc import Mapping

from wenlan_data.extract.html import Element, attribute

LAZY_ATTRIBUTES = (
    *(
        "data-original",
        "data-src",
        "data-lazy-src",
        "data-lazyload",
        "data-lazy",
        "data-actualsrc",
        "data-actual-src",
    ),
    *(
        "data-echo",
        "data-url",
        "data-ks-lazyload",
        "data-ks-lazyload-src",
        "data-croporisrc",
        "data-backsrc",
    ),
    *(
        "data-original-src",
        "data-image-src",
        "data-img",
        "data-imgsrc",
        "data-real-src",
        "data-realsrc",
        "lazy-src",
    ),
    *(
        "lazyload",
        "lazysrc",
        "original",
        "_src",
        "real_src",
        "realsrc",
        "src2",
        "file",
        "zoomfile",
        "load-src",
    ),
)
"""Attributes in which pages keep the picture until it is scrolled to; seen on Chinese portals, forums and shops."""
FULL_SIZE_ATTRIBUTES = (
    "data-full",
    "data-full-src",
    "data-large",
    "data-large-src",
    "data-large-file",
    "data-orig-file",
    "data-zoom",
)
"""Attributes that hold a larger copy."""
PREFERRED_ATTRIBUTES = (
    *FULL_SIZE_ATTRIBUTES,
    "data-zoom-image",
    "data-hires",
    "data-highres",
    "data-rawsrc",
    "data-origin",
    "zoomfile",
)

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
    """The address, as written, of the largest copy that the page names; empty where there is none.

    A `data:` URI is the last resort: it is the page's own placeholder more often than not.
    """
    if full := _linked_image_url(image):
        return full
    there = image.attributes
    if full := _first_url(there, PREFERRED_ATTRIBUTES):
        return full
    sets = [*_picture_element_srcsets(image), _srcset_attribute(there)]
    best = max(
        (one for value in sets for one in parse_srcset(value)),
        key=lambda pair: pair[1],
        default=("", 0.0),
    )
    lazy, own = _first_url(there, LAZY_ATTRIBUTES), _usable_url(there.get("src") or "")
    if best[0] and best[1] > 1:
        return best[0]
    remote = next((one for one in (lazy, own, best[0]) if one and not is_data_uri(one)), "")
    return remote or own or lazy


def parse_srcset(value: str) -> list[tuple[str, float]]:
    """Address and size of each entry: the number before `w` or `x`; 1 without one."""
    found: list[tuple[str, float]] = []
    rest = value[:MAX_SRCSET_CHARACTERS].lstrip(_SRCSET_SEPARATORS)
    while rest and len(found) < MAX_SRCSET_ENTRIES:
        address = rest.split(maxsplit=1)[0]
        rest = rest[len(address) :]
        descriptor = ""
        if not address.endswith(","):
            descriptor, _, rest = rest.partition(",")
        address = address.rstrip(",")
        if not is_data_uri(address) and _usable_url(address):
            found.append((address, _descriptor_size(descriptor)))
        rest = rest.lstrip(_SRCSET_SEPARATORS)
    return found


def is_data_uri(address: str) -> bool:
    """Whether it is a `data:` URI."""
    return address[:5].lower() == "data:"


def has_image_extension(address: str) -> bool:
    """Whether the path of an address ends as a picture's does; not so pages such as `File:a.jpg` of a wiki."""
    path = address.partition("#")[0].partition("?")[0]
    name = path.rpartition("/")[2]
    return bool(_IMAGE_EXTENSION.search(name)) and ":" not in name and "%3A" not in name.upper()


def _linked_image_url(image: Element) -> str:
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
    sources = [one.attributes for one in parent.css("source")]
    return [
        _srcset_attribute(one)
        for one in sources
        if (one.get("type") or "").strip().lower() not in _UNSUPPORTED_TYPES
    ]


def _srcset_attribute(there: ElementAttributes) -> str:
    return there.get("data-srcset") or there.get("data-lazy-srcset") or there.get("srcset") or ""


def _first_url(there: ElementAttributes, names: tuple[str, ...]) -> str:
    if len(there) < 2:
        return ""
    for name in names:
        if name in there and (value := _usable_url(there[name] or "")) and _looks_like_url(value):
            return value
    return ""


def _looks_like_url(value: str) -> bool:
    return "/" in value or bool(_IMAGE_EXTENSION.search(value.partition("?")[0]))


def _usable_url(value: str) -> str:
    value = value.strip()
    if (
        not value
        or value.startswith("#")
        or _VECTOR_EXTENSION.search(value.partition("#")[0].partition("?")[0])
    ):
        return ""
    return value


def _descriptor_size(descriptor: str) -> float:
    best = 1.0
    for word in descriptor.split():
        try:
            best = max(best, float(word[:-1])) if word[-1:] in {"w", "x"} else best
        except ValueError:
            continue
    return best
