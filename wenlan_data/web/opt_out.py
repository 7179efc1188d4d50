"""Signals by which a site says that its pictures are not for machine learning."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

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
        elif name.lower() == OWN_HEADER.lower() and value in {RESERVED, NO_TRAINING}:
            signals.add(value)
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


MAX_RESERVATIONS = 1000
"""Of one tdmrep.json."""
RESERVED = "tdmrep.json: tdm-reservation: 1"
NO_TRAINING = "robots.txt Content-Usage: train-ai=n"
OWN_HEADER = "X-Crawler-Opt-Out"
"""Of a recorded page: a signal that the crawl saw elsewhere than in the page's own headers."""
_USAGE = re.compile(r"train-ai\s*=\s*([a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reservations:
    """What a host's `/.well-known/tdmrep.json` (TDM Reservation Protocol of the W3C's group) says of its paths."""

    rules: tuple[tuple[str, bool], ...] = ()
    """Pattern of a path (`*`, and `$` at its end, as in robots.txt) to whether mining is reserved."""

    def signals(self, url: str) -> tuple[str, ...]:
        """The signal of a URL that is reserved: the longest fitting pattern decides, of equal ones the reservation."""
        path = path_of(url)
        fitting = [
            (len(pattern), reserved) for pattern, reserved in self.rules if _fits(pattern, path)
        ]
        return (RESERVED,) if max(fitting, default=(0, False))[1] else ()


def parse_reservations(payload: bytes) -> Reservations:
    """The rules of a tdmrep.json; none in what is no list of them."""
    try:
        listed = json.loads(payload)
    except (ValueError, RecursionError):
        return Reservations()
    rules = []
    for one in listed[:MAX_RESERVATIONS] if isinstance(listed, list) else ():
        location = one.get("location") if isinstance(one, dict) else None
        if isinstance(location, str) and "tdm-reservation" in one:
            rules.append((location[:2048], str(one["tdm-reservation"]) == "1"))
    return Reservations(tuple(rules))


def reserved_paths(robots: str) -> tuple[tuple[str, bool], ...]:
    """`Content-Usage` of a robots.txt for us, or else for all: start of a path to whether training is reserved."""
    groups: dict[str, list[tuple[str, bool]]] = {}
    agents: list[str] = []
    in_rules = True
    for line in robots.splitlines():
        name, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        if name.lower() == "user-agent":
            agents = [value.lower()] if in_rules else [*agents, value.lower()]
            in_rules = False
        elif name:
            in_rules = True
            if name.lower() == "content-usage" and (found := _USAGE.search(value)):
                path = value.split()[0] if value.startswith("/") else "/"
                for agent in agents:
                    groups.setdefault(agent, []).append((path, found[1].lower() == "n"))
    return tuple(groups.get(AGENT) or groups.get("*") or ())


def path_of(url: str) -> str:
    """Path and query of a URL, as rules of a site name them."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _fits(pattern: str, path: str) -> bool:
    """Whether a path begins as the pattern says. Leftmost pieces first, so it takes linear time."""
    start, *pieces = pattern.removesuffix("$").split("*")
    if not path.startswith(start):
        return False
    at = len(start)
    for number, piece in enumerate(pieces, 1):
        if number == len(pieces) and pattern.endswith("$"):
            return path.endswith(piece) and len(path) - len(piece) >= at
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return at == len(path) if pattern.endswith("$") else True
