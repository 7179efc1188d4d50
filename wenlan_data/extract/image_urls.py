"""Finds the addresses of an image: links to full size, attributes, `srcset`, and CSS backgrounds."""

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from operator import itemgetter

from wenlan_data.extract.html import Element

LAZY_ATTRIBUTES = (
    "data-original", "data-src", "data-lazy-src", "data-lazyload", "data-lazy",
    "data-actualsrc", "data-actual-src", "data-echo", "data-url", "data-ks-lazyload",
    "data-ks-lazyload-src", "data-croporisrc", "data-backsrc", "data-original-src",
    "data-image-src", "data-img", "data-imgsrc", "data-real-src", "data-realsrc", "lazy-src",
    "lazyload", "lazysrc", "original", "_src", "real_src", "realsrc", "src2", "file",
    "load-src",
)  # fmt: skip
"""Attributes of lazy loading, which hold the URL until the image is scrolled to; seen on Chinese
portals, forums and shops. Other names are recognised by their words and values."""
FULL_SIZE_ATTRIBUTES = (
    "data-full", "data-full-src", "data-orig-file", "data-large", "data-large-src",
    "data-large-file", "data-zoom", "data-zoom-image", "data-hires", "data-highres",
    "data-rawsrc", "data-origin", "zoomfile",
)  # fmt: skip
"""Attributes that hold the URL of a larger copy; they come before `src` and `srcset`."""

ElementAttributes = Mapping[str, str | None]

MAX_SRCSET_CHARACTERS = 64 << 10
MAX_SRCSET_ENTRIES = 200
MIN_WIDTH_DESCRIPTOR = 16
"""A smaller size in a `srcset` is a density, such as `2x`."""
MAX_NAME_CHARACTERS = 40
"""Of an attribute that may hold an address."""
MAX_ADDRESS_CHARACTERS = 4096
"""Of an address in an attribute other than `src`."""
MAX_KNOWN_CHARACTERS = 300
"""Of an address that is remembered for some time."""
MAX_STYLE_CHARACTERS = 64 << 10
MAX_LINK_DISTANCE = 3
"""Number of ancestors that are searched for a link around an image."""
MAX_SIBLINGS = 20
"""Number of nodes before an image, and before each of these ancestors, that are searched for
another image of the same link; and for the sources of a `<picture>`."""

_SRCSET_SEPARATORS = " \t\r\n\f,"
_IMAGE_EXTENSIONS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "awebp", "gif", "image"}
)
_VECTOR_EXTENSIONS = frozenset({"svg", "svgz", "ico", "cur"})
# Files that no element shows as an image, whatever the name of the attribute, and formats that are
# not decoded.
_OTHER_EXTENSIONS = frozenset({
    "html", "htm", "shtml", "xhtml", "js", "css", "json", "xml", "txt", "mp3", "mp4", "m3u8", "flv",
    "swf", "webm", "pdf", "zip", "doc", "docx", "avif", "heic", "heif", "jxl", "bmp", "tif", "tiff",
})  # fmt: skip
# Image services write the size after the extension: 1.jpg!large, 1.jpg!/fw/300, 1.jpg@300w.webp.
_SIZED_EXTENSION = re.compile(r"\.(jpe?g|jpe|jfif|png|a?webp|gif|image)(?=[!@])", re.IGNORECASE)
_SEVERAL_IMAGES = re.compile(r"\.(?:jpe?g|png|webp|gif)\s*[,;|]", re.IGNORECASE)
_UNSUPPORTED_TYPES = frozenset(
    {"image/svg+xml", "image/avif", "image/jxl", "image/heic", "image/x-icon"}
)
_SCHEME = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"(?:image|video|text|application)/[\w.+-]+", re.IGNORECASE)
_NUMBERS = re.compile(r"[\d\s/:.,x×%-]+", re.IGNORECASE)
_NOT_IN_ADDRESS = re.compile(r"[\s\"'<>{}`\\]")
_TEMPLATE = re.compile(r"[\"<>{}]")

