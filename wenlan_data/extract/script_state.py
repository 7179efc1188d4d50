"""Image-text pairs in the JSON state of scripts: galleries, slides, data of single-page sites."""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from itertools import islice

from wenlan_data.extract.html import parse_html
from wenlan_data.extract.image_urls import is_image_address, is_placeholder
from wenlan_data.extract.script_json import script_values
from wenlan_data.extract.script_keys import (
    is_ad_key,
    is_left_out,
    is_size_list,
    is_user_key,
    names_address,
    names_image,
    names_other_image,
    size_of_key,
    text_type_of_key,
)
from wenlan_data.extract.single_line import single_line, truncate
from wenlan_data.records import Relation, Text

MAX_NODES = 50_000
"""Arrays, objects and elements of arrays of one page that are read, breadth first."""
MAX_DEPTH = 40
MAX_MEMBERS = 200
"""Of an object that describes an image; one with more is a list by key."""
MAX_IMAGES = 200
MAX_TEXTS = 6
"""Of one image."""
MAX_TEXT_CHARACTERS = 500
MAX_CAPTION_CHARACTERS = 120
"""A longer description is a text around an image rather than its caption."""
MAX_HTML_CHARACTERS = 20_000
"""Of one text, before its markup is removed."""
MAX_OBJECTS_PER_IMAGE = 3
"""With different texts. An address in more objects is that of a default image."""
OWN_CONFIDENCE = 0.8
PARENT_CONFIDENCE = 0.7
SHARED_CONFIDENCE = 0.7
"""Of the text of a post, for each image of its array of images."""

