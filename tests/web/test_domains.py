"""Registrable domains, and what stands for a host without one."""

import pytest

from wenlan_data.web.domains import registrable_domain, site_of, site_of_host, site_of_page


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("http://www.example.com.cn/a.html", "example.com.cn"),
        ("https://EXAMPLE.com.cn:8443", "example.com.cn"),
        ("http://a.github.io/x", "a.github.io"),
        ("http://新闻.中国/", "xn--efvy88h.xn--fiqs8s"),
        ("http://127.0.0.1:8101/index.html", "127.0.0.1:8101"),
        ("http://127.0.0.1/index.html", "127.0.0.1:80"),
        ("http://[::1]:81/", "[::1]:81"),
        ("http://intranet/", "intranet:80"),
        ("file:///photos/a.html", ""),
        ("a.html", ""),
        ("", ""),
        ("http://[/", ""),
    ],
)
def test_the_site_of_a_page(url: str, site: str) -> None:
    assert site_of_page(url) == site


def test_sites_differ_from_those_of_published_indexes_in_ports_and_private_suffixes() -> None:
    assert site_of("http://a.github.io/x") == "github.io"
    assert registrable_domain("a.github.io:443") == "a.github.io"
    assert site_of("http://127.0.0.1:8101/") == registrable_domain("127.0.0.1:8101") == "127.0.0.1"


def test_the_site_of_a_host_is_that_of_its_pages() -> None:
    for name in ("www.example.com.cn", "a.github.io", "b.github.io", "sina.com.cn", "github.io"):
        assert site_of_host(name) == site_of_page(f"https://{name}/1.html").removesuffix(":443")
    assert site_of_host("a.github.io") != site_of_host("b.github.io")
    assert site_of_host("www.sina.com.cn") == site_of_host("sports.sina.com.cn")
    assert (site_of_host("127.0.0.1"), site_of_host("")) == ("127.0.0.1", "")
