"""Finds JSON values in the scripts and attributes of a page, without evaluating any script."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from wenlan_data.extract.html import Page
from wenlan_data.extract.page_elements import PageElements

MAX_SCRIPT_CHARACTERS = 4 << 20
"""Of all scripts of a page that are read; the rest is left out."""
MAX_ASSIGNMENTS = 2_000
"""Of one script that are tried. What does not decode costs some microseconds."""
MAX_PARSED_STRINGS = 20
"""Of one script. A string that does not end is read to the end of the script."""
WINDOW_CHARACTERS = 64 << 10
"""Distance from the start of a text at which it is cut off: a failed decoding counts the lines
before its place."""

_DATA_TYPES = frozenset(
    {"", "module", "text/javascript", "application/javascript", "application/json", "text/json"}
)
# An array or an object that is not empty, assigned to a variable or a property.
_ASSIGNMENT = re.compile(r"=\s{0,20}(?=\{\s{0,20}\"|\[\s{0,20}(?:[\"\[]|\{\s{0,20}\"))")
# JSON.parse("{\"count\": 1}"): JSON in a string of the script.
_PARSE = re.compile(r"JSON\.parse\(\s{0,20}(?=[\"'])")
_JSON_ATTRIBUTE = re.compile(
    r"(data-[a-z][a-z0-9-]{0,40})\s?=\s?[\"']?\s{0,10}[\[{]", re.IGNORECASE | re.ASCII
)
MAX_ATTRIBUTE_NAMES = 8
"""Names of attributes with JSON on one page; the others are left out."""
_SINGLE_QUOTED = re.compile(r"'((?:[^'\\\n]++|\\.)*+)'")
_ESCAPE = re.compile(r"\\'|(\\.)|\"")
# A script without a word of images or without a Han character holds no pair.
_IMAGE_WORD = re.compile(r"jpe?g|png|webp|gif|img|image|pic|photo", re.IGNORECASE)
_HAN = re.compile(r"[㐀-鿿豈-﫿]|\\u(?:[3-9][0-9a-f]|f[9a])", re.IGNORECASE)

# `strict` forbids line breaks in strings, which real pages write.
_DECODER = json.JSONDecoder(strict=False)


def page_scripts(elements: PageElements) -> Iterator[str]:
    """Yields the scripts inside a page that may hold JSON; JSON-LD and templates are left out."""
    for node, attributes in elements.scripts:
        if (attributes.get("type") or "").strip().lower() in _DATA_TYPES:
            yield node.text()


def json_attributes(page: Page, html: str) -> Iterator[str]:
    """Yields the values of `data-` attributes that begin like JSON, such as the slides of a gallery.

    >>> from wenlan_data.extract.html import parse_html
    >>> html = "<div data-slides='[1, 2]'></div>"
    >>> list(json_attributes(parse_html(html), html))
    ['[1, 2]']
    """
    if "data-" not in html and "DATA-" not in html:
        # Without this test, the pattern takes 2 % of the time of a page.
        return
    found = islice(_JSON_ATTRIBUTE.finditer(html), MAX_ASSIGNMENTS)
    names = list(dict.fromkeys(match[1].lower() for match in found))[:MAX_ATTRIBUTE_NAMES]
    if not names:
        return
    for node in page.css(", ".join(f"[{name}]" for name in names))[:MAX_ASSIGNMENTS]:
        attributes = node.attributes
        for name in names:
            value = (attributes.get(name) or "").strip()
            if value[:1] in {"[", "{"}:
                yield value


def script_values(scripts: Iterable[str]) -> Iterator[object]:
    """Yields the JSON arrays and objects that are a script, begin one, follow a `=` in one, or are
    the string of a `JSON.parse`.

    What is no JSON, such as an object literal with unquoted keys, is left out.

    >>> list(script_values(['window.slides = [{"url": "/1.jpg", "note": "石桥"}];']))
    [[{'url': '/1.jpg', 'note': '石桥'}]]
    """
    left = MAX_SCRIPT_CHARACTERS
    for script in scripts:
        text = script[:left].strip()
        left -= len(text)
        if text and _IMAGE_WORD.search(text) and _HAN.search(text):
            yield from _values(text)


def _values(text: str) -> Iterator[object]:
    if "JSON.parse" in text:
        yield from _parsed_strings(text)
    value, end = _decode(text, 0) if text[0] in "[{" else (None, 0)
    if value is not None:
        yield value
    # Linear: an assignment ends the decoding of the one before it, for `=` is no JSON, or lies in
    # one of its strings; then what follows is JSON for one of the two alone.
    window_start, window = 0, text
    for match in islice(_ASSIGNMENT.finditer(text), MAX_ASSIGNMENTS):
        if match.end() < end:
            continue
        if match.end() - window_start > WINDOW_CHARACTERS:
            window_start, window = match.end(), text[match.end() :]
        value, length = _decode(window, match.end() - window_start)
        if value is not None:
            end = window_start + length
            yield value


def _parsed_strings(text: str) -> Iterator[object]:
    for match in islice(_PARSE.finditer(text), MAX_PARSED_STRINGS):
        start = match.end()
        if text[start] == '"':
            literal, _ = _decode(text, start)
        else:
            single = _SINGLE_QUOTED.match(text, start)
            # JSON has double quotes only.
            literal, _ = _decode(f'"{_ESCAPE.sub(_as_json, single[1])}"' if single else "", 0)
        if isinstance(literal, str) and literal.lstrip()[:1] in {"{", "["}:
            value, _ = _decode(literal.lstrip(), 0)
            if value is not None:
                yield value


def _as_json(escape: re.Match[str]) -> str:
    """An escape of a string in single quotes, for one in double quotes."""
    return escape[1] or {"\\'": "'", '"': '\\"'}[escape[0]]


def _decode(text: str, start: int) -> tuple[object, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
