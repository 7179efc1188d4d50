"""One picture, several addresses: the largest of `srcset`, lazy attributes and links to the full size."""

import re
from collections.abc import Mapping

from wenlan_data.extract.html import Element, attribute

LAZY = (
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
FULL = (
    "data-full",
    "data-full-src",
    "data-large",
    "data-large-src",
    "data-large-file",
    "data-orig-file",
    "data-zoom",
)
"""Attributes that hold a larger copy."""
FULL_FIRST = (
    *FULL,
    "data-zoom-image",
    "data-hires",
    "data-highres",
    "data-rawsrc",
    "data-origin",
    "zoomfile",
)

Attributes = Mapping[str, str | None]

_BETWEEN = " \t\r\n\f,"
_PICTURE = re.compile(r"\.(?:jpe?g|jpe|jfif|png|webp|gif)$", re.IGNORECASE)
_VECTOR = re.compile(r"\.(?:svgz?|ico|cur)$", re.IGNORECASE)
_UNTAKEN = frozenset({"image/svg+xml", "image/avif", "image/jxl", "image/heic", "image/x-icon"})
MAX_SRCSET_CHARACTERS = 64 << 10
MAX_SRCSET_ENTRIES = 200


def best_address(image: Element) -> str:
    """The address, as written, of the largest copy that the page names; empty where there is none.

    A `data:` URI is the last resort: it is the page's own placeholder more often than not.
    """
    if full := _linked(image):
        return full
    there = image.attributes
    if full := _first(there, FULL_FIRST):
        return full
    sets = [*_sources(image), _srcset(there)]
    best = max(
        (one for value in sets for one in srcset(value)),
        key=lambda pair: pair[1],
        default=("", 0.0),
    )
    lazy, own = _first(there, LAZY), _usable(there.get("src") or "")
    if best[0] and best[1] > 1:
        return best[0]
    remote = next((one for one in (lazy, own, best[0]) if one and not is_inline(one)), "")
    return remote or own or lazy


def srcset(value: str) -> list[tuple[str, float]]:
    """Address and size of each entry: the number before `w` or `x`; 1 without one."""
    found: list[tuple[str, float]] = []
    rest = value[:MAX_SRCSET_CHARACTERS].lstrip(_BETWEEN)
    while rest and len(found) < MAX_SRCSET_ENTRIES:
        address = rest.split(maxsplit=1)[0]
        rest = rest[len(address) :]
        descriptor = ""
        if not address.endswith(","):
            descriptor, _, rest = rest.partition(",")
        address = address.rstrip(",")
        if not is_inline(address) and _usable(address):
            found.append((address, _size(descriptor)))
        rest = rest.lstrip(_BETWEEN)
    return found


def is_inline(address: str) -> bool:
    """Whether it is a `data:` URI."""
    return address[:5].lower() == "data:"


def names_a_picture(address: str) -> bool:
    """Whether the path of an address ends as a picture's does; not so pages such as `File:a.jpg` of a wiki."""
    path = address.partition("#")[0].partition("?")[0]
    name = path.rpartition("/")[2]
    return bool(_PICTURE.search(name)) and ":" not in name and "%3A" not in name.upper()


def _linked(image: Element) -> str:
    node = image
    for _ in range(3):
        parent = node.parent
        if parent is None:
            return ""
        if parent.tag == "a":
            href = attribute(parent, "href").strip()
            return href if names_a_picture(href) else ""
        node = parent
    return ""


def _sources(image: Element) -> list[str]:
    parent = image.parent
    if parent is None or parent.tag != "picture":
        return []
    sources = [one.attributes for one in parent.css("source")]
    return [
        _srcset(one) for one in sources if (one.get("type") or "").strip().lower() not in _UNTAKEN
    ]


def _srcset(there: Attributes) -> str:
    return there.get("data-srcset") or there.get("data-lazy-srcset") or there.get("srcset") or ""


def _first(there: Attributes, names: tuple[str, ...]) -> str:
    if len(there) < 2:
        return ""
    for name in names:
        if name in there and (value := _usable(there[name] or "")) and _is_address(value):
            return value
    return ""


def _is_address(value: str) -> bool:
    return "/" in value or bool(_PICTURE.search(value.partition("?")[0]))


def _usable(value: str) -> str:
    value = value.strip()
    if (
        not value
        or value.startswith("#")
        or _VECTOR.search(value.partition("#")[0].partition("?")[0])
    ):
        return ""
    return value


def _size(descriptor: str) -> float:
    best = 1.0
    for word in descriptor.split():
        try:
            best = max(best, float(word[:-1])) if word[-1:] in {"w", "x"} else best
        except ValueError:
            continue
    return best
