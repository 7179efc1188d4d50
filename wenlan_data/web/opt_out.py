"""Opt-out signals: how a site states that its content is not to be used for machine learning."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.urls import as_sent

OPT_OUT_WORDS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
AGENT = "wenlan-data"
"""Our product token."""
_TOKEN = re.compile(r"[A-Za-z_-]*")


def header_signals(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The opt-outs among a response's headers, such as `X-Robots-Tag: noai` or `tdm-reservation:
    1`; sorted, each once.

    A value that names an agent (`otherbot: noindex`) counts only where it names ours.
    """
    # A set: several headers often state the same signal.
    signals: set[str] = set()
    for name, value in headers:
        if name.lower() == "x-robots-tag":
            signals.update(f"X-Robots-Tag: {word}" for word in _words(value))
        elif name.lower() == "tdm-reservation" and value.strip() == "1":
            signals.add("tdm-reservation: 1")
        elif name.lower() == OPT_OUT_HEADER.lower() and value in {RESERVED, NO_TRAINING}:
            signals.add(value)
    return tuple(sorted(signals))


def product_token(value: str) -> str:
    """The product token that an agent is named by, lower case: letters, `_` and `-` up to the first
    other character, as google/robotstxt reads it; `*` for all agents.

    >>> product_token("Wenlan-Data/0.1 (a crawler)"), product_token("*"), product_token("wenlan")
    ('wenlan-data', '*', 'wenlan')
    """
    value = value.strip()
    if value[:1] == "*":
        return "*" if not value[1:2].strip() else ""
    found = _TOKEN.match(value)
    return found[0].lower() if found else ""


def opt_out(signals: tuple[str, ...]) -> Drop | None:
    """The drop of an image that carries these signals; None without any."""
    return Drop(Reason.OPT_OUT, ", ".join(signals)) if signals else None


def _words(value: str) -> set[str]:
    found: set[str] = set()
    ours = True
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _DIRECTIVES_WITH_VALUES and _AGENT_NAME.fullmatch(name):
            # An agent applies to the words after it too, up to the next one.
            ours = product_token(name) in {AGENT, "*"}
            part = rest
        # A date has a comma and colons too: no part of it is an agent.
        if ours and part.strip() in OPT_OUT_WORDS:
            found.add(part.strip())
    return found


_DIRECTIVES_WITH_VALUES = {
    "unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"
}  # fmt: skip
_AGENT_NAME = re.compile(r"\s*(?:\*|[a-z_-][^\s]*)\s*")


MAX_RESERVATIONS = 1000
"""Of one tdmrep.json, or one robots.txt."""
RESERVED = "tdmrep.json: tdm-reservation: 1"
NO_TRAINING = "robots.txt Content-Usage: train-ai=n"
OPT_OUT_HEADER = "X-Crawler-Opt-Out"
"""Header added to a recorded page: a signal from robots.txt or tdmrep.json, not from the page
itself."""
_USAGE = re.compile(r"train-ai\s*=\s*([a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reservations:
    """Rules of a host's `/.well-known/tdmrep.json` (TDM Reservation Protocol of a W3C community
    group)."""

    rules: tuple[tuple[str, bool], ...] = ()
    """Pattern of a path (`*`, and `$` at its end, as in robots.txt) to whether mining is
    reserved."""

    def signals(self, url: str) -> tuple[str, ...]:
        """The signal of a reserved URL: the longest matching pattern decides, of equally long ones
        the reservation."""
        path = path_of(url)
        matching = [
            (len(pattern), reserved) for pattern, reserved in self.rules if _matches(pattern, path)
        ]
        return (RESERVED,) if max(matching, default=(0, False))[1] else ()


ALL_RESERVED = Reservations((("", True),))


def parse_reservations(payload: bytes) -> Reservations:
    """Parses a tdmrep.json. Anything but a list of rules reserves nothing."""
    try:
        listed = json.loads(payload)
    except (ValueError, RecursionError):
        # Deeply nested brackets exhaust the parser's stack.
        return Reservations()
    rules = []
    for one in listed[:MAX_RESERVATIONS] if isinstance(listed, list) else ():
        location = one.get("location") if isinstance(one, dict) else None
        if isinstance(location, str) and "tdm-reservation" in one:
            rules.append((comparable(location[:2048]), str(one["tdm-reservation"]) == "1"))
    return Reservations(tuple(rules))


def reserved_paths(robots: str) -> tuple[tuple[str, bool], ...]:
    """`Content-Usage` rules of a robots.txt for our agent, or else for `*`: path prefix to whether
    training is reserved."""
    groups: dict[str, list[tuple[str, bool]]] = {AGENT: [], "*": []}
    agents: set[str] = set()
    in_rules = True
    for line in robots.splitlines():
        name, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        if name.lower() == "user-agent":
            # Consecutive User-agent lines share one group of rules.
            agents = set() if in_rules else agents
            agents |= {product_token(value)} & groups.keys()
            in_rules = False
        elif name:
            in_rules = True
            if name.lower() == "content-usage" and (found := _USAGE.search(value)):
                path = comparable(value.split()[0]) if value.startswith("/") else "/"
                for agent in agents:
                    groups[agent].append((path, found[1].lower() == "n"))
    return tuple((groups[AGENT] or groups["*"])[:MAX_RESERVATIONS])


def path_of(url: str) -> str:
    """Path and query of a URL as it is sent, the part that a site's rules are matched with."""
    parts = urlsplit(as_sent(url))
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return comparable(path)


def comparable(path: str) -> str:
    """A path without escapes of characters that need none, and with the others in upper case (RFC
    3986, 6.2.2).

    >>> comparable("/%31%2fa%e4.jpg")
    '/1%2Fa%E4.jpg'
    """
    return _ESCAPE.sub(_unescape, path) if "%" in path else path


def _unescape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else f"%{found[1].upper()}"


_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")


def _matches(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern with `*` and `$`, as in robots.txt."""
    # Leftmost matches of the pieces between stars suffice, so this takes linear time; a regular
    # expression would not.
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
