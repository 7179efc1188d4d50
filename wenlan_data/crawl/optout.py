"""Signals by which a site says that its pictures are not for machine learning."""

from collections.abc import Iterable

from wenlan_data.records import Drop

OPT_OUT_WORDS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
AGENT = "wenlan-data"


def header_signals(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The opt-outs among a response's headers, such as `X-Robots-Tag: noai` or `tdm-reservation: 1`; sorted, each once.

    A value that names an agent (`otherbot: noindex`) counts only where it names ours.
    """
    signals: set[str] = set()
    for name, value in headers:
        if name.lower() == "x-robots-tag":
            signals.update(f"X-Robots-Tag: {word}" for word in _words(value))
        elif name.lower() == "tdm-reservation" and value.strip() == "1":
            signals.add("tdm-reservation: 1")
    return tuple(sorted(signals))


def opt_out(signals: tuple[str, ...]) -> Drop | None:
    """The drop of a picture that carries one of these signals."""
    return Drop("opt_out", ", ".join(signals)) if signals else None


def _words(value: str) -> set[str]:
    found: set[str] = set()
    ours = True
    for part in value.lower().split(","):
        agent, colon, rest = part.partition(":")
        if colon and agent.strip() not in {
            "unavailable_after",
            "max-snippet",
            "max-image-preview",
            "max-video-preview",
        }:
            ours = agent.strip() in {AGENT, "*"}
            part = rest
        if ours and part.strip() in OPT_OUT_WORDS:
            found.add(part.strip())
    return found
