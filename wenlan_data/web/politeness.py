"""How requests are made: who makes them, to which hosts, how often, within which limits, and what
is excluded."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wenlan_data.web.blocklists import NO_BLOCKLISTS, Blocklists
from wenlan_data.web.limits import DEFAULTS, HostLimits, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """The operator's choices towards web hosts.

    Picklable: every part that makes requests carries one.
    """

    contact: str = ""
    """E-mail address or page of the operator; part of the User-Agent."""
    allow: tuple[str, ...] = ()
    """`network.allow` of the sources file: `host:port` words exempt from the address policy."""
    hosts: Mapping[str, HostLimits] = field(default_factory=dict)
    """`host:port` to its limits; every other host gets one connection and a gap of a second."""
    limits: Limits = DEFAULTS
    workers: int = 1
    """Workers that make requests at once: the limits of an address are divided among them."""
    blocklists: Blocklists = NO_BLOCKLISTS
    offline: bool = False
    """No request is made, not even for a name or for robots.txt: each URL is dropped as
    `offline`."""

    def host_limits(self, host: str) -> HostLimits:
        """Connections and gap of one host (`host:port`)."""
        return self.hosts.get(host) or HostLimits()