_HAN = re.compile(r"[㐀-鿿豈-﫿\U00020000-\U0003ffff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_IMAGE_TAG = re.compile(r"<img\b", re.IGNORECASE)
_HIDDEN = re.compile(r"<(?:script|style|template|textarea|!--)", re.IGNORECASE)
_LINE_BREAK = re.compile(r"<(?:br|/?(?:p|div|li|tr|h[1-6]))\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]*>|&(?:#\d|#x|[a-zA-Z]{2,8};)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptImage:
    """An image that the JSON state of a script names, with the texts of its object."""

    url: str
    """As written, of the largest copy."""
    texts: tuple[Text, ...]
    smaller_urls: tuple[str, ...] = ()
    """Other addresses of the same image, the largest first."""


@dataclass(frozen=True, slots=True)
class _Address:
    url: str
    size: float
    """By key, see `size_of_key`."""
    width: float
    """Pixels; 0 where none is stated."""
    has_size: bool
    """Whether it is that of one of several sizes."""


@dataclass(slots=True)
class _JsonObject:
    """One object of the state, and the strings in arrays that are its members."""

    key: str
    parent: int
    members: dict[str, object]
    listed: list[tuple[str, str]] = field(default_factory=list)
    children: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Contents:
    """The images of an object and of those inside it."""

    images: int = 0
    bare: int = 0
    """Images that have no text."""
    single: tuple[str, ...] = ()
    """Addresses of the image of the object itself, if that is its only one and has no text."""
    width: float = 0.0


_NOTHING = _Contents()
_Pair = tuple[tuple[str, ...], tuple[Text, ...]]
"""All addresses of an image, the largest copy first, and its texts."""


def script_images(scripts: Iterable[str]) -> tuple[ScriptImage, ...]:
    """Returns the images in the JSON state of a page's scripts that have a text, each once.

    A text belongs to an image where both are members of one object, or where the image is the only
    one in an object inside it. Objects about people, advertisements, tags, shops and the site are
    left out; so is what is no JSON, and an image that stands in several objects as a default.

    >>> found = script_images(['window.slides = [{"img": "/a/1.jpg", "title": "湖边的石桥"}]'])
    >>> [(image.url, image.texts[0].text) for image in found]
    [('/a/1.jpg', '湖边的石桥')]
    """
    pairs: dict[str, list[_Pair]] = {}
    nodes_left = MAX_NODES
    for value in script_values(scripts):
        objects, nodes = _objects(value, nodes_left)
        nodes_left -= nodes
        for urls, texts in _pairs(objects):
            if urls[0] in pairs or len(pairs) < MAX_IMAGES:
                pairs.setdefault(urls[0], []).append((urls, texts))
    return tuple(
        _script_image(some)
        for some in pairs.values()
        if len({texts for _, texts in some}) <= MAX_OBJECTS_PER_IMAGE
    )


def _script_image(pairs: Sequence[_Pair]) -> ScriptImage:
    urls = list(dict.fromkeys(url for own, _ in pairs for url in own))
    texts = dict.fromkeys(text for _, own in pairs for text in own)
    return ScriptImage(url=urls[0], smaller_urls=tuple(urls[1:]), texts=tuple(texts)[:MAX_TEXTS])


def _objects(value: object, max_nodes: int) -> tuple[list[_JsonObject], int]:
    """The objects of a JSON value, each after its parent, without those that are no content; and
    the number of nodes read."""
    objects: list[_JsonObject] = []
    # Breadth first, so that the limit cuts off the innermost values.
    waiting: deque[tuple[object, str, int, int]] = deque([(value, "", -1, 0)])
    nodes = 0
    while waiting and nodes < max_nodes:
        node, key, parent, depth = waiting.popleft()
        nodes += 1
        if isinstance(node, dict):
            if parent >= 0:
                objects[parent].children.append(len(objects))
            objects.append(_JsonObject(key, parent, node))
            inner = [(own, name) for name, own in node.items() if not is_left_out(name)]
            parent = len(objects) - 1
        elif isinstance(node, list):
            inner = [(own, key) for own in islice(node, max_nodes - nodes)]
            nodes += sum(isinstance(own, str) for own, _ in inner)
            if parent >= 0:
                objects[parent].listed += [(key, own) for own, _ in inner if isinstance(own, str)]
        else:
            continue
        if depth < MAX_DEPTH:
            waiting += [
                (own, name, parent, depth + 1)
                for own, name in inner
                if isinstance(own, dict | list)
            ]
    return objects, nodes


def _pairs(objects: Sequence[_JsonObject]) -> Iterator[_Pair]:
    contents = [_NOTHING] * len(objects)
    found: list[_Pair] = []
    # Children come before their parents this way.
    for index in range(len(objects) - 1, -1, -1):
        contents[index], pairs = _read(objects, index, contents)
        found += reversed(pairs)
    return reversed(found)


def _read(
    objects: Sequence[_JsonObject], index: int, contents: Sequence[_Contents]
) -> tuple[_Contents, list[_Pair]]:
    """The contents of an object whose children were read, and its pairs: one, or those of an array
    of images that share its text."""
    one = objects[index]
    if len(one.members) <= MAX_MEMBERS and _is_user_or_ad(one.members):
        return _NOTHING, []
    width = _number(one.members, "width") or _number(one.members, "w")
    addresses, inner = _own_addresses(one, width), []
    repeated = _arrays_of_copies(objects, index, contents, {own.url for own in addresses})
    for number in one.children:
        if copies := _copies(objects[number].key, contents[number], repeated):
            addresses += copies
        else:
            inner.append(contents[number])
    images = _grouped(addresses)
    count = len(images) + sum(child.images for child in inner)
    bare = sum(child.bare for child in inner)
    if len(images) == 1:
        # A text beside further images without text may be that of all.
        texts = _texts(one.members, OWN_CONFIDENCE) if not bare else ()
        if texts:
            return _Contents(images=count), [(images[0], texts)]
        single = images[0] if count == 1 and not _has_text(one.members) else ()
        return _Contents(count, bare + 1, single, width), []
    singles = [child.single for child in inner if child.single]
    if not images and count == 1 and singles and (texts := _texts(one.members, PARENT_CONFIDENCE)):
        return _Contents(images=1), [(singles[0], texts)]
    gallery = singles if not images and 1 < count == len(singles) == bare else []
    if gallery and (listed := _listed_texts(one.members, len(gallery))):
        pairs = zip(gallery, listed, strict=True)
        return _Contents(images=count), [(urls, texts) for urls, texts in pairs if texts]
    if (
        gallery
        and _is_one_array(objects, index)
        and (texts := _texts(one.members, SHARED_CONFIDENCE))
    ):
        shared = tuple(replace(text, relation="shared") for text in texts)
        return _Contents(images=count), [(urls, shared) for urls in gallery]
    return _Contents(count, bare + len(images)), []


def _listed_texts(members: Mapping[str, object], count: int) -> list[tuple[Text, ...]]:
    """The texts of each image of a gallery whose object has arrays of as many texts, such as
    `sub_abstracts` beside `sub_images`; empty without one."""
    texts: dict[str, list[str]] = {}
    for key, value in members.items():
        if isinstance(value, list) and len(value) == count and text_type_of_key(_singular(key)):
            some = [one for one in value if isinstance(one, str)]
            if len(some) == count:
                texts[_singular(key)] = some
    found = [
        _texts({key: some[place] for key, some in texts.items()}, OWN_CONFIDENCE)
        for place in range(count)
    ]
    return found if any(found) else []


def _singular(key: str) -> str:
    return key.removesuffix("s")


def _is_one_array(objects: Sequence[_JsonObject], index: int) -> bool:
    """Whether the images of an object are the elements of one of its arrays: those of a post."""
    one = objects[index]
    keys = {objects[number].key for number in one.children if not is_left_out(objects[number].key)}
    listed = [key for key, value in one.members.items() if isinstance(value, list) and key in keys]
    return len(listed) == 1 and names_image(listed[0])


def _is_user_or_ad(members: Mapping[str, object]) -> bool:
    return any(
        (is_user_key(key) and isinstance(value, str | int)) or (is_ad_key(key) and bool(value))
        for key, value in members.items()
    )


def _own_addresses(one: _JsonObject, width: float) -> list[_Address]:
    has_sides = bool(width and (_number(one.members, "height") or _number(one.members, "h")))
    members = one.members.items() if len(one.members) <= MAX_MEMBERS else ()
    strings = [(key, value) for key, value in members if isinstance(value, str)]
    found = []
    for key, value in [*strings, *one.listed]:
        named = names_image(key) or (has_sides and names_address(key))
        url = value.strip()
        if "&amp;" in url:
            url = unescape(url)
        if names_other_image(key) or not is_image_address(url, named=named):
            continue
        if not is_placeholder(url) and not _SURROGATE.search(url):
            size, has_size = size_of_key(key)
            found.append(_Address(url, size, 0.0, has_size or is_size_list(key)))
    # A width is that of the one address beside it.
    return [replace(found[0], width=width)] if len(found) == 1 else found


def _arrays_of_copies(
    objects: Sequence[_JsonObject], index: int, contents: Sequence[_Contents], own: set[str]
) -> set[str]:
    """Keys of arrays that hold an object for each size of the image, among them the one that the
    object itself names."""
    if len(own) != 1:
        return set()
    children = objects[index].children
    stem = _file_name(next(iter(own))).rpartition(".")[0]
    keys = {objects[number].key for number in children if own & set(contents[number].single)}
    return {
        key
        for key in keys
        if all(
            any(_file_name(url).startswith(stem) for url in contents[number].single)
            for number in children
            if objects[number].key == key
        )
    }


def _copies(key: str, child: _Contents, repeated: set[str]) -> list[_Address]:
    """The addresses of an object that holds one size of its parent's image."""
    size, has_size = size_of_key(key)
    if not child.single or not (has_size or is_size_list(key) or key in repeated):
        return []
    return [_Address(url, size, child.width, has_size=True) for url in child.single]


def _grouped(addresses: Sequence[_Address]) -> list[tuple[str, ...]]:
    """The addresses of each image: those whose keys name sizes are copies of the one beside them."""
    if not addresses:
        return []
    plain = {_file_name(one.url) for one in addresses if not one.has_size}
    if len(plain) > 1:
        return [(one.url,) for one in addresses if not one.has_size]
    if all(one.width for one in addresses):
        ordered = sorted(addresses, key=lambda one: -one.width)
    else:
        ordered = sorted(addresses, key=lambda one: -one.size)
    return [tuple(dict.fromkeys(one.url for one in ordered))]


def _file_name(url: str) -> str:
    return re.split(r"[?#!@~]", url, maxsplit=1)[0].rpartition("/")[2] or url


def _number(members: Mapping[str, object], key: str) -> float:
    value = members.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 8:
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6:
        return float(value)
    return 0.0


def _has_text(members: Mapping[str, object]) -> bool:
    return any(
        isinstance(value, str) and text_type_of_key(key) and _HAN.search(value)
        for key, value in members.items()
    )


def _texts(members: Mapping[str, object], confidence: float) -> tuple[Text, ...]:
    found = []
    for key, value in members.items():
        if not isinstance(value, str) or not _HAN.search(value):
            continue
        kind = text_type_of_key(key)
        text = _plain_text(value) if kind else ""
        if not _HAN.search(text):
            continue
        if kind != "title" and len(text) > MAX_CAPTION_CHARACTERS:
            kind = "surrounding"
        elif kind == "content":
            kind = "figcaption"
        relation: Relation = "attribute" if kind == "alt" else "container"
        found.append(Text(kind, truncate(text, MAX_TEXT_CHARACTERS), relation, confidence))
    return tuple(dict.fromkeys(found))[:MAX_TEXTS]


def _plain_text(value: str) -> str:
    """A text of one line without markup; empty if it holds images of its own."""
    text = _SURROGATE.sub("", value[:MAX_HTML_CHARACTERS])
    # Twice: some state holds HTML that is escaped.
    for _ in range(2):
        if _IMAGE_TAG.search(text):
            return ""
        if not _MARKUP.search(text):
            break
        text = _without_markup(text)
    return "" if _IMAGE_TAG.search(text) else single_line(text)


def _without_markup(text: str) -> str:
    if _HIDDEN.search(text):
        page = parse_html(text)
        if page is None or page.body is None:
            return ""
        page.strip_tags(["script", "style", "template"])
        return page.body.text()
    # Without a parser, which takes 0.1 ms for the shortest text.
    return unescape(_TAG.sub("", _LINE_BREAK.sub("\n", text)))