# Words of attribute names, which HTML writes in lower case and without separators at times.
_OTHER_IMAGE_NAME = re.compile(
    # No address, or that of another image: a share image, the next slide, the image on hover.
    r"alt$|title|caption|desc|text|name|(?:^|[-_:])(?:id|type|size|ratio|format|author|href|link|"
    r"class|style|longdesc|usemap|page|goto|api|click|track|video|audio|cate\w*|tags?|key\w*|date|"
    r"time|next|prev\w*|hover|second\w*|rollover|swap|flip|mask|watermark|before|after|compare|"
    r"poster)(?:[-_]|$)|share|placeholder|loading|error|default|fallback|avatar|logo|icon|"
    r"qr(?:code)?|^on|^aria"
)
_SMALL_NAME = re.compile(
    r"thumb|small|mini|lqip|medium|(?:^|[-_])(?:low|sm?|xs|tiny|blur)(?:[-_]|$)"
)
_FULL_SIZE_NAME = re.compile(
    r"full|large|big|zoom|hi-?res|high-?res|origin(?!al)|(?<![a-z])(?:raw|orig?|hd|max|xl)(?![a-z])|"
    r"(?<![a-z])(?:raw|hd)(?:src|url|img|image|pic)"
)
_ADDRESS_NAME = re.compile(
    r"src|img|image|photo|original|lazy|(?<!pro)file|(?:^|[^a-z]|ori|real|src|show)pic(?!k)|url"
)
_BACKGROUND_NAME = re.compile(r"(?:^|[-_])(?:bg|background)(?:[-_]?(?:image|img|src|url|pic))?$")
_URL_FUNCTION = re.compile(r"url\(", re.IGNORECASE)
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_UNQUOTED_URL = re.compile(r"((?:[^)\\]|\\.)*+)\)", re.DOTALL)
# Names of files that stand in for an image; each consists of such words alone: none.gif, loading_2.
_PLACEHOLDER_WORDS = frozenset({
    "none", "blank", "spacer", "space", "grey", "gray", "white", "loading", "loader", "load",
    "lazy", "lazyload", "placeholder", "pixel", "transparent", "trans", "empty", "dummy", "clear",
    "dot", "nopic", "noimg", "noimage", "nophoto", "1x1", "1px", "px", "loadimg", "imgload",
})  # fmt: skip
_NEUTRAL_WORDS = frozenset(
    {"no", "img", "image", "images", "pic", "photo", "bg", "icon", "gif", ""}
)
_PIXELS = re.compile(r"\s*(\d{1,5})(?:px)?\s*\Z")
_NAME_SEPARATORS = re.compile(r"[-_.@ ]+")
MAX_PLACEHOLDER_CHARACTERS = 40
"""Of the name of a file that may be a placeholder."""


class _Rank(IntEnum):
    """Kinds of addresses, the best first; where one image has several of a kind, the order of the
    lists above decides, then that of the page."""

    LINK = 0
    FULL_SIZE = 1
    SRCSET = 2
    LAZY = 3
    SRC = 4
    NAMED = 5
    """An attribute whose name says that it holds an image's address, such as the one that Word
    wrote before the page was saved (`oldsrc`); it counts where `src` is a placeholder."""
    UNNAMED = 6
    """An attribute of any name whose value has the extension of an image."""
    ANIMATED_SRC = 7
    """A `src` that ends with `.gif`, as most placeholders do."""
    VAGUE = 8
    """A relative path without extension."""
    SMALLER = 9


_Found = tuple[_Rank, float, str]
"""Rank, position inside it (the lower the better), address."""

_rank_and_position = itemgetter(0, 1)

_KNOWN: dict[str, tuple[_Rank, int]] = {
    **{name: (_Rank.LAZY, number) for number, name in enumerate(LAZY_ATTRIBUTES)},
    **{name: (_Rank.FULL_SIZE, number) for number, name in enumerate(FULL_SIZE_ATTRIBUTES)},
}
_AFTER_KNOWN = len(_KNOWN)


def image_addresses(image: Element) -> tuple[str, ...]:
    """Returns every usable address of an image as written, each once, the largest copy first.

    The order is: the image that a link around it leads to, attributes of full size, the entries of
    `srcset` and of the sources of a `<picture>` by their sizes, lazy attributes, `src`; then what
    names itself a smaller copy. A `src` whose width is stated (`width="480"`) stands among the
    entries of `srcset` by it, but never before the largest.

    Placeholders, such as `blank.gif` and `data:` URIs, are returned only where the image has no
    other address. SVG and icon files are never returned.

    >>> from wenlan_data.extract.html import parse_html
    >>> page = parse_html('<img src="none.gif" file="/a/1.jpg.thumb.jpg" zoomfile="/a/1.jpg">')
    >>> image_addresses(page.css_first("img"))
    ('/a/1.jpg', '/a/1.jpg.thumb.jpg')
    """
    attributes = image.attributes
    found = [*_link_addresses(image), *_attribute_addresses(attributes)]
    entries = list(_srcset_addresses(image, attributes))
    if entries:
        found = _with_sized_src(found, entries, attributes.get("width") or "")
    found.sort(key=_rank_and_position)
    if addresses := dict.fromkeys([url for _, _, url in found if not is_placeholder(url)]):
        return tuple(addresses)
    data_uris = dict.fromkeys(url for _, _, url in found if is_data_uri(url))
    return tuple(data_uris) or tuple(dict.fromkeys(url for _, _, url in found))


