"""The address policy: connections go to public unicast addresses on web ports, and to hosts that
the operator opens."""

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache

from wenlan_data.errors import RecipeError
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

WEB_PORTS = frozenset({80, 443, 8080, 8443})
REFUSALS = frozenset({Reason.ADDRESS, Reason.PORT})
"""Drop reasons of the address policy; `network.allow` exempts hosts from it."""

# By the special-purpose registries of IANA, since `is_global` of the standard library lets pass
# ranges that no public web server has: 100.100.100.200 (metadata of Alibaba), 192.0.0.192 (Oracle),
# anycast services, embedded IPv4 addresses.
_SPECIAL_4 = [
    ipaddress.IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # AS112 and AMT: anycast services of the network.
        *("192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),
        # Azure serves its virtual machines at this address, which is public by its number alone.
        "168.63.129.16/32",
    )
]
_UNICAST_6 = [
    ipaddress.IPv6Network(text)
    for text in (
        *("2001::/16", "2003::/18", "2400::/11", "2600::/10", "2800::/12", "2a00::/11"),
        "2c00::/12",
    )
]
"""What IANA has allocated to the regional registries. The rest of 2000::/3, such as 2d00::/8, and
all space outside it is reserved: loopback, mapped and translated IPv4 (`::ffff:0:0/96`,
`64:ff9b::/96`, `64:ff9b:1::/48`), discard-only `100::/64`, SRv6 `5f00::/16`, local and multicast
addresses."""
_SPECIAL_6 = [
    ipaddress.IPv6Network(text)
    for text in (
        # Protocol assignments: Teredo, benchmarking, AMT, AS112, ORCHID, drone identifiers.
        "2001::/23",
        # Documentation; AS112.
        *("2001:db8::/32", "2620:4f:8000::/48"),
    )
]
_ISATAP = 0x5EFE
_UNIVERSAL_BIT = 0x0200_0000


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Decides when a socket is made, by the address that it will connect to.

    A check before that would not hold: a name can resolve to another address at the next look-up.

    Raises `RecipeError` for a word of `allow` that is not `host:port`.
    """

    allow: tuple[str, ...] = ()
    """`host:port` words (host as in URLs) exempt from the checks."""
    _open: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Every request looks its host up.
        object.__setattr__(self, "_open", frozenset(self.allow))
        for word in self.allow:
            name, _, port = word.rpartition(":")
            if not (name and port.isdigit()):
                raise RecipeError(
                    f"network.allow: {word!r} is not host:port: write it like 127.0.0.1:8085"
                )

    def refuses(self, host: str, address: str, port: int) -> Drop | None:
        """The drop of a connection to `address` for the URL's `host` (`host:port`), or None if it
        is allowed."""
        if host in self._open:
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
            return None if host in self._open or int(port) in WEB_PORTS else Drop(Reason.PORT, port)
        return self.refuses(host, address, int(port))


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether an IP address (text) is allocated global unicast, in none of the special ranges, and
    embeds no address that is not public itself."""
    try:
        # `fe80::1%eth0`: the zone is no part of the address.
        value = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(value, ipaddress.IPv4Address):
        return value.is_global and not any(value in network for network in _SPECIAL_4)
    if not any(value in network for network in _UNICAST_6):
        return False
    if not value.is_global or any(value in network for network in _SPECIAL_6):
        return False
    # ISATAP (RFC 5214) ends any prefix in 0:5efe, or 200:5efe, and the IPv4 address of the host.
    high, embedded = divmod(int(value) & (1 << 64) - 1, 1 << 32)
    return high & ~_UNIVERSAL_BIT != _ISATAP or is_public(str(ipaddress.IPv4Address(embedded)))


@lru_cache(maxsize=4096)
def address_group(address: str) -> str:
    """What counts as one machine: an IPv4 address, or the /64 network of an IPv6 address, of which
    one customer has at least one.

    >>> address_group("192.0.2.7"), address_group("2400:3200::7:1")
    ('192.0.2.7', '2400:3200::/64')
    """
    try:
        value = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(value, ipaddress.IPv4Address):
        return str(value)
    if value.ipv4_mapped:
        return str(value.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(value) >> 64 << 64, 64)))
