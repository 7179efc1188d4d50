"""Where a link around an image leads: to another site, the home page, this page, one like it."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from wenlan_data.extract.image_urls import has_image_extension
from wenlan_data.web.domains import site_of_host
from wenlan_data.web.urls import joined

MAX_QUERY_CHARACTERS = 500

_HOME = re.compile(r"/?(?:(?:index|default)\.(?:s?html?|php|aspx?|jsp))?\Z", re.IGNORECASE)
# Parameters that choose no other page: where a visitor comes from, and a page of the same article.
_IGNORED = re.compile(
    r"(?:utm_\w+|from|ref|referr?er|source|src|spm|scene|share|lang)(?:=|\Z)"
    r"|(?:page|pn|pageno|pageindex|pagenum|pic|img|photo)=\d*\Z",
    re.IGNORECASE,
)
# 18872345_2.html: the second page of an article.
_LEAF = re.compile(r"(?<=\d{3})[_\-]\d{1,2}(?=\.\w+\Z)")
_DIGITS = re.compile(r"\d+")
_DIGEST = re.compile(r"[0-9a-f]{8,}")
# list_3.html, index.html: pages that list those in their folder.
_LIST_FILE = re.compile(
    r"(?:index|list|default|category|archives?|channel|col)(?:[_\-]?\d+)*(?:\.\w+)?\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A page, by host, path and the parameters of its query that choose it."""

    host: str
    path: str
    query: tuple[str, ...] = ()

    @property
    def is_home(self) -> bool:
        """Whether it is the home page of its site."""
        return bool(_HOME.match(self.path)) and not self.query

    @property
    def shape(self) -> tuple[str, ...]:
        """Path and query with their numbers replaced, which pages of one kind share."""
        return tuple(_DIGITS.sub("0", _DIGEST.sub("0", part)) for part in (self.path, *self.query))

    def is_same(self, page: "Target") -> bool:
        """Whether it is `page` itself, perhaps another leaf of it.

        A parameter that a page with a name of its own lacks chooses no other page: `/x/1.html?v=2`.
        """
        if _LEAF.sub("", self.path) != _LEAF.sub("", page.path):
            return False
        return self.query == page.query or not (page.query or _HOME.match(self.path))

    def is_listed_by(self, page: "Target") -> bool:
        """Whether `page` is the list of a folder in which this page lies: `/book/index.html` of
        `/book/7.html`, `/book.html` of `/book/7`."""
        folder, _, file = page.path.rpartition("/")
        if _LIST_FILE.match(file):
            return self.path.startswith(folder + "/")
        stem = page.path.rstrip("/")
        stem = stem.rpartition(".")[0] if "." in file else stem
        return len(stem) > 1 and self.path.startswith(stem + "/")


@lru_cache(maxsize=4096)
def link_target(base: str, href: str) -> Target | None:
    """Returns where a link leads; None if it leads to an image, or to no page."""
    if not href or href.startswith(("#", "javascript:")) or has_image_extension(href):
        return None
    try:
        return page_target(joined(base, href))
    except ValueError:
        return None


def page_target(url: str) -> Target | None:
    """Returns the page of an absolute URL; None if it is not http(s). Raises `ValueError` for one
    that is no URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    values = parts.query[:MAX_QUERY_CHARACTERS].split("&")
    query = tuple(sorted(one for one in values if one and not _IGNORED.match(one)))
    return Target(parts.hostname, parts.path, query)


@lru_cache(maxsize=4096)
def site(host: str) -> str:
    """Returns the site of a host: the domain that was registered."""
    return site_of_host(host)