def background_addresses(element: Element) -> tuple[str, ...]:
    """Returns the addresses of the background images of an element that is no `img`, each once.

    They are in its `style`, in attributes of lazy backgrounds (`data-bg`, `data-background-image`)
    and, if the value has the extension of an image, in the attributes that `img` uses.
    """
    found: dict[str, None] = {}
    for name, written in element.attributes.items():
        value = (written or "").strip()
        if not value or len(value) > MAX_STYLE_CHARACTERS or len(name) > MAX_NAME_CHARACTERS:
            continue
        if name == "style":
            found |= dict.fromkeys(background_image_urls(value))
        elif _BACKGROUND_NAME.search(name):
            listed = background_image_urls(f"background:{value}") or (value,)
            found |= dict.fromkeys(url for url in listed if _looks_like_url(url))
        elif name in _KNOWN and _has_extension(value) and not _NOT_IN_ADDRESS.search(value):
            found[value] = None
    return tuple(url for url in found if _usable_url(url) and not is_placeholder(url))


def background_image_urls(style: str) -> tuple[str, ...]:
    """Returns the addresses that a `style` gives to `background` or `background-image`, each once;
    without `data:` URIs.

    >>> background_image_urls("color: red; background: #fff url('/a/1.jpg') no-repeat")
    ('/a/1.jpg',)
    """
    style = style[:MAX_STYLE_CHARACTERS]
    found: dict[str, None] = {}
    end, property_name = 0, ""
    while match := _URL_FUNCTION.search(style, end):
        declarations = style[end : match.start()]
        if end == 0 or ";" in declarations:
            property_name = declarations.rpartition(";")[2].partition(":")[0].strip().lower()
        url, end = _css_url(style, match.end())
        if end < 0:
            break
        is_background = property_name in {"background", "background-image"}
        if is_background and url and not is_data_uri(url):
            found[url] = None
    return tuple(url for url in found if _usable_url(url))


def _css_url(style: str, start: int) -> tuple[str, int]:
    """The address in `url(...)` whose content begins at `start`, and the end of it; -1 if it has
    none."""
    opening = start
    while style[opening : opening + 1].isspace():
        opening += 1
    quote = style[opening : opening + 1]
    if quote in {'"', "'"}:
        # A quoted address may hold parentheses.
        closing = style.find(quote, opening + 1)
        end = style.find(")", closing) if closing >= 0 else -1
        content = style[opening + 1 : closing]
    else:
        unquoted = _UNQUOTED_URL.match(style, opening)
        content, end = (unquoted[1], unquoted.end() - 1) if unquoted else ("", -1)
    return _CSS_ESCAPE.sub(_unescaped, content).strip(), end + 1 if end >= 0 else -1


