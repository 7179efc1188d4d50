"""Robots rules (RFC 9309), parsed by protego.

A robots.txt that cannot be read forbids every request for now.
"""

import math
import re
from dataclasses import dataclass

from protego import Protego

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.limits import DEFAULTS, Limits
from wenlan_data.web.opt_out import AGENT, NO_TRAINING, path_of, product_token, reserved_paths
from wenlan_data.web.response import Response
from wenlan_data.web.urls import as_sent


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """Rules of one host for our user agent. `text` is empty where everything is allowed."""

    text: str
    parser: Protego | None
    delay_s: float = 0.0
    """Crawl-delay, 0 where none is set."""
    usage: tuple[tuple[str, bool], ...] = ()
    """`Content-Usage` of our group: path to whether training on it is reserved."""

    def refuses(self, url: str) -> Drop | None:
        """The drop of a URL that the rules forbid."""
        if self.parser is None or self.parser.can_fetch(as_sent(url), AGENT):
            return None
        return Drop(Reason.ROBOTS)

    def signals(self, url: str) -> tuple[str, ...]:
        """The opt-out of a URL by `Content-Usage`; of several matching paths the longest
        decides."""
        path = path_of(url)
        matching = [
            (len(start), reserved) for start, reserved in self.usage if path.startswith(start)
        ]
        return (NO_TRAINING,) if max(matching, default=(0, False))[1] else ()


ALLOW_ALL = RobotsRules("", None)


# However it is spaced: of a name that is not replaced, protego keeps a copy of the group's rules.
_USER_AGENT = re.compile(r"\s*user\s*-?\s*agent(?:\s*:|\s)\s*(.*)", re.IGNORECASE)
_ANOTHER = "another-agent"
_LASTING = frozenset(
    {Reason.ADDRESS, Reason.PORT, Reason.SCHEME, Reason.BAD_URL, Reason.TLS, Reason.EXCLUDED}
)


def robots_location(url: str) -> str:
    """The URL of the robots.txt of the host of `url`."""
    scheme, _, rest = url.partition("://")
    netloc = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    return f"{scheme}://{netloc}/robots.txt"


def robots_of(response: Response | Drop, limits: Limits) -> RobotsRules | Drop:
    """The rules of a host whose robots.txt is this response, no redirect; a `Drop` states why no
    URL of the host may be requested.

    4xx other than 429, and redirects that lead nowhere, mean that there are no rules. 5xx, 429 and
    a failed request mean `robots_unavailable`, a transient reason; what the address policy or a
    blocklist refuses, a TLS failure and a bad URL keep their own reason.
    """
    if isinstance(response, Drop):
        return _failed(response)
    if response.status == 200:
        return parse_robots(_text(response, limits.max_parsed_robots_bytes), limits)
    # RFC 9309 counts 401 and 403 as "unavailable", which allows; an operator can be stricter.
    if response.status in {401, 403} and limits.robots_forbidden == "deny":
        return Drop(Reason.ROBOTS, f"robots.txt: {response.status}")
    return (
        _unavailable(str(response.status))
        if response.status == 429 or response.status >= 500
        else ALLOW_ALL
    )


def parse_robots(text: str, limits: Limits = DEFAULTS) -> RobotsRules | Drop:
    """Parses a robots.txt.

    A `Crawl-delay` above `max_crawl_delay_s` gives the drop `crawl_delay`.
    """
    # Most hosts have no rules: a parser for each of them would be waste.
    if not text.strip():
        return ALLOW_ALL
    parser = Protego.parse("\n".join(map(_with_product_token, text.splitlines())))
    delay_s = _delay_s(parser)
    if delay_s > limits.max_crawl_delay_s:
        return Drop(Reason.CRAWL_DELAY, f"{delay_s:g} s")
    return RobotsRules(text, parser, delay_s, reserved_paths(text) if limits.content_usage else ())


def may_retry_robots(robots: RobotsRules | Drop) -> bool:
    """Whether robots.txt is requested again at once; not after a time-out, which has cost enough
    time already, nor where a redirect leads to a host that is abandoned."""
    return (
        isinstance(robots, Drop)
        and robots.reason == Reason.ROBOTS_UNAVAILABLE
        and robots.detail
        not in {Reason.TIMEOUT, Reason.MIN_RATE, Reason.HOST_WAITS, Reason.HOST_UNREACHABLE}
    )


def _unavailable(detail: str) -> Drop:
    return Drop(Reason.ROBOTS_UNAVAILABLE, detail)


def _failed(drop: Drop) -> RobotsRules | Drop:
    # RFC 9309: after too many redirects a crawler may take robots.txt for missing.
    if drop.reason in {Reason.REDIRECT_LIMIT, Reason.BAD_LOCATION}:
        return ALLOW_ALL
    # These keep their own reason, which all URLs of the host get: it says more, and all but a TLS
    # time-out are lasting.
    return drop if drop.reason in _LASTING else _unavailable(drop.reason)


def _with_product_token(line: str) -> str:
    """A line of robots.txt; where it names an agent, our token if the name is ours, else another.

    protego compares whole values, and takes `wenlan` for a name of ours.
    """
    found = _USER_AGENT.fullmatch(line.partition("#")[0])
    if found is None:
        return line
    token = product_token(found[1])
    return f"User-agent: {token if token in {AGENT, '*'} else _ANOTHER}"


def _text(response: Response, max_bytes: int) -> str:
    return response.body[:max_bytes].decode("utf-8-sig", errors="replace").replace("\0", "")


def _delay_s(parser: Protego) -> float:
    delay_s = parser.crawl_delay(AGENT)
    # A host cannot stop the crawl by a delay that is no finite number.
    return float(delay_s) if delay_s is not None and math.isfinite(delay_s) and delay_s > 0 else 0.0
