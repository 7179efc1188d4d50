"""Registrable domains."""

from functools import lru_cache

from tldextract import TLDExtract

# The list of public suffixes comes with the library: nothing is asked for, nothing is written.
_SUFFIXES = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


@lru_cache(maxsize=1 << 16)
def registrable_domain(host: str) -> str:
    """`example.com.cn` of `www.example.com.cn:443`; an address or a name without a public suffix stands for itself."""
    name = host.rpartition(":")[0]
    return _SUFFIXES(name).top_domain_under_public_suffix or name
