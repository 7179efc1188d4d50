import pytest

from wenlan_data.records import Drop
from wenlan_data.web.opt_out import header_signals, opt_out


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
