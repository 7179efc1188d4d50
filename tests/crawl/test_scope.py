import pytest

from wenlan_data.crawl.scope import Scope
from wenlan_data.web.domains import registrable_domain, same_site
from wenlan_data.web.limits import Limits
from wenlan_data.web.urls import host_of

SCOPE = Scope(
    hosts=("a.cn:80",),
    domains=("b.com.cn",),
    include=("/p/*", "/"),
    exclude=("*/print/*", "*?view=*"),
)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a.cn/p/1.html", ""),
        ("http://a.cn/", ""),
        ("http://a.cn", ""),
        ("http://www.b.com.cn/p/1", ""),
        ("https://b.com.cn:8443/p/1", ""),
        ("http://a.cn:8080/p/1", "scope"),
        ("http://xb.com.cn/p/1", "scope"),
        ("http://c.cn/p/1", "scope"),
        ("http://a.cn/q/1", "pattern"),
        ("http://a.cn/p/print/1", "pattern"),
        ("http://a.cn/p/1?view=big", "pattern"),
        ("http://a.cn/p/a.jpg", "no_page"),
        ("http://a.cn/p/a.PDF", "no_page"),
        ("http://a.cn/p/s.xml.gz", ""),
        ("http://a.cn/p/x/x/x", "trap"),
        ("http://a.cn/p/" + "/".join(map(str, range(21))), "trap"),
        ("http://a.cn/p/?" + "&".join(f"k{n}" for n in range(65)), "trap"),
        ("ftp://a.cn/p/1", "scope"),
        ("http://a.cn/p/" + "x" * 2048, "url_too_long"),
    ],
)
def test_a_link_is_followed_within_the_limits_only(url: str, reason: str) -> None:
    expected = "scheme" if url.startswith("ftp") else reason
    assert SCOPE.reason_to_skip(url, host_of(url)) == expected


def test_a_site_is_the_same_over_both_schemes_and_with_www() -> None:
    assert same_site("a.cn:443") == ("a.cn:443", "a.cn:80", "www.a.cn:80", "www.a.cn:443")
    assert same_site("127.0.0.1:80") == ("127.0.0.1:80",)
    assert same_site("a.cn:8080") == ("a.cn:8080",)
    assert same_site("localhost:80") == ("localhost:80",)


def test_the_registrable_domain_is_that_of_the_list_of_public_suffixes() -> None:
    assert registrable_domain("news.example.com.cn:443") == "example.com.cn"
    assert registrable_domain("me.github.io:443") == "me.github.io"
    assert registrable_domain("127.0.0.1:8085") == "127.0.0.1"
    assert registrable_domain("localhost:80") == "localhost"


@pytest.mark.parametrize(
    ("limits", "url"),
    [
        ({"max_path_segments": 3}, "http://a.cn/p/1/2/3"),
        ({"max_repeated_segment": 1}, "http://a.cn/p/x/x"),
        ({"max_query_keys": 2}, "http://a.cn/p/?a=1&b=2&c=3"),
    ],
)
def test_limits_of_the_address_are_those_that_are_set(limits: dict[str, int], url: str) -> None:
    scope = Scope(hosts=("a.cn:80",))
    assert scope.reason_to_skip(url, "a.cn:80", Limits(**limits)) == "trap"  # type: ignore[arg-type]
    assert scope.reason_to_skip(url, "a.cn:80") == ""
