"""All limits of requests in one value, for pages, images, robots.txt and sitemaps alike."""

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wenlan_data.errors import UsageError

# No redirects and no gap are sensible choices; every other limit of 0 would forbid everything.
_MAY_BE_ZERO = frozenset({"max_redirects", "min_gap_an_address_s"})


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large one body may be, and whether it may be encoded."""

    max_wire_bytes: int
    """As transferred."""
    max_bytes: int
    """Decoded."""
    decodes: bool = True
    """Whether one layer of `Content-Encoding` is accepted; otherwise none is offered and none
    accepted."""
    truncates: bool = False
    """Whether a longer body is cut there instead of being dropped as `too_large`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of an exchange, a host and a page.

    Raises `UsageError` for a number that is not above 0.
    """

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
    """Of status line, headers, interim responses (1xx), chunk framing and trailers together."""
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
    """Bodies of the largest size that a worker has memory for: it holds at most 256 x 1 MiB and
    17 x 20 MiB of bodies that are being read. A body above `small_body_bytes` that finds no room
    waits, and its time does not run meanwhile."""
    max_lookups: int = 32
    """Host names that a worker looks up at once."""
    max_lookups_a_domain: int = 4

    # Towards an address, under whatever names.
    max_connections_an_address: int = 8
    """Connections to one IP address, or to one /64 network of IPv6, divided among the workers. A
    host whose own `max_connections` is larger has as many."""
    min_gap_an_address_s: float = 0.125
    """Between the beginnings of requests to one address, of all workers together. Hosts whose own
    `min_gap_s` is smaller keep that."""

    # Towards a host. Its gap and connections are `HostLimits`.
    max_robots_redirects: int = 5
    max_robots_age_s: float = 24 * 3600.0
    max_crawl_delay_s: float = 60.0
    backoff_s: float = 1.0
    """First wait after a failure; doubles with each that follows."""
    max_wait_s: float = 60.0
    """A host whose waits in a row add up to more is abandoned in this build."""
    max_held_s: float = 3600.0
    """How long back-off and failures of a host count in its later fetch lists."""
    max_gap_s: float = 60.0
    max_failures: int = 10
    """Failed connections in a row, for each that may be open at once."""
    max_timeouts: int = 3
    max_server_errors: int = 30
    """Responses in a row with a status of 500 to 599, for each connection."""
    max_robots_tries: int = 3
    robots_forbidden: Literal["allow", "deny"] = "allow"
    """What 401 and 403 for robots.txt mean; RFC 9309 counts them as "unavailable", which allows."""
    max_slow_decoding_s: float = 600.0
    """Processor time that its images may take beyond half a second each; further images are
    dropped as `decoding_budget`."""
    tdmrep: bool = True
    """Whether `/.well-known/tdmrep.json` is requested, once per host and day."""
    content_usage: bool = False
    """Whether `Content-Usage: train-ai=n` of robots.txt, a draft of the IETF, counts as an
    opt-out."""

    # The frontier. Depth and pages a host are those of the source.
    max_path_segments: int = 20
    max_repeated_segment: int = 2
    """Repetitions of one segment in a path: /a/b/a/b/a/b comes of a relative link gone wrong again
    and again."""
    max_query_keys: int = 64
    max_links_a_page: int = 1000
    max_pages_a_domain: int = 10_000
    """Of all hosts of a registrable domain that no seed names: host names are free under a DNS
    wildcard."""
    max_pages_a_shape: int = 10_000
    """Of URLs of one host that differ only in numbers and query values: a calendar, a shop's
    filters."""

    max_listings_a_site: int = 1000
    """Sitemaps and feeds of a host, and sitemaps of a registrable domain, that are read for
    links: each may list 50,000 others."""

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
    def page(self) -> BodyLimits:
        """For a page, a sitemap or a feed."""
        return BodyLimits(self.max_page_bytes, self.max_decoded_page_bytes)

    @property
    def image(self) -> BodyLimits:
        """For an image, which is compressed already."""
        return BodyLimits(self.max_image_bytes, self.max_image_bytes, decodes=False)

    @property
    def large_bodies_bytes(self) -> int:
        """Memory for bodies above `small_body_bytes`."""
        return self.max_large_bodies * max(self.max_image_bytes, self.max_decoded_page_bytes)

    @property
    def robots(self) -> BodyLimits:
        """For robots.txt and tdmrep.json."""
        return BodyLimits(self.max_robots_bytes, self.max_robots_bytes, truncates=True)


DEFAULTS = Limits()


class HostLimits(BaseModel):
    """Connections and gap of one host; the operator's override."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_connections: int = Field(default=1, ge=1, le=1024)
    min_gap_s: float = Field(default=1.0, ge=0, le=3600)


def needs_contact(host: str, allow: tuple[str, ...]) -> bool:
    """Whether a host (`host:port`) may be requested only with a contact; those under
    `network.allow` need none."""
    return bool(host) and host not in allow
