"""The contract of every plug-in of a role; a plug-in's own test calls the check in one line."""

import copy
import io
from dataclasses import is_dataclass

import numpy as np
import pytest
from PIL import Image

from wenlan_data.protocols import Detector, Rule
from wenlan_data.records import Drop, Region
from wenlan_data.testing import make_image

ODD_TEXTS = (
    "",
    " ",
    "猫",
    "窗台上的三花猫",
    "a\x00b\x1b[31m红\x1b[0m",
    "\ud83d\ude00",  # a surrogate pair in two halves
    "图\ud800片",
    "\udfff",
    "👨‍👩‍👧 ⛰️ 1️⃣ \u200d\ufe0f",
    "\u202e倒\u2066着\u2069",
    "é" + "\u0301\u0316" * 50,
    "\ufeff\u2060\U000e0041\U000e007f",
    "&#0;&#xD800;&#" + "9" * 5000 + ";&amp;amp;lt;",
    "é›ªåœ°é‡Œçš„çº¢ç‹",
    "<a <b <!-- <script {{ ${ [x]( # ## @ ` ** __",
    "0" * 300 + " 1 " * 100,
    "微信" * 100 + "@" * 100,
    "\U0010ffff\ufdd0\ue000\U0002a6d6",
    "한국어 日本語 の русский ไทย",
)


def check_rule(rule: Rule, *, idempotent: bool = True) -> None:
    """A frozen, slotted value that takes any text, gives the same again, and leaves encodable text
    encodable.

    `idempotent`: what it lets pass, it lets pass unchanged the second time.
    """
    kind: type = type(rule)
    name = "surely_no_field"
    assert is_dataclass(kind)
    assert "__slots__" in vars(kind)
    assert hash(rule) == hash(copy.deepcopy(rule))
    with pytest.raises(
        (AttributeError, TypeError)
    ):  # Python 3.11 raises the latter for a frozen, slotted class
        setattr(rule, name, 1)
    for text in ODD_TEXTS:
        result = rule(text)
        assert rule(text) == result
        if isinstance(result, Drop):
            assert result.reason.replace("_", "").isalpha()
            assert not result.retryable
        else:
            _check_text(rule, text, result, idempotent=idempotent)


def _check_text(rule: Rule, text: str, result: str, *, idempotent: bool) -> None:
    if not any("\ud800" <= character <= "\udfff" for character in text):
        result.encode()
    if idempotent:
        assert rule(result) == result


def check_detector(detector: Detector) -> None:
    """A frozen value with every member of the role; loaded, one image and a batch give the same.

    Regions lie inside the image, best score first (equal scores allowed), with a label; none is the
    whole image. Without `needs_pixels` they depend on the image's shape alone; they come either
    from the image or from the source's boxes.
    """
    kind: type = type(detector)
    assert is_dataclass(kind)
    assert isinstance(detector, Detector)
    assert copy.deepcopy(detector) == detector
    with pytest.raises((AttributeError, TypeError)):
        setattr(detector, "batch_size", 1)  # noqa: B010 - mypy knows that it is read-only
    assert detector.batch_size >= 1
    assert type(detector.needs_pixels) is bool
    assert type(detector.from_source) is bool
    assert not (detector.needs_pixels and detector.from_source)
    detector.prepare()
    _check_source_boxes(detector)
    find = detector.load()
    assert find([]) == []
    images = [
        _photograph(seed, width, height)
        for seed, width, height in ((1, 160, 120), (2, 97, 203), (3, 64, 64))
    ]
    alone = [find([one])[0] for one in images]
    together = find(images)
    assert detector.load()(images) == together
    if not detector.needs_pixels:
        assert find([np.zeros_like(one) for one in images]) == together
    if detector.from_source:
        assert together == [[], [], []]
    for one, other, image in zip(alone, together, images, strict=True):
        assert [region.label for region in one] == [region.label for region in other]
        for region, same in zip(one, other, strict=True):
            assert abs(region.score - same.score) < 1e-3
            assert all(abs(a - b) <= 1 for a, b in zip(region.box_xyxy, same.box_xyxy, strict=True))
        _check_regions(one, image.shape[1], image.shape[0])


def _check_source_boxes(detector: Detector) -> None:
    """Large boxes of the source are its regions, in their order, or it ignores them."""
    to_regions = detector.load_boxes()
    boxes = [(20, 10, 120, 100), (0, 0, 160, 120), (20, 10, 120, 100)]
    assert to_regions([]) == []
    regions = to_regions(boxes)
    assert [region.box_xyxy for region in regions] == (boxes if detector.from_source else [])
    _check_regions(regions, 160, 120)


def _check_regions(regions: list[Region], width: int, height: int) -> None:
    assert [region.score for region in regions] == sorted(
        (region.score for region in regions), reverse=True
    )
    for region in regions:
        x1, y1, x2, y2 = region.box_xyxy
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert all(type(side) is int for side in region.box_xyxy)
        assert region.label
        assert 0 <= region.score <= 1


def _photograph(
    seed: int, width: int, height: int
) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(make_image(seed, width=width, height=height))) as image:
        return np.array(image)