def _unescaped(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[2]
    code = int(match[1], 16)
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "�"


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


def is_placeholder(url: str) -> bool:
    """Whether an address is a `data:` URI or, by its file name, an image that only fills a place
    (`blank.gif`, `loading.gif`).

    >>> is_placeholder("/static/image/common/none.gif"), is_placeholder("/a/loading-dock.jpg")
    (True, False)
    """
    if is_data_uri(url):
        return True
    path = _path(url)
    name = path[path.rfind("/") + 1 :]
    if len(name) > MAX_PLACEHOLDER_CHARACTERS:
        return False
    stem, dot, extension = name.lower().rpartition(".")
    if not dot:
        return False
    # Two-letter names such as t.gif and sp.gif are those of transparent pixels.
    if extension == "gif" and (len(stem) <= 2 and not stem.isdigit()):
        return True
    words = [word for word in _NAME_SEPARATORS.split(stem) if not word.isdigit()]
    is_filling = any(word in _PLACEHOLDER_WORDS for word in words) or words[:1] == ["no"]
    return is_filling and all(
        word in _PLACEHOLDER_WORDS or word in _NEUTRAL_WORDS for word in words
    )


def is_image_address(value: str, *, named: bool = False) -> bool:
    """Whether a string from structured data is the address of an image.

    It has to end with the extension of an image; with `named`, for a key that says that it holds an
    image, a URL without an extension is one too.

    >>> is_image_address("//a.cn/1.jpg"), is_image_address("1.jpg"), is_image_address("//a.cn/1")
    (True, False, False)
    """
    if "/" not in value or len(value) > MAX_ADDRESS_CHARACTERS or is_data_uri(value):
        return False
    if _NOT_IN_ADDRESS.search(value) or _SEVERAL_IMAGES.search(value) or not _usable_url(value):
        return False
    if _has_extension(value):
        return True
    scheme, slashes, rest = value.partition("//")
    is_url = bool(slashes) and scheme.lower() in {"", "http:", "https:"}
    has_path = bool(rest.partition("/")[2])
    return named and is_url and has_path and _looks_like_url(value)


def has_image_extension(url: str) -> bool:
    """Whether a URL's path ends with an image extension; wiki pages such as `File:a.jpg` do not
    count.
    """
    if _extension(url) not in _IMAGE_EXTENSIONS:
        return False
    path = _path(url)
    sized = _SIZED_EXTENSION.search(path)
    name = path[: sized.start() if sized else None].rpartition("/")[2]
    return ":" not in name and "%3A" not in name.upper()


def _link_addresses(image: Element) -> Iterator[_Found]:
    """The image that a link around a thumbnail leads to."""
    node = image
    for _ in range(MAX_LINK_DISTANCE):
        parent = node.parent
        if parent is None:
            return
        if parent.tag == "a":
            yield from _one_link_addresses(parent, image)
            return
        node = parent


def _one_link_addresses(link: Element, image: Element) -> Iterator[_Found]:
    found: list[_Found] = []
    for name, written in link.attributes.items():
        value = (written or "").strip()
        if not has_image_extension(value) or not _usable_url(value):
            continue
        if name == "href":
            found.append((_Rank.LINK, 0, value))
            continue
        rank = _attribute_rank(name)
        # Light boxes: <a href="javascript:;" data-src="large.jpg">.
        is_copy = rank is not None and rank[0] in {_Rank.FULL_SIZE, _Rank.LAZY}
        if is_copy and not _NOT_IN_ADDRESS.search(value):
            found.append((_Rank.LINK, 1, value))
    if found and _is_first_image(link, image):
        yield from found


def _is_first_image(link: Element, image: Element) -> bool:
    """Whether the link is that of this image, and not of one before it; an icon may follow it."""
    node: Element | None = image
    while node is not None and node.mem_id != link.mem_id:
        if any(_holds_image(one) for one in _nodes_before(node)):
            # The copy of a lazy image for browsers without scripts has the same link.
            return node.tag == "noscript"
        node = node.parent
    return True


def _holds_image(node: Element) -> bool:
    if node.tag in {"img", "amp-img"}:
        return True
    return (
        node.is_element_node
        and node.tag != "noscript"
        and node.css_first("img, amp-img") is not None
    )


def _nodes_before(node: Element) -> Iterator[Element]:
    before = node.prev
    for _ in range(MAX_SIBLINGS):
        if before is None:
            return
        yield before
        before = before.prev


def _attribute_addresses(attributes: ElementAttributes) -> Iterator[_Found]:
    for number, (name, written) in enumerate(attributes.items()):
        if not written:
            continue
        if name == "src":
            if url := _usable_url(written):
                yield _Rank.ANIMATED_SRC if _extension(url) == "gif" else _Rank.SRC, 0, url
        elif rank := _attribute_rank(name):
            value = written.strip()
            if kind := _value_rank(value, *rank, is_known=name in _KNOWN):
                yield kind[0], kind[1] + number / 1000, value


def _value_rank(
    value: str, rank: _Rank, position: int, *, is_known: bool
) -> tuple[_Rank, int] | None:
    """The rank of an attribute's value; None if it is no address."""
    if is_data_uri(value):
        return (rank, position) if is_known else None
    if len(value) > MAX_ADDRESS_CHARACTERS or not _usable_url(value):
        return None
    pattern = _TEMPLATE if is_known else _NOT_IN_ADDRESS
    if pattern.search(value) or _SEVERAL_IMAGES.search(value):
        return None
    if is_known:
        return (rank, position) if _looks_like_url(value) else None
    if _has_extension(value):
        # In an attribute of another name, 1.jpg may be the name of the file alone.
        return (rank, position) if rank != _Rank.UNNAMED or "/" in value else None
    if rank == _Rank.UNNAMED or not _looks_like_url(value):
        return None
    is_absolute = value.startswith(("/", "./", "../")) or value[:8].lower().startswith(
        ("http://", "https://")
    )
    return (rank if is_absolute else max(rank, _Rank.VAGUE), position)


@lru_cache(maxsize=4096)
def _attribute_rank(name: str) -> tuple[_Rank, int] | None:
    """Rank and position of an attribute by its name; None if it holds no address of the image."""
    if known := _KNOWN.get(name):
        return known
    if len(name) > MAX_NAME_CHARACTERS or name.endswith("srcset") or _OTHER_IMAGE_NAME.search(name):
        return None
    for pattern, rank in (
        (_SMALL_NAME, _Rank.SMALLER),
        (_FULL_SIZE_NAME, _Rank.FULL_SIZE),
        (_ADDRESS_NAME, _Rank.NAMED),
    ):
        if pattern.search(name):
            return rank, _AFTER_KNOWN
    return _Rank.UNNAMED, _AFTER_KNOWN


def _srcset_addresses(image: Element, attributes: ElementAttributes) -> Iterator[_Found]:
    values = [*_picture_element_srcsets(image), *_srcset_values(attributes)]
    entries = [entry for value in values for entry in parse_srcset(value)]
    entries = [entry for entry in entries if not is_placeholder(entry[0])]
    if not entries:
        return
    for url, size in entries:
        if size <= 1:
            yield _Rank.VAGUE, 0, url
        else:
            yield _Rank.SRCSET, -size, url


def _with_sized_src(found: list[_Found], entries: list[_Found], width: str) -> list[_Found]:
    """All addresses, with `src` among the entries of `srcset` where its width is stated as theirs
    are."""
    largest = max((-place for rank, place, _ in entries if rank == _Rank.SRCSET), default=0.0)
    # `2x` is a density, which cannot be compared with a width.
    stated = _PIXELS.match(width) if largest >= MIN_WIDTH_DESCRIPTOR else None
    if stated is not None:
        # The width is that on the page: the file may be smaller.
        position = 0.5 - min(float(stated[1]), largest)
        listed = {url for _, _, url in entries}
        found = [
            (_Rank.SRCSET, position, url)
            if rank == _Rank.SRC and url not in listed
            else (rank, place, url)
            for rank, place, url in found
        ]
    return [*found, *entries]


def _picture_element_srcsets(image: Element) -> Iterator[str]:
    parent = image.parent
    if parent is None or parent.tag != "picture":
        return
    # In document order: the first of two copies of one size is the one that the page prefers.
    for node in reversed(list(_nodes_before(image))):
        attributes = node.attributes if node.tag == "source" else {}
        if (attributes.get("type") or "").strip().lower() not in _UNSUPPORTED_TYPES:
            yield from _srcset_values(attributes)


def _srcset_values(attributes: ElementAttributes) -> Iterator[str]:
    for name, value in attributes.items():
        if value and name.endswith("srcset"):
            yield value


def _looks_like_url(value: str) -> bool:
    """Whether an attribute holds an address and no number, date, media type or flag."""
    if _has_extension(value):
        return True
    return (
        "/" in value
        and not _NUMBERS.fullmatch(value)
        and not _MEDIA_TYPE.fullmatch(value)
        and _extension(value) not in _OTHER_EXTENSIONS
    )


def _has_extension(value: str) -> bool:
    return _extension(value) in _IMAGE_EXTENSIONS


def _extension(url: str) -> str:
    """The lower-case extension of a URL's path, without the size that an image service appends."""
    # Asked some three times of each address. A `data:` URI can be too long to be remembered.
    return _known_extension(url) if len(url) <= MAX_KNOWN_CHARACTERS else _read_extension(url)


def _read_extension(url: str) -> str:
    path = _path(url)
    extension = path[path.rfind(".") + 1 :].lower()
    if extension not in _IMAGE_EXTENSIONS and ("!" in path or "@" in path):
        sized = _SIZED_EXTENSION.search(path)
        return sized[1].lower() if sized else extension
    return extension


_known_extension = lru_cache(maxsize=8192)(_read_extension)


def _path(url: str) -> str:
    if "#" in url or "?" in url:
        return url.partition("#")[0].partition("?")[0]
    return url


def _usable_url(value: str) -> str:
    url = value.strip()
    if url.startswith("#") or (":" in url and _SCHEME.match(url) and not is_data_uri(url)):
        return ""
    return "" if _extension(url) in _VECTOR_EXTENSIONS else url


def _descriptor_size(descriptor: str) -> float:
    best = 1.0
    for word in descriptor.split():
        try:
            best = max(best, float(word[:-1])) if word[-1:] in {"w", "x"} else best
        except ValueError:
            continue
    return best
