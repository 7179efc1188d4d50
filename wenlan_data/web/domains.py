"""Registrable domains of hosts and of URLs.

Private suffixes count, such as `github.io`: `a.github.io` and `b.github.io` are two sites, since
their pages have different owners. They do not count in `site_of` and `icann_domain`, which
published indexes use.
"""

from functools import lru_cache
from urllib.parse import urlsplit

from tldextract import TLDExtract

from wenlan_data.web.address_policy import WEB_PORTS
from wenlan_data.web.urls import host_of

# The list of public suffixes comes with the library: nothing is requested, no cache is written.
_WITH_PRIVATE_SUFFIXES = TLDExtract(
    suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True
)
_ICANN_SUFFIXES_ONLY = TLDExtract(suffix_list_urls=(), cache_dir=None)


def registrable_domain(host: str) -> str:
    """`example.com.cn` of `www.example.com.cn:443`; an address or a name without a public suffix
    stays as it is, without its port.

    Each registrable domain gets its own share of the requests of a crawl.
    """
    return site_of_host(host.rpartition(":")[0])


def site_of_host(name: str) -> str:
    """The site of a host without its port: its registrable domain, or the name itself where there
    is none.

    >>> site_of_host("www.example.com.cn"), site_of_host("a.github.io"), site_of_host("10.0.0.1")
    ('example.com.cn', 'a.github.io', '10.0.0.1')
    """
    return known_domain(name) or name


def site_of_page(url: str) -> str:
    """The site that a page belongs to: its registrable domain, or `host:port` where there is none;
    '' for no web URL.

    Addresses keep their port, since each may be the site of another owner.

    >>> site_of_page("https://blog.example.com.cn/a.html"), site_of_page("http://10.0.0.1:8080/")
    ('example.com.cn', '10.0.0.1:8080')
    """
    host = host_of(url)
    return known_domain(host.rpartition(":")[0]) or host


@lru_cache(maxsize=1 << 16)
def known_domain(name: str) -> str:
    """The registrable domain of a host without its port; '' if it has none."""
    return _WITH_PRIVATE_SUFFIXES(name).top_domain_under_public_suffix


def same_site(host: str) -> tuple[str, ...]:
    """The hosts that usually serve the same site, this one first: with and without `www.`, http and
    https. Most sites redirect from all of them to one."""
    name, _, port = host.rpartition(":")
    if port not in {"80", "443"} or "." not in name or name.rpartition(".")[2].isdigit():
        return (host,)
    other = name.removeprefix("www.") if name.startswith("www.") else f"www.{name}"
    return (
        host,
        *(f"{one}:{p}" for one in (name, other) for p in ("80", "443") if f"{one}:{p}" != host),
    )


def host_group(host: str) -> str:
    """What one task at a time talks to: the name that `same_site` hosts share, for the ports of the
    web; any other `host:port` is a group of its own.

    >>> host_group("www.a.cn:443"), host_group("a.cn:80"), host_group("a.cn:8085")
    ('a.cn', 'a.cn', 'a.cn:8085')
    """
    name, _, port = host.rpartition(":")
    return name.removeprefix("www.") if int(port or 0) in WEB_PORTS else host


def site_of(url: str) -> str:
    """`example.com.cn` of `http://www.example.com.cn/a.jpg`; the host itself for an address, '' for
    a path.

    Private suffixes do not count: `a.github.io` and `b.github.io` are both `github.io`. Published
    indexes hold hashes of these names for `max_domain_share`, so another rule would need a new
    format.
    """
    return icann_domain(urlsplit(url).hostname or "" if "://" in url else "")


def icann_domain(name: str) -> str:
    """`site_of` of a URL with this host, without its port."""
    return _ICANN_SUFFIXES_ONLY(name).top_domain_under_public_suffix or name
