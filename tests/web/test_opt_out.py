import json

import pytest

from wenlan_data.records import Drop
from wenlan_data.web.opt_out import RESERVED, header_signals, opt_out, parse_reservations


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("noai", ["noai"]),
        ("NoImageAI, noindex", ["noimageai", "noindex"]),
        ("none", ["none"]),
        ("noimageindex", ["noimageindex"]),
        ("otherbot: noindex, noai", []),
        ("wenlan-data: noai", ["noai"]),
        ("otherbot: noindex, *: noai", ["noai"]),
        ("unavailable_after: 25 Jun 2030, noai", ["noai"]),
        ("nofollow, nosnippet, all", []),
    ],
)
def test_the_signals_of_a_header(value: str, words: list[str]) -> None:
    headers = [("Content-Type", "image/jpeg"), ("x-robots-tag", value)]
    assert header_signals(headers) == tuple(f"X-Robots-Tag: {word}" for word in words)


def test_a_signal_drops_the_image_for_good() -> None:
    assert opt_out(()) is None
    assert opt_out(("X-Robots-Tag: noai",)) == Drop("opt_out", "X-Robots-Tag: noai")


@pytest.mark.parametrize(
    "value",
    [
        "unavailable_after: Sunday, 01-Jan-30 00:00:00 GMT, noai",
        "unavailable_after: Sun, 01 Jan 2030 15:00:00 +0000, noai",
        "unavailable_after: 25 Jun 2030 15:00:00 PST, noai",
        "otherbot: noindex, *: noai",
        "max-snippet: 10, noai",
    ],
)
def test_a_date_is_no_agent(value: str) -> None:
    assert header_signals([("X-Robots-Tag", value)]) == ("X-Robots-Tag: noai",)


@pytest.mark.parametrize(
    "value", ["otherbot: unavailable_after: 25 Jun 2030 15:00:00 PST, noai", "otherbot/2.1: noai"]
)
def test_words_after_another_agent_are_its_own(value: str) -> None:
    assert header_signals([("X-Robots-Tag", value)]) == ()


@pytest.mark.parametrize("path", ["/%31.jpg", "/x/../1.jpg", "/%2E/1.jpg"])
def test_escapes_lead_past_no_reservation(path: str) -> None:
    for pattern in ("/1.jpg", "/%31.jpg"):
        rules = parse_reservations(
            json.dumps([{"location": pattern, "tdm-reservation": 1}]).encode()
        )
        assert rules.signals(f"http://a.cn{path}") == (RESERVED,)
