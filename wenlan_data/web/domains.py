"""Registrable domains of hosts and of URLs.

`registrable_domain` and `site_of` differ in what counts as a public suffix, `site_of_page` in what
stands for a host without a domain.
"""

from functools import lru_cache
from urllib.parse import urlsplit

from tldextract import TLDExtract

from wenlan_data.web.urls import host_of

# The list of public suffixes comes with the library: nothing is requested, no cache is written.
_WITH_PRIVATE_SUFFIXES = TLDExtract(
    suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True
)
_ICANN_SUFFIXES_ONLY = TLDExtract(suffix_list_urls=(), cache_dir=None)


@lru_cache(maxsize=1 << 16)
def registrable_domain(host: str) -> str:
    """`example.com.cn` of `www.example.com.cn:443`; an address or a name without a public suffix
    stays as it is.

    Private suffixes count: `a.github.io` and `b.github.io` are two domains, since their pages have
    different owners. The crawl's budget wants that: each of them gets its own share of requests.
    """
    name = host.rpartition(":")[0]
    return _WITH_PRIVATE_SUFFIXES(name).top_domain_under_public_suffix or name


def site_of(url: str) -> str:
    """`example.com.cn` of `http://www.example.com.cn/a.jpg`; the host itself for an address, '' for
    a path.

    Private suffixes do not count: `a.github.io` and `b.github.io` are both `github.io`. Published
    indexes hold hashes of these names for `max_domain_share`, so another rule would need a new
    format.
    """
    return site_of_host(urlsplit(url).hostname or "" if "://" in url else "")


def site_of_host(host: str) -> str:
    """`site_of` of a URL with this host, without a port."""
    return _ICANN_SUFFIXES_ONLY(host).top_domain_under_public_suffix or host


def site_of_page(url: str) -> str:
    """The site that a page belongs to: its registrable domain, or `host:port` where there is none;
    '' for no web URL.

    Private suffixes count, as in `registrable_domain`. Addresses keep their port, since each may be
    the site of another owner.

    >>> site_of_page("https://blog.example.com.cn/a.html"), site_of_page("http://10.0.0.1:8080/")
    ('example.com.cn', '10.0.0.1:8080')
    """
    host = host_of(url)
    return _site_of_host(host) if host else ""


@lru_cache(maxsize=1 << 16)
def _site_of_host(host: str) -> str:
    name = host.rpartition(":")[0]
    return _WITH_PRIVATE_SUFFIXES(name).top_domain_under_public_suffix or host
