"""Images in the JSON-LD of a page: `ImageObject`, and `image` of articles, products and recipes."""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from itertools import islice

from wenlan_data.extract.image_urls import has_image_extension
from wenlan_data.extract.single_line import single_line
from wenlan_data.records import Text

MAX_JSON_LD_CHARACTERS = 1 << 20
"""Of one script."""
MAX_JSON_LD_NODES = 5_000
"""Of one page, breadth first."""
MAX_METADATA_CHARACTERS = 300
MAX_URL_CHARACTERS = 2048
OWN_CONFIDENCE = 0.9
TITLE_CONFIDENCE = 0.8
"""For the name of an image and the like, which says less of what it shows than a description."""
ITEM_CONFIDENCE = 0.6
"""For the headline of an article, the name of a product: it is that of more than the image."""

SHARED_CONFIDENCE = 0.3
"""For the same where it has several images; some are one image, cropped to several shapes."""
MAX_ITEM_IMAGES = 200

_IMAGE_TYPES = frozenset({"ImageObject", "Photograph", "ImageObjectSnapshot"})
# What is under these properties is no content: people, publishers, logos, advertisements.
_LEFT_OUT = frozenset({
    "logo", "publisher", "author", "creator", "contributor", "editor", "provider", "brand", "seller",
    "sourceOrganization", "copyrightHolder", "accountablePerson", "maintainer", "reviewedBy",
    "worksFor", "memberOf", "affiliation", "parentOrganization", "sponsor", "funder", "manufacturer",
    "potentialAction", "isPartOf", "thumbnail", "comment", "review",
})  # fmt: skip
_NO_CONTENT_TYPES = frozenset({
    "Organization", "NewsMediaOrganization", "Corporation", "Brand", "WebSite", "VideoObject",
    "AudioObject", "Comment", "Review", "SearchAction",
})  # fmt: skip
_IMAGE_PROPERTIES = ("image", "primaryImageOfPage", "photo", "associatedMedia")
_PAGE_EXTENSION = re.compile(r"\.(?:[sx]?html?|php|aspx?|jsp)$", re.IGNORECASE)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DECODER = json.JSONDecoder(strict=False)

Item = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataImage:
    """An image that the head or the JSON-LD of a page names."""

    url: str
    """As written."""
    texts: tuple[Text, ...] = ()
    licence: str = ""
    author: str = ""
    smaller_urls: tuple[str, ...] = ()
    """Addresses of smaller copies."""


def json_ld_images(scripts: Iterable[str]) -> Iterator[MetadataImage]:
    """Yields the images that the JSON-LD of a page states, each time that it states one.

    Caption, description and name of an `ImageObject` are its texts; without a name of its own, an
    image gets that of the article, product or recipe whose `image` it is. Logos, and images of
    authors and publishers, are left out. References by `@id` are resolved.
    """
    items = _items(scripts)
    by_id = {reference: item for item in reversed(items) if (reference := _string(item.get("@id")))}
    left_out = _referenced(items, _LEFT_OUT)
    belongs = _referenced(items, frozenset(_IMAGE_PROPERTIES))
    for item in items:
        reference = _string(item.get("@id"))
        if reference in left_out or _types(item) & _NO_CONTENT_TYPES:
            continue
        if _types(item) & _IMAGE_TYPES:
            # One that is the image of an item is yielded with the texts of that item.
            if (reference not in belongs) and (image := _image_object(item)):
                yield image
        else:
            yield from _item_images(item, by_id, left_out)


def typed_texts(
    *, alt: object = "", title: object = "", caption: object = "", confidence: float
) -> tuple[Text, ...]:
    """Returns the texts of an image in metadata; values that are no strings give none.

    A title has at most `TITLE_CONFIDENCE`.
    """
    typed = (
        ("figcaption", caption, confidence),
        ("alt", alt, confidence),
        ("title", title, min(confidence, TITLE_CONFIDENCE)),
    )
    words = ((kind, single_line(unescape(_string(value))), own) for kind, value, own in typed)
    return tuple(
        Text(kind, word[:MAX_METADATA_CHARACTERS], "attribute", own)
        for kind, word, own in words
        if word
    )


def _items(scripts: Iterable[str]) -> list[Item]:
    """The objects of the scripts, each after the one around it, without those that are no content.

    Objects under an image property are left to their item.
    """
    waiting: deque[object] = deque(value for text in scripts for value in _decoded(text))
    items: list[Item] = []
    # Breadth first, so that the limit cuts off the innermost values.
    for _ in range(MAX_JSON_LD_NODES):
        if not waiting:
            break
        one = waiting.popleft()
        if isinstance(one, list):
            waiting.extend(islice(one, MAX_JSON_LD_NODES))
        elif isinstance(one, dict):
            items.append(one)
            no_content = bool(_types(one) & _NO_CONTENT_TYPES)
            waiting.extend(
                inner
                for key, inner in islice(one.items(), MAX_JSON_LD_NODES)
                if isinstance(inner, dict | list)
                and key not in _LEFT_OUT
                and not (key in _IMAGE_PROPERTIES or (no_content and key != "mainEntity"))
            )
    return items


