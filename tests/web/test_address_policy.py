import pytest

from wenlan_data.errors import RecipeError
from wenlan_data.web.address_policy import AddressPolicy, address_group, is_public


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.255.0.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
        ),
        *(
            "100.100.100.200",
            "100.64.0.1",
            "192.0.0.192",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
        ),
        *(
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
        ),
        *(
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "fc00::1",
            "fd12::1",
        ),
        *("fe80::1", "fe80::1%eth0", "ff02::1", "4000::1", "localhost", ""),
    ],
)
def test_special_addresses_are_not_dialled(address: str) -> None:
    assert not is_public(address)
    drop = AddressPolicy().refuses("a.cn:80", address, 80)
    assert drop is not None
    assert (drop.reason, drop.retryable) == ("address", False)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "223.5.5.5", "100.63.255.255", "100.128.0.1", "2400:3200::1"]
)
def test_public_addresses_are_dialled_on_web_ports_only(address: str) -> None:
    policy = AddressPolicy()
    assert all(policy.refuses("a.cn:80", address, port) is None for port in (80, 443, 8080, 8443))
    refused = [policy.refuses("a.cn:80", address, port) for port in (22, 25, 6379, 8085)]
    assert {drop.reason if drop else "" for drop in refused} == {"port"}


def test_only_the_host_and_port_that_were_opened_are_open() -> None:
    policy = AddressPolicy(allow=("127.0.0.1:8085", "intranet.cn:80"))
    assert policy.refuses("127.0.0.1:8085", "127.0.0.1", 8085) is None
    assert policy.refuses("intranet.cn:80", "10.0.0.1", 80) is None
    assert policy.refuses("evil.cn:8085", "127.0.0.1", 8085) is not None
    assert policy.refuses("127.0.0.1:8086", "127.0.0.1", 8086) is not None


def test_a_word_without_a_port_is_an_error_that_says_how_to_write_it() -> None:
    with pytest.raises(RecipeError, match=r"'127\.0\.0\.1' is not host:port: write it like"):
        AddressPolicy(allow=("127.0.0.1",))


SPECIAL = [
    # IPv4, one row for each entry of the registry of special-purpose addresses.
    ("this network", "0.0.0.0", "0.255.255.255"),
    ("private use", "10.0.0.0", "10.255.255.255"),
    ("shared address space", "100.64.0.0", "100.127.255.255"),
    ("metadata of Alibaba", "100.100.100.200", "100.100.100.200"),
    ("loopback", "127.0.0.0", "127.255.255.255"),
    ("metadata of Azure", "168.63.129.16", "168.63.129.16"),
    ("link local", "169.254.0.0", "169.254.255.255"),
    ("private use, 172.16/12", "172.16.0.0", "172.31.255.255"),
    ("protocol assignments", "192.0.0.0", "192.0.0.255"),
    ("PCP and TURN anycast, exceptions of 192.0.0/24", "192.0.0.9", "192.0.0.10"),
    ("TEST-NET-1", "192.0.2.0", "192.0.2.255"),
    ("AS112", "192.31.196.0", "192.31.196.255"),
    ("AMT", "192.52.193.0", "192.52.193.255"),
    ("6to4 relays", "192.88.99.0", "192.88.99.255"),
    ("private use, 192.168/16", "192.168.0.0", "192.168.255.255"),
    ("AS112, direct delegation", "192.175.48.0", "192.175.48.255"),
    ("benchmarking", "198.18.0.0", "198.19.255.255"),
    ("TEST-NET-2", "198.51.100.0", "198.51.100.255"),
    ("TEST-NET-3", "203.0.113.0", "203.0.113.255"),
    ("multicast", "224.0.0.0", "239.255.255.255"),
    ("reserved and broadcast", "240.0.0.0", "255.255.255.255"),
    # IPv6.
    ("unspecified, loopback", "::", "::1"),
    ("IPv4-compatible", "::8.8.8.8", "::a9fe:a9fe"),
    ("IPv4-mapped", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe"),
    ("IPv4-translated", "::ffff:0:8.8.8.8", "::ffff:0:a9fe:a9fe"),
    ("NAT64", "64:ff9b::8.8.8.8", "64:ff9b::a9fe:a9fe"),
    ("local NAT64", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("discard only", "100::", "100::ffff:ffff:ffff:ffff"),
    ("dummy prefix", "100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("protocol assignments, Teredo among them", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("PCP, TURN, DNS-SD anycast", "2001:1::1", "2001:1::3"),
    ("benchmarking, IPv6", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    ("AMT, AS112, IPv6", "2001:3::1", "2001:4:112::1"),
    ("ORCHID, drone identifiers", "2001:10::1", "2001:3f::1"),
    ("documentation", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("documentation, 3fff::/20", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("6to4", "2002::", "2002:a9fe:a9fe::1"),
    ("6to4 of a public address", "2002:808:808::1", "2002:808:808::2"),
    ("AS112, direct delegation, IPv6", "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    ("unallocated, between the registries", "2004::1", "23ff:ffff::1"),
    ("unallocated, 2d00::/8", "2d00::", "2dff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("unallocated, 2e00::/7 and 3000::/4", "2e00::1", "3ffe:831f::1"),
    ("segment routing", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("unallocated, outside 2000::/3", "1fff:ffff::1", "4000::"),
    ("unique local", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("link local, site local", "fe80::1", "feff::1"),
    ("multicast, IPv6", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ISATAP of a private address", "2400:3200::5efe:10.0.0.1", "2400:3200::200:5efe:10.0.0.1"),
    ("ISATAP of metadata", "2a00::5efe:a9fe:a9fe", "2600::200:5efe:a83f:8110"),
]


@pytest.mark.parametrize(
    ("name", "first", "last"), SPECIAL, ids=[f"hostile-{row[0]}" for row in SPECIAL]
)
def test_no_special_range_is_dialled_at_either_end(name: str, first: str, last: str) -> None:
    assert [is_public(first), is_public(last)] == [False, False], name


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "9.255.255.255", "11.0.0.0", "126.255.255.255", "128.0.0.1"),
        *("168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.0.1.1"),
        *("192.31.195.1", "192.88.98.1", "192.169.0.1", "198.17.255.255", "198.20.0.0"),
        *("223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2408:8000::1"),
        *("240e::1", "2410::1", "2600::1", "2606:4700::1111", "2620:fe::fe", "2630::1"),
        *("2804::1", "2a00:1450::1", "2a1f::1", "2c0f:fb50::1", "2400:3200::5efe:808:808"),
    ],
)
def test_neighbours_of_special_ranges_are_dialled(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("2400:3200::1", "2400:3200::ffff:2", True),
        ("2400:3200::1", "2400:3200:0:1::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_addresses_of_one_customer_are_one_group(one: str, other: str, same: bool) -> None:
    assert (address_group(one) == address_group(other)) == same
