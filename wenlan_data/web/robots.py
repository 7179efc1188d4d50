"""Robots rules (RFC 9309): parsed by protego, fetched so that doubt means no."""

import math
from dataclasses import dataclass

from protego import Protego

from wenlan_data.records import Drop
from wenlan_data.web.client import Client
from wenlan_data.web.limits import DEFAULTS, Limits
from wenlan_data.web.opt_out import AGENT, NO_TRAINING, path_of, reserved_paths
from wenlan_data.web.response import Response


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """What a host lets us ask for. `text` is empty where everything is allowed."""

    text: str
    parser: Protego | None
    delay_s: float = 0.0
    """Crawl-delay, 0 where none is set."""
    usage: tuple[tuple[str, bool], ...] = ()
    """`Content-Usage` of our group: path to whether training on it is reserved."""

    def refuses(self, url: str) -> Drop | None:
        """The drop of a URL that the rules forbid."""
        if self.parser is None or self.parser.can_fetch(url, AGENT):
            return None
        return Drop("robots")

    def signals(self, url: str) -> tuple[str, ...]:
        """The opt-out of a URL by `Content-Usage`: the longest path that fits decides."""
        path = path_of(url)
        fitting = [
            (len(start), reserved) for start, reserved in self.usage if path.startswith(start)
        ]
        return (NO_TRAINING,) if max(fitting, default=(0, False))[1] else ()


ALLOW_ALL = RobotsRules("", None)


async def ask_robots(client: Client, url: str) -> RobotsRules | Drop:
    """The rules of the host of `url`, or why the host is not asked in this turn.

    4xx but 429, and too many redirects, mean that there are no rules; 5xx, 429 and every failure to get an
    answer mean that the host waits (`robots_unavailable`).
    """
    scheme, _, rest = url.partition("://")
    netloc = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    limits = client.limits
    reply = await client.fetch(
        f"{scheme}://{netloc}/robots.txt", limits.robots, limits.max_robots_redirects
    )
    if isinstance(reply, Drop):
        return _failed(reply)
    if reply.status == 200:
        return parse_robots(_text(reply, limits.max_parsed_robots_bytes), limits)
    if reply.status in {401, 403} and limits.robots_forbidden == "deny":
        return Drop("robots", f"robots.txt: {reply.status}")
    return (
        _unavailable(str(reply.status)) if reply.status == 429 or reply.status >= 500 else ALLOW_ALL
    )


def parse_robots(text: str, limits: Limits = DEFAULTS) -> RobotsRules | Drop:
    """The rules in a robots.txt; `crawl_delay` where more than a minute between requests is asked for."""
    if not text.strip():
        return ALLOW_ALL
    parser = Protego.parse(text)
    delay_s = _delay_s(parser)
    if delay_s > limits.max_crawl_delay_s:
        return Drop("crawl_delay", f"{delay_s:g} s")
    return RobotsRules(text, parser, delay_s, reserved_paths(text) if limits.content_usage else ())


def is_passing(rules: RobotsRules | Drop) -> bool:
    """Whether a second look may help at once: there was an answer or a refusal, no long silence."""
    return (
        isinstance(rules, Drop)
        and rules.reason == "robots_unavailable"
        and rules.detail not in {"timeout", "min_rate"}
    )


def _unavailable(detail: str) -> Drop:
    return Drop("robots_unavailable", detail, retryable=True)


def _failed(drop: Drop) -> RobotsRules | Drop:
    if drop.reason in {"redirect_limit", "bad_location"}:
        return ALLOW_ALL
    # A host that may not be dialled or is not who it says stays so: its URLs carry that reason.
    return (
        drop
        if drop.reason in {"address", "port", "scheme", "bad_url", "tls"}
        else _unavailable(drop.reason)
    )


def _text(reply: Response, max_bytes: int) -> str:
    return reply.body[:max_bytes].decode("utf-8-sig", errors="replace").replace("\0", "")


def _delay_s(parser: Protego) -> float:
    delay_s = parser.crawl_delay(AGENT)
    return float(delay_s) if delay_s is not None and math.isfinite(delay_s) and delay_s > 0 else 0.0
