"""Every limit of the crawl in one value, for pages, pictures, robots.txt and sitemaps alike."""

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wenlan_data.errors import UsageError

_MAY_BE_ZERO = frozenset({"max_redirects"})


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one body may be."""

    max_wire_bytes: int
    """As it travels."""
    max_bytes: int
    """Without its encoding."""
    decodes: bool = True
    """Whether one layer of `Content-Encoding` is taken; otherwise none is asked for and none accepted."""
    cut: bool = False
    """A longer body ends there instead of being `too_large`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one exchange, one host and one page may cost. Raises `UsageError` for a number that is not above 0."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    # One exchange.
    connect_s: float = 10.0
    tls_s: float = 10.0
    first_byte_s: float = 15.0
    total_s: float = 60.0
    min_rate_bytes_per_s: int = 1024
    rate_window_s: float = 10.0
    max_line_bytes: int = 8192
    """Of the status line or of one header."""
    max_headers: int = 100
    max_header_bytes: int = 32 << 10
    """Of the status line, all headers, interim responses (1xx), what frames the chunks, and trailers."""
    max_interim_responses: int = 10
    max_redirects: int = 5
    max_url_characters: int = 2048

    # Bodies.
    max_page_bytes: int = 5 << 20
    max_decoded_page_bytes: int = 10 << 20
    max_image_bytes: int = 20 << 20
    max_robots_bytes: int = 512 << 10
    max_parsed_robots_bytes: int = 500 << 10
    max_connections: int = 256
    """Of a worker, to all hosts together."""
    small_body_bytes: int = 1 << 20
    max_large_bodies: int = 16
    """Bodies above `small_body_bytes` that a worker holds at once; the next waits. So a worker holds at most
    256 x 1 MiB + 16 x 20 MiB."""

    # Towards a host. Its gap and connections are `HostLimits`.
    max_robots_redirects: int = 5
    max_robots_age_s: float = 24 * 3600.0
    max_crawl_delay_s: float = 60.0
    backoff_s: float = 1.0
    """First wait after a failure; doubles with each that follows."""
    max_wait_s: float = 60.0
    """Waits in a row that add up to more end the host's turn in this build."""
    max_held_s: float = 3600.0
    """How long what a host did (`Retry-After`, failures) counts in a later slice."""
    max_gap_s: float = 60.0
    max_failures: int = 10
    """Connections in a row (for each that may be open at once) that fail."""
    max_timeouts: int = 3
    max_server_errors: int = 30
    """Answers in a row (for each connection) with a status of 500 to 599."""
    max_robots_tries: int = 3
    robots_forbidden: Literal["allow", "deny"] = "allow"
    """What 401 and 403 for robots.txt mean; RFC 9309 counts them as "unavailable", which allows."""
    tdmrep: bool = True
    """Whether `/.well-known/tdmrep.json` is asked for, once a host and day."""
    content_usage: bool = False
    """Whether `Content-Usage: train-ai=n` of robots.txt, a draft of the IETF, counts as an opt-out."""

    # The frontier. Depth and pages a host are those of the source.
    max_path_segments: int = 20
    max_repeated_segment: int = 2
    """Times that one segment may stand in a path: /a/b/a/b/a/b is a relative link gone wrong, again and again."""
    max_query_keys: int = 64
    max_links_a_page: int = 1000
    max_pages_a_domain: int = 10_000
    """Of all hosts of a registrable domain that no seed names: names cost nothing under a wildcard."""
    max_pages_a_shape: int = 10_000
    """Of addresses of one host that differ in numbers and in values of the query only: a calendar, a shop's filters."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool | str):
                continue
            if not value >= 0 or (value == 0 and field.name not in _MAY_BE_ZERO):
                raise UsageError(f"limits: {field.name} must be above 0")
        if self.robots_forbidden not in {"allow", "deny"}:
            raise UsageError("limits: robots_forbidden must be allow or deny")

    @property
    def page(self) -> Allowance:
        """For a page, a sitemap or a feed."""
        return Allowance(self.max_page_bytes, self.max_decoded_page_bytes)

    @property
    def image(self) -> Allowance:
        """For a picture, which is compressed by itself."""
        return Allowance(self.max_image_bytes, self.max_image_bytes, decodes=False)

    @property
    def robots(self) -> Allowance:
        """For robots.txt and tdmrep.json."""
        return Allowance(self.max_robots_bytes, self.max_robots_bytes, cut=True)


DEFAULTS = Limits()


class HostLimits(BaseModel):
    """How one host may be asked; the operator's override."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_connections: int = Field(default=1, ge=1, le=1024)
    min_gap_s: float = Field(default=1.0, ge=0, le=3600)


def needs_contact(host: str, allow: tuple[str, ...]) -> bool:
    """Whether a web host (`host:port`) may be asked only by an operator who says who they are."""
    return bool(host) and host not in allow
