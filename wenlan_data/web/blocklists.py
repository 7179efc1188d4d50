"""The operator's blocklists: domains, URLs and hashes of images that are never requested or
recorded."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from wenlan_data.errors import RecipeError, os_errors
from wenlan_data.files import read_bounded
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.web.urls import host_of, url_key

Bytes = np.ndarray[tuple[int, int], np.dtype[np.uint8]]

ListEntry = TypeVar("ListEntry", str, bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocklists:
    """Paths of the lists: text files, one entry a line, `#` begins a comment; an empty path: no
    such list.

    Every worker reads them, at the start of a part that may need them.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    domains: str = ""
    """Domains: no host of these names, or below them, is requested."""
    urls: str = ""
    """URLs, compared by their canonical form; a final `*` matches every URL with that prefix."""
    sha256: str = ""
    """64 hex digits of a file's bytes."""
    pdq: str = ""
    """64 hex digits of a PDQ hash; an image within `pdq_radius_bits` of one is not recorded."""
    pdq_radius_bits: int = 31

    def with_absolute_paths(self, base: str) -> "Blocklists":
        """Resolves relative paths against `base`: workers do not run in the operator's folder."""

        def absolute(path: str) -> str:
            return str(Path(base, path).absolute()) if path else ""

        return replace(
            self,
            domains=absolute(self.domains),
            urls=absolute(self.urls),
            sha256=absolute(self.sha256),
            pdq=absolute(self.pdq),
        )

    def load(self) -> "LoadedBlocklists":
        """Reads the lists. Raises `RecipeError` for a line that is no entry, with file and line."""
        paths = (self.domains, self.urls, self.sha256, self.pdq)
        return _loaded(
            self,
            tuple(
                Path(path).stat().st_mtime_ns if path and Path(path).exists() else 0
                for path in paths
            ),
        )


NO_BLOCKLISTS = Blocklists()
MAX_LIST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class LoadedBlocklists:
    """The lists in memory, about 100 bytes per entry."""

    domains: frozenset[str]
    urls: frozenset[str]
    url_prefixes: tuple[str, ...]
    sha256: frozenset[bytes]
    pdq: Bytes
    pdq_radius_bits: int

    @property
    def digest(self) -> str:
        """A digest of all entries, whatever file they are in; empty where there is none."""
        texts = (sorted(self.domains), sorted(self.urls), sorted(self.url_prefixes))
        hashes = (sorted(self.sha256), sorted(map(bytes, self.pdq)))
        if not any((*texts, *hashes)):
            return ""
        listed = (texts, hashes, self.pdq_radius_bits)
        return hashlib.sha256(repr(listed).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def refuses_url(self, url: str) -> Drop | None:
        """The drop of a URL that is on one of the lists, else None."""
        if self.domains:
            name = host_of(url).rpartition(":")[0]
            # Every parent domain is looked up, so that one set serves for hosts at any depth.
            while name:
                if name in self.domains:
                    return Drop(Reason.EXCLUDED, "domain")
                name = name.partition(".")[2]
        if self.urls or self.url_prefixes:
            key = url_key(url)
            if key in self.urls or key.startswith(self.url_prefixes):
                return Drop(Reason.EXCLUDED, "url")
        return None

    def refuses_bytes(self, sha256: str, found: ImageFacts | Drop | None) -> Drop | None:
        """The drop of bytes that are on one of the lists, else None; `found` is None before the
        bytes are decoded."""
        if self.sha256 and bytes.fromhex(sha256) in self.sha256:
            return Drop(Reason.EXCLUDED, "sha256")
        return self.refuses_pdq(found.pdq) if isinstance(found, ImageFacts) else None

    def refuses_pdq(self, pdq: bytes) -> Drop | None:
        """The drop of an image whose PDQ hash is near one of the list, else None."""
        if len(self.pdq):
            own = np.frombuffer(pdq, np.uint8)
            if np.bitwise_count(self.pdq ^ own).sum(axis=1).min() <= self.pdq_radius_bits:
                return Drop(Reason.EXCLUDED, "pdq")
        return None

    def may_record(self, found: ImageFacts | Drop) -> bool:
        """Whether bytes may be written: with a list of PDQ hashes, only those of an image that has
        a hash."""
        return isinstance(found, ImageFacts) or not len(self.pdq)


# The modification times are part of the key: a worker that lives on reads a changed list again.
@lru_cache(maxsize=4)
def _loaded(lists: Blocklists, _changed_at: tuple[int, ...]) -> LoadedBlocklists:
    urls = list(_entries(lists.urls, _url))
    hashes = list(_entries(lists.pdq, _digest))
    return LoadedBlocklists(
        domains=frozenset(_entries(lists.domains, _domain)),
        urls=frozenset(url for url in urls if not url.endswith("*")),
        url_prefixes=tuple(url.removesuffix("*") for url in urls if url.endswith("*")),
        sha256=frozenset(_entries(lists.sha256, _digest)),
        pdq=np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
        pdq_radius_bits=lists.pdq_radius_bits,
    )


def _entries(path: str, read: Callable[[str], ListEntry | None]) -> Iterator[ListEntry]:
    if not path:
        return
    with os_errors(path):
        data = read_bounded(Path(path), MAX_LIST_BYTES)
    try:
        # Editors on Windows begin a UTF-8 file with a byte order mark.
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 ({error.reason}): convert the list") from error
    for number, line in enumerate(lines, 1):
        # A hash inside a URL is no comment; one after a space is.
        if word := line.partition(" #")[0].strip() if not line.lstrip().startswith("#") else "":
            entry = read(word)
            if entry is None:
                raise RecipeError(
                    f"{path}: line {number}: {word[:80]!r} is no entry of this list: correct or remove it"
                )
            yield entry


def _domain(word: str) -> str | None:
    # By way of a URL, so that names are compared in the form of `host_of`: lower case, punycode.
    name = host_of(f"http://{word.lower().removeprefix('*.').strip('.')}/").rpartition(":")[0]
    return name or None


def _url(word: str) -> str | None:
    is_prefix = word.endswith("*")
    key = url_key(word.removesuffix("*"))
    return (key + "*" if is_prefix else key) if host_of(word) else None


def _digest(word: str) -> bytes | None:
    try:
        # The first word only: `sha256sum` writes the file's name after the digest.
        digest = bytes.fromhex(word.split()[0])
    except ValueError:
        return None
    return digest if len(digest) == 32 else None
