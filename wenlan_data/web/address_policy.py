"""The address policy: connections go to public unicast addresses on web ports, and to hosts that
the operator opens."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from wenlan_data.errors import RecipeError
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

WEB_PORTS = frozenset({80, 443, 8080, 8443})
REFUSALS = frozenset({Reason.ADDRESS, Reason.PORT})
"""Drop reasons of the address policy; `network.allow` exempts hosts from it."""

# `is_global` of the standard library accepts some cloud metadata addresses and embedded IPv4
# addresses: 100.100.100.200 (Alibaba), 192.0.0.192 (Oracle), NAT64, 6to4, Teredo.
_DENIED = [
    ipaddress.ip_network(text)
    for text in (
        *(
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
        ),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2001:db8::/32"),
        *("2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
]
_GLOBAL_UNICAST_6 = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Decides when a socket is made, by the address that it will connect to.

    A check before that would not hold: a name can resolve to another address at the next look-up.

    Raises `RecipeError` for a word of `allow` that is not `host:port`.
    """

    allow: tuple[str, ...] = ()
    """`host:port` words (host as in URLs) exempt from the checks."""

    def __post_init__(self) -> None:
        for word in self.allow:
            name, _, port = word.rpartition(":")
            if not (name and port.isdigit()):
                raise RecipeError(
                    f"network.allow: {word!r} is not host:port: write it like 127.0.0.1:8085"
                )

    def refuses(self, host: str, address: str, port: int) -> Drop | None:
        """The drop of a connection to `address` for the URL's `host` (`host:port`), or None if it
        is allowed."""
        if host in self.allow:
            return None
        if port not in WEB_PORTS:
            return Drop(Reason.PORT, str(port))
        return None if is_public(address) else Drop(Reason.ADDRESS, "not public")

    def refuses_by_name(self, host: str) -> Drop | None:
        """The drop of every request to `host` (`host:port`), as far as it is known without DNS;
        else None."""
        name, _, port = host.rpartition(":")
        # Every system resolves it to loopback; other names are decided when they are resolved.
        address = "127.0.0.1" if name == "localhost" else name.strip("[]")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return None if host in self.allow or int(port) in WEB_PORTS else Drop(Reason.PORT, port)
        return self.refuses(host, address, int(port))


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether an IP address (text) is global unicast and in none of the special ranges."""
    try:
        # `fe80::1%eth0`: the zone is no part of the address.
        value = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if value.version == 6 and value not in _GLOBAL_UNICAST_6:
        return False
    return value.is_global and not any(
        value.version == net.version and value in net for net in _DENIED
    )
