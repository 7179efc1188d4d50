"""How a block of text is formatted, as far as its markup tells."""

import re
from collections.abc import Mapping
from functools import lru_cache

from wenlan_data.extract.page_tree import Box, TextBlock

_PROPERTY = re.compile(
    r"(text-align|text-indent|color|font-size|font-style|font-weight|font-family)\s*:\s*([^;]{1,60})",
    re.I,
)
_UNIFORM_TAGS = frozenset({"a", "abbr", "cite", "code", "mark", "q", "sub", "sup", "bdi", "time"})


def text_style(block: TextBlock) -> str:
    """Returns a signature of a block's element, classes, alignment and formatting.

    Captions of one page share it, and differ by it from paragraphs.
    """
    parts = [_of_element(block.parent.attributes, block.parent.tag)]
    box: Box | None = block.parent
    # A `div` around a text alone formats it as well. A row with one cell looks like one with more.
    for _ in range(3):
        outer = box.parent if box is not None else None
        if outer is None or outer.text_count != 1 or outer.image_count or outer.tag == "tr":
            break
        parts.append(_of_element(outer.attributes, outer.tag))
        box = outer
    parts += [
        _of_element(one.attributes, one.tag or "")
        for one in block.wrappers
        if one.tag not in _UNIFORM_TAGS
    ]
    return "|".join(parts)


def _of_element(attributes: Mapping[str, str | None], tag: str) -> str:
    if not attributes:
        return tag
    return _signature(
        tag,
        attributes.get("class") or "",
        (attributes.get("align") or "").lower(),
        attributes.get("style") or "",
        attributes.get("color") or attributes.get("size") or "",
    )


@lru_cache(maxsize=4096)
def _signature(tag: str, classes: str, align: str, style: str, colour: str) -> str:
    properties = {
        name.lower(): value.strip().lower() for name, value in _PROPERTY.findall(style[:500])
    }
    align = align or properties.pop("text-align", "")
    rest = ",".join(f"{name}={value}" for name, value in sorted(properties.items()))
    if not (classes or align or rest or colour):
        return tag
    return f"{tag}.{' '.join(sorted(classes.split()))}/{align}/{rest}/{colour}"
