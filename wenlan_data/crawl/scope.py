"""Which links a crawl follows: the operator's scope, and rules that keep the crawl out of traps."""

import re
from collections import Counter
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from urllib.parse import urlsplit

from wenlan_data.web.limits import DEFAULTS, Limits
from wenlan_data.web.urls import url_problem

_NO_PAGES = frozenset({
    "jpg", "jpeg", "jpe", "jfif", "png", "gif", "webp", "avif", "bmp", "svg", "svgz", "ico",
    "tif", "tiff", "heic", "psd", "mp3", "mp4", "m4a", "m4v", "avi", "mkv", "mov", "flv", "wmv",
    "webm", "wav", "ogg", "ogv", "flac", "aac", "pdf", "doc", "docx", "ppt", "pptx", "xls",
    "xlsx", "csv", "epub", "mobi", "zip", "rar", "7z", "gz", "tgz", "bz2", "xz", "zst", "tar",
    "iso", "apk", "exe", "dmg", "msi", "deb", "rpm", "jar", "css", "js", "mjs", "json", "wasm",
    "woff", "woff2", "ttf", "otf", "eot", "swf", "torrent",
})  # fmt: skip
"""Extensions of files that are no pages; such links are not followed."""
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,7})$")

_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Hosts, domains and path patterns of one crawl."""

    hosts: tuple[str, ...] = ()
    """`host:port` words that may be requested."""
    domains: tuple[str, ...] = ()
    """Domains whose hosts, and hosts below them, may be requested on any web port."""
    include: tuple[str, ...] = ()
    """Patterns (`*`, `?`, `[...]`) of which path and query must match one; none: all match."""
    exclude: tuple[str, ...] = ()

    def reason_to_skip(self, url: str, host: str, limits: Limits = DEFAULTS) -> str:
        """The reason why a link is not followed (`scope`, `pattern`, `no_page`, `trap`, ...), else
        an empty string."""
        if drop := url_problem(url, limits.max_url_characters):
            return drop.reason
        if not self._is_in(host):
            return "scope"
        parts = urlsplit(url)
        if (found := _EXTENSION.search(parts.path)) and _is_no_page(found[1].lower(), parts.path):
            return "no_page"
        where = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        if self.include and not any(_pattern(one).match(where) for one in self.include):
            return "pattern"
        if any(_pattern(one).match(where) for one in self.exclude):
            return "pattern"
        return "trap" if is_trap(parts.path, parts.query, limits) else ""

    def _is_in(self, host: str) -> bool:
        if host in self.hosts:
            return True
        name = host.rpartition(":")[0]
        return any(name == domain or name.endswith(f".{domain}") for domain in self.domains)


def is_trap(path: str, query: str, limits: Limits = DEFAULTS) -> bool:
    """Whether a URL looks like one of an endless site: very deep, repetitive, or with many query
    keys."""
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > limits.max_path_segments or query.count("&") >= limits.max_query_keys:
        return True
    return max(Counter(segments).values(), default=0) > limits.max_repeated_segment


def is_sitemap(url: str) -> bool:
    """Whether a URL is named like a sitemap."""
    return url.partition("?")[0].lower().endswith((".xml", ".xml.gz"))


def _is_no_page(extension: str, path: str) -> bool:
    return extension in _NO_PAGES and not path.lower().endswith((".xml.gz", ".txt.gz"))


@lru_cache(maxsize=256)
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(translate(words))


@lru_cache(maxsize=1 << 16)
def shape_of(url: str) -> str:
    """The URL with every number of path and query keys as `0`, and without query values: equal for
    all pages of an endless listing."""
    address, _, query = url.partition("?")
    # Numbers of the host stay: img1 and img2 are two hosts.
    *start, path = address.split("/", 3)
    names = (
        sorted({_NUMBER.sub("0", pair.partition("=")[0]) for pair in query.split("&")})
        if query
        else []
    )
    return f"{'/'.join(start)}/{_NUMBER.sub('0', path)}?{'&'.join(names)}"
