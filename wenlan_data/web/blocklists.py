"""The operator's own lists of what is never asked for and never kept: domains, URLs, and hashes of pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from wenlan_data.errors import RecipeError, os_errors
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.web.urls import host_of, url_key

Bytes = np.ndarray[tuple[int, int], np.dtype[np.uint8]]

EXCLUDED = "excluded"
Entry = TypeVar("Entry", str, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Where the lists lie: text files, one entry a line, `#` begins a comment; empty: no such list.

    They are read by every worker, at the start of a part that may need them.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    domains: str = ""
    """Names whose hosts, and hosts below them, are not asked."""
    urls: str = ""
    """URLs, compared by their canonical form; one that ends in `*` stands for all that begin so."""
    sha256: str = ""
    """64 hex digits of a file's bytes."""
    pdq: str = ""
    """64 hex digits of a PDQ hash; a picture within `pdq_radius_bits` of one is not kept."""
    pdq_radius_bits: int = 31

    def under(self, base: str) -> "Lists":
        """The same with absolute paths: workers do not run in the operator's folder."""
        names = ("domains", "urls", "sha256", "pdq")
        domains, urls, sha256, pdq = (
            str(Path(base, path).absolute()) if (path := getattr(self, name)) else ""
            for name in names
        )
        return replace(self, domains=domains, urls=urls, sha256=sha256, pdq=pdq)

    def load(self) -> "Exclusions":
        """The lists, read. Raises `RecipeError` for a line that is no entry, with file and line."""
        paths = (self.domains, self.urls, self.sha256, self.pdq)
        return _loaded(
            self,
            tuple(
                Path(path).stat().st_mtime_ns if path and Path(path).exists() else 0
                for path in paths
            ),
        )


NO_LISTS = Lists()


@dataclass(frozen=True, slots=True, eq=False)
class Exclusions:
    """The lists in memory: 100 bytes an entry or so."""

    domains: frozenset[str]
    urls: frozenset[str]
    starts: tuple[str, ...]
    sha256: frozenset[bytes]
    pdq: Bytes
    pdq_radius_bits: int

    def refuses_url(self, url: str) -> Drop | None:
        """The drop of a URL that is not asked for."""
        if self.domains:
            name = host_of(url).rpartition(":")[0]
            while name:
                if name in self.domains:
                    return Drop(EXCLUDED, "domain")
                name = name.partition(".")[2]
        if self.urls or self.starts:
            key = url_key(url)
            if key in self.urls or key.startswith(self.starts):
                return Drop(EXCLUDED, "url")
        return None

    def refuses_bytes(self, sha256: str, found: ImageFacts | Drop | None) -> Drop | None:
        """The drop of bytes that are not kept; with a list of PDQ hashes no picture is kept that has none."""
        if self.sha256 and bytes.fromhex(sha256) in self.sha256:
            return Drop(EXCLUDED, "sha256")
        if isinstance(found, ImageFacts) and len(self.pdq):
            own = np.frombuffer(found.pdq, np.uint8)
            if np.bitwise_count(self.pdq ^ own).sum(axis=1).min() <= self.pdq_radius_bits:
                return Drop(EXCLUDED, "pdq")
        return None

    def may_record(self, found: ImageFacts | Drop) -> bool:
        """Whether a picture's bytes may be written: not where a list of PDQ hashes could not be asked."""
        return isinstance(found, ImageFacts) or not len(self.pdq)


@lru_cache(maxsize=4)
def _loaded(lists: Lists, _changed_at: tuple[int, ...]) -> Exclusions:
    urls = list(_entries(lists.urls, _url))
    hashes = list(_entries(lists.pdq, _digest))
    return Exclusions(
        domains=frozenset(_entries(lists.domains, _domain)),
        urls=frozenset(url for url in urls if not url.endswith("*")),
        starts=tuple(url.removesuffix("*") for url in urls if url.endswith("*")),
        sha256=frozenset(_entries(lists.sha256, _digest)),
        pdq=np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
        pdq_radius_bits=lists.pdq_radius_bits,
    )


def _entries(path: str, read: Callable[[str], Entry | None]) -> Iterator[Entry]:
    if not path:
        return
    with os_errors(path):
        lines = Path(path).read_text("utf-8-sig").splitlines()
    for number, line in enumerate(lines, 1):
        if word := line.partition(" #")[0].strip() if not line.lstrip().startswith("#") else "":
            entry = read(word)
            if entry is None:
                raise RecipeError(
                    f"{path}: line {number}: {word[:80]!r} is no entry of this list: correct or remove it"
                )
            yield entry


def _domain(word: str) -> str | None:
    name = host_of(f"http://{word.lower().removeprefix('*.').strip('.')}/").rpartition(":")[0]
    return name or None


def _url(word: str) -> str | None:
    is_start = word.endswith("*")
    key = url_key(word.removesuffix("*"))
    return (key + "*" if is_start else key) if host_of(word) else None


def _digest(word: str) -> bytes | None:
    try:
        digest = bytes.fromhex(word.split()[0])
    except ValueError:
        return None
    return digest if len(digest) == 32 else None