def _decoded(text: str) -> Iterator[object]:
    # Some pages wrap it in <!-- --> or CDATA, or end it with a semicolon.
    if "<![CDATA[" in text[:40]:
        text = text.partition("<![CDATA[")[2]
    start = min((place for mark in "[{" if (place := text.find(mark)) >= 0), default=-1)
    if start < 0 or len(text) > MAX_JSON_LD_CHARACTERS:
        return
    try:
        yield _DECODER.raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return


def _referenced(items: Sequence[Item], properties: frozenset[str]) -> set[str]:
    """The ids of what the items have under these properties."""
    return {
        reference
        for item in items
        for key in properties & item.keys()
        for value in _listed(item[key])
        if isinstance(value, dict) and (reference := _string(value.get("@id")))
    }


def _item_images(
    item: Item, by_id: Mapping[str, Item], left_out: set[str]
) -> Iterator[MetadataImage]:
    """The images of an article, product, recipe, step, or the like."""
    values = [
        value for key in _IMAGE_PROPERTIES if key in item for value in _listed(item[key])
    ] or _listed(item.get("thumbnailUrl"))
    found = (_item_image(value, by_id, left_out) for value in values[:MAX_ITEM_IMAGES])
    images = list({image.url: image for image in found if image is not None}.values())
    title = item.get("headline") or item.get("name")
    texts = typed_texts(caption=_step_text(item), title=title, confidence=ITEM_CONFIDENCE)
    if len(images) > 1:
        texts = tuple(
            replace(one, relation="shared", confidence=SHARED_CONFIDENCE) for one in texts
        )
    licence, author = _licence(item), _author(item)
    for image in images:
        own = {text.type for text in image.texts}
        added = tuple(text for text in texts if text.type not in own)
        yield replace(
            image,
            texts=image.texts + added,
            licence=image.licence or licence,
            author=image.author or author,
        )


def _item_image(
    value: object, by_id: Mapping[str, Item], left_out: set[str]
) -> MetadataImage | None:
    if isinstance(value, str):
        url = _address(value)
        return MetadataImage(url=url) if url else None
    if not isinstance(value, dict):
        return None
    reference = _string(value.get("@id"))
    if reference in left_out or _types(value) & _NO_CONTENT_TYPES:
        return None
    if image := _image_object(value):
        return image
    found = by_id.get(reference)
    if found is not None:
        return _image_object(found)
    # Some pages use the address of the image as its id, without an object of that id.
    return MetadataImage(url=reference) if has_image_extension(reference) else None


def _image_object(item: Item) -> MetadataImage | None:
    addresses = [
        _first_address(item.get(key)) for key in ("contentUrl", "url", "thumbnailUrl", "thumbnail")
    ]
    # `url` is the page of the image where `contentUrl` is given.
    if addresses[0]:
        addresses[1] = ""
    urls = list(dict.fromkeys(url for url in addresses if url))
    if not urls:
        return None
    return MetadataImage(
        url=urls[0],
        smaller_urls=tuple(urls[1:]),
        texts=typed_texts(
            caption=item.get("caption"),
            alt=item.get("description"),
            title=item.get("name") or item.get("headline"),
            confidence=OWN_CONFIDENCE,
        ),
        licence=_licence(item),
        author=_author(item),
    )


def _step_text(item: Item) -> object:
    return item.get("text") if _types(item) & {"HowToStep", "HowToDirection"} else ""


def _types(item: Item) -> set[str]:
    return {_string(one).rpartition("/")[2] for one in _listed(item.get("@type"))}


def _licence(item: Item) -> str:
    return _url_value(item.get("license")) or _url_value(item.get("acquireLicensePage"))


def _author(item: Item) -> str:
    return next(
        (
            name
            for key in ("creditText", "author", "creator")
            if (name := _name_value(item.get(key)))
        ),
        "",
    )


def _first_address(value: object) -> str:
    for one in _listed(value):
        inner = (one.get("contentUrl") or one.get("url")) if isinstance(one, dict) else one
        if url := _address(_string(inner)):
            return url
    return ""


def _address(value: str) -> str:
    """The address, if it may be that of an image."""
    url = value.strip()
    path = url.partition("#")[0].partition("?")[0]
    is_page = path.endswith("/") or _PAGE_EXTENSION.search(path[-10:])
    return "" if is_page or len(url) > MAX_URL_CHARACTERS or _SURROGATE.search(url) else url


def _url_value(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url")
    return _string(value).strip()[:MAX_URL_CHARACTERS]


def _name_value(value: object) -> str:
    value = next(iter(_listed(value)), "")
    if isinstance(value, dict):
        value = value.get("name")
    return single_line(_string(value))[:MAX_METADATA_CHARACTERS]


def _string(value: object) -> str:
    """A string, that of a list's first element, or that of a value in a language."""
    if isinstance(value, list):
        value = next((one for one in value if one), "")
    if isinstance(value, dict):
        value = value.get("@value")
    return _SURROGATE.sub("", value) if isinstance(value, str) else ""


def _listed(value: object) -> list[object]:
    if isinstance(value, list):
        return value[:MAX_JSON_LD_NODES]
    return [] if value is None else [value]
