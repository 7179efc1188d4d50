import pytest

from wenlan_data.errors import RecipeError
from wenlan_data.web.address_policy import AddressPolicy, is_public


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
