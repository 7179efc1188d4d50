"""Pages that the build crawls itself: from seeds and sitemaps along links within limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.scope import Scope, same_site
from wenlan_data.crawl.step import TABLE
from wenlan_data.errors import UsageError
from wenlan_data.protocols import SourcePart
from wenlan_data.records import Candidate, Drop
from wenlan_data.sandbox.pages import read_page
from wenlan_data.tables import PAGES
from wenlan_data.web.domains import registrable_domain
from wenlan_data.web.tracking_params import page_url
from wenlan_data.web.urls import host_of, usable
from wenlan_data.web.warc import record_at


@dataclass(frozen=True)
class Pages:
    """Pages of the web, asked for by the build. Its parts are what the crawl recorded, one a slice."""

    seeds: tuple[str, ...] = ()
    """URLs that the crawl starts from: pages, sitemaps or feeds."""
    path: str = ""
    """One more seed, as `pages:URL` on the command line gives it."""
    base: str = ""
    follow: Literal["hosts", "domains"] | tuple[str, ...] = "hosts"
    """Where links may lead: the seeds' hosts (with or without `www`, over http or https), their registrable domains,
    or the hosts and domains of a list."""
    sitemaps: bool = True
    """Whether the sitemaps that robots.txt names are read."""
    max_pages: int | None = None
    """Recorded pages; None: no limit."""
    max_depth: int = 20
    """Links from a seed."""
    max_pages_a_host: int = 10_000
    """Of a host that no seed names."""
    include: tuple[str, ...] = ()
    """Patterns such as `/recipes/*`: path and query of a link must match one. Seeds are asked in any case."""
    exclude: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`pages:` and the first seed."""
        return f"pages:{self._all_seeds()[0]}" if self._all_seeds() else "pages:"

    def described(self) -> str:
        """One line that says how far the crawl goes."""
        pages = "no limit of pages" if self.max_pages is None else f"at most {self.max_pages} pages"
        where = self.follow if isinstance(self.follow, str) else ", ".join(self.follow)
        return f"{len(self._all_seeds())} seeds, links to {where}, depth {self.max_depth}, {pages}"

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:  # noqa: ARG002 - only the crawl gives parts
        """Nothing: parts come from the crawl (`run.crawl`). Raises `UsageError` for seeds that cannot be asked."""
        if not self._all_seeds():
            raise UsageError(
                "pages: no seed is given: write seeds: [https://...] or pages:https://..."
            )
        for seed in self._all_seeds():
            if drop := usable(seed):
                raise UsageError(
                    f"pages: {seed!r} is no address to start from ({drop.reason}): write http://host/path"
                )
        if (
            self.max_depth < 0
            or (self.max_pages is not None and self.max_pages < 1)
            or self.max_pages_a_host < 1
        ):
            raise UsageError("pages: max_depth below 0, or max_pages or max_pages_a_host below 1")
        return iter(())

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """The pictures of each page of one slice, in the order of its frontier."""
        warc = Path(part.path)
        table = pq.read_table(warc.parent / TABLE, columns=["reason", "warc_offset"], schema=PAGES)
        for row in table.to_pylist():
            if not row["reason"]:
                yield from read_page(record_at(warc, row["warc_offset"]), str(warc), self.name)

    def images(self, part: SourcePart) -> Iterator[tuple[str, int]]:  # noqa: ARG002
        """Nothing: a crawl records pages."""
        return iter(())

    def crawl_seeds(self) -> tuple[str, ...]:
        """The seeds, without fragments and tracking."""
        return tuple(page_url(seed) for seed in self._all_seeds())

    def scope(self) -> Scope:
        """Where links may lead."""
        hosts = self._own_hosts()
        domains: tuple[str, ...] = ()
        if self.follow == "domains":
            domains = tuple(dict.fromkeys(map(registrable_domain, hosts)))
        elif not isinstance(self.follow, str):
            domains = tuple(word.lower() for word in self.follow if ":" not in word)
            hosts += tuple(word.lower() for word in self.follow if ":" in word)
        return Scope(hosts=hosts, domains=domains, include=self.include, exclude=self.exclude)

    def crawl_limits(self) -> CrawlLimits:
        """How far it goes."""
        return CrawlLimits(
            max_pages=self.max_pages,
            max_depth=self.max_depth,
            max_pages_a_host=self.max_pages_a_host,
            own_hosts=self._own_hosts(),
        )

    def identity(self) -> dict[str, object]:
        """What makes it this crawl and no other: all but how far it goes."""
        follow = self.follow if isinstance(self.follow, str) else list(self.follow)
        words = {
            "seeds": list(self._all_seeds()),
            "include": list(self.include),
            "exclude": list(self.exclude),
        }
        return {**words, "follow": follow, "sitemaps": self.sitemaps}

    def _own_hosts(self) -> tuple[str, ...]:
        """The seeds' hosts; over http and https, with and without `www`, a site is the same."""
        return tuple(
            dict.fromkeys(same for seed in self._all_seeds() for same in same_site(host_of(seed)))
        )

    def _all_seeds(self) -> tuple[str, ...]:
        return (*((self.path,) if self.path else ()), *self.seeds)
