"""A decoder that was taken over may respond with anything: each response is a drop, the next image
gets another process, and no exception reaches the build."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wenlan_data.errors import DamageError
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, Origin
from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox import process
from wenlan_data.sandbox.pages import (
    INLINE,
    read_candidates,
    read_explanation,
    read_inline_images,
    read_links,
    read_listing,
)
from wenlan_data.sandbox.protocol import DROP, FACTS, IMAGE, RESULT
from wenlan_data.testing import make_image


def _json(**values: object) -> bytes:
    return json.dumps(values).encode()


CANDIDATE: dict[str, object] = {
    "url": "http://a.example/1.jpg",
    "texts": [],
    "page_url": "",
    "source": "",
    "licence": "",
    "author": "",
    "opt_out": [],
    "origin": None,
    "no_content": None,
    "boxes": [],
    "fallback_urls": [],
}
RESPONSES = [
    (FACTS, b"", b""),
    (FACTS, b"\xff" * 200, b""),
    (FACTS, b"a" * 64 + b"bmp", b""),
    (DROP, b"", b""),
    (DROP, b"[]", b""),
    (DROP, b'{"reason": 1, "other": 2}', b""),
    (DROP, b"[" * 100_000, b""),
    (IMAGE, b"[9, 9, 3]", b"x"),
    (IMAGE, b"{}", b"x"),
    (IMAGE, b"[-1, 0, 10**9]", b""),
    (RESULT, b"\xff\xfe", b"\xff\xff\xff\xff"),
    (RESULT, b"[[[[", b"\1\0\0\0\xff\xff\xff\xff"),
    (RESULT, b"[1, null, []]", b"\0\0\0\0"),
    (RESULT, b"[" * 200_000 + b"]" * 200_000, b""),
    (RESULT, b'{"urls": 7}', b""),
    # Of the right structure, and of other types than a table can hold.
    (FACTS, struct.pack("<QIIQ", 1, 1 << 31, 1, 1) + bytes(40) + b"jpeg", b""),
    (FACTS, struct.pack("<QIIQ", 1 << 63, 1, 1, 1) + bytes(40) + b"jpeg", b""),
    (FACTS, struct.pack("<QIIQ", 1, 0, 1, 1) + bytes(40) + b"jpeg", b""),
    (DROP, _json(reason="x", detail="", retryable=False, page_url=""), b""),
    (DROP, _json(reason="timeout", detail=5, retryable=False, page_url=""), b""),
    (DROP, _json(reason="timeout", detail="", retryable="no", page_url=None), b""),
    (DROP, b'{"reason": "timeout", "detail": "\\ud800", "retryable": false, "page_url": ""}', b""),
    (IMAGE, b'[-5, "z"]', b"x"),
    (IMAGE, b"[9]", b"xxxxxxxxx"),
    (IMAGE, b"[true, true, 3]", b"xxx"),
    (IMAGE, b"[1, 3, 1]", b"xxx"),
    (RESULT, json.dumps([CANDIDATE | {"url": 5}]).encode(), b""),
    (RESULT, json.dumps([CANDIDATE | {"source": [1]}]).encode(), b""),
    (RESULT, json.dumps([CANDIDATE | {"page_url": None}]).encode(), b""),
    (RESULT, json.dumps([CANDIDATE | {"boxes": [[1, 2, 3]]}]).encode(), b""),
    (RESULT, json.dumps([CANDIDATE | {"texts": [{"type": 1, "text": "x"}]}]).encode(), b""),
    (RESULT, json.dumps([CANDIDATE | {"no_content": {"reason": "x"}}]).encode(), b""),
    (RESULT, _json(urls=[1, None, {}], omitted="x"), b""),
    (RESULT, _json(links={"urls": [1], "omitted": 0}, soft=""), b""),
    (RESULT, _json(links={"urls": [], "omitted": 0}, soft=5), b""),
    (RESULT, _json(links={"urls": [], "omitted": 0}, soft="other"), b""),
    (RESULT, _json(urls=1, url=1, soft_error="", blocks=[], images=[], ignored=[], drops=[]), b""),
    (
        RESULT,
        _json(urls=1, url="", soft_error="", blocks=[], images=[{}], ignored=[], drops=[]),
        b"",
    ),
    (200, b"x", b"y"),
]
# It gives the response whose number is the last line of the request.
SCRIPT = f"""
from wenlan_data.sandbox import worker

RESPONSES = {RESPONSES!r}

def garble(options, data):
    return RESPONSES[int(data.rpartition(b"\\n")[2])]

for kind in worker.HANDLERS: worker.HANDLERS[kind] = garble
worker.main()
"""


@pytest.fixture(autouse=True)
def _garbling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    script = tmp_path / "garbling.py"
    script.write_text(SCRIPT)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    yield
    sandbox.close_all()


def _pairs(data: bytes) -> object:
    [found] = read_candidates(data, content_type="", url="", source="", signals=(),
                              page_origin=Origin(kind=INLINE, path=""))  # fmt: skip
    return found


def _normalised(data: bytes) -> object:
    with pytest.raises(DamageError):
        sandbox.normalise(data, max_side_px=9, jpeg_quality=90)
    return Drop("decoder_crash")


def _batch(data: bytes) -> object:
    first, second = sandbox.check_images([data, data], ["", ""], ImageRules(), 90)
    assert second == first
    return first.found


REQUESTS: dict[str, Callable[[bytes], object]] = {
    "check": lambda data: sandbox.check_image(data, ImageRules()),
    "batch": _batch,
    "pixels": sandbox.decode_stored,
    "normalise": _normalised,
    "pairs": _pairs,
    "links": lambda data: read_links(data, content_type="", url="", max_links=9),
    "listing": lambda data: read_listing(data, url=""),
    "explanation": lambda data: read_explanation(
        data, content_type="", url="", fallback_url="", signals=()
    ),
    "inline images": lambda data: read_inline_images(data, content_type="", names=["x", "y"])[0],
}


@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_garbled_response_is_a_drop(request_name: str) -> None:
    for number in range(len(RESPONSES)):
        found = REQUESTS[request_name](make_image(1) + b"\n%d" % number)
        assert isinstance(found, Drop), number
        assert found.reason == "decoder_crash", number
