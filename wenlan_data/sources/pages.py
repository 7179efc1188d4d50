"""Pages that the build crawls: from seeds and sitemaps along links, within limits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow.parquet as pq

from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.scope import Scope
from wenlan_data.errors import UsageError
from wenlan_data.layout import PAGE_TABLE
from wenlan_data.part_files import checked
from wenlan_data.protocols import SourcePart
from wenlan_data.records import Candidate, Drop, RecordedResponse
from wenlan_data.sandbox.client import cpu_time_s
from wenlan_data.sandbox.decoding_budget import DecodingBudget
from wenlan_data.sandbox.pages import read_page
from wenlan_data.tables import PAGES
from wenlan_data.web.domains import registrable_domain, same_site
from wenlan_data.web.limits import DEFAULTS
from wenlan_data.web.tracking_params import page_url
from wenlan_data.web.urls import host_of, url_problem, without_user_information
from wenlan_data.web.warc import record_at


@dataclass(frozen=True)
class Pages:
    """Pages of the web. Each part is what the crawl recorded for one fetch list."""

    seeds: tuple[str, ...] = ()
    """URLs that the crawl starts from: pages, sitemaps or feeds."""
    path: str = ""
    """One more seed, as `pages:URL` on the command line gives it."""
    base: str = ""
    follow: Literal["hosts", "domains"] | tuple[str, ...] = "hosts"
    """Which links are followed: to the seeds' hosts (with or without `www`, over http or https), to
    their registrable domains, or to the hosts and domains of a list."""
    sitemaps: bool = True
    """Whether the sitemaps that robots.txt names are read."""
    max_pages: int | None = None
    """Maximum number of recorded pages; None: no limit."""
    max_depth: int = 20
    """Maximum number of links between a seed and a page."""
    max_pages_a_host: int = 10_000
    """Maximum number of pages that are requested of a host that no seed names."""
    include: tuple[str, ...] = ()
    """Patterns such as `/recipes/*`: path and query of a link must match one. Seeds are always
    requested."""
    exclude: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`pages:` and the first seed."""
        return f"pages:{self._all_seeds()[0]}" if self._all_seeds() else "pages:"

    def describe(self) -> str:
        """Returns the limits of the crawl."""
        pages = "no limit of pages" if self.max_pages is None else f"at most {self.max_pages} pages"
        where = self.follow if isinstance(self.follow, str) else ", ".join(self.follow)
        return f"{len(self._all_seeds())} seeds, links to {where}, depth {self.max_depth}, {pages}"

    def parts(self, *, source: int, max_rows: int) -> Iterator[SourcePart]:  # noqa: ARG002 - only the crawl makes parts
        """Yields nothing: the crawl makes the parts (`run.crawl`).

        Raises `UsageError` for seeds that are no URLs.
        """
        if not self._all_seeds():
            raise UsageError(
                "pages: no seed is given: write seeds: [https://...] or pages:https://..."
            )
        for seed in self._all_seeds():
            if drop := url_problem(seed):
                shown = without_user_information(seed)
                raise UsageError(
                    f"pages: {shown!r} is not a URL to start from ({drop.reason}): "
                    "write http://host/path"
                )
        if (
            self.max_depth < 0
            or (self.max_pages is not None and self.max_pages < 1)
            or self.max_pages_a_host < 1
        ):
            raise UsageError("pages: max_depth below 0, or max_pages or max_pages_a_host below 1")
        return iter(())

    def read(self, part: SourcePart) -> Iterator[Candidate | Drop]:
        """Yields the images of each page of one fetch list, in its order."""
        warc = checked(part.path)
        columns = ["reason", "warc_offset", "host", "url"]
        table = pq.read_table(checked(warc.parent / PAGE_TABLE), columns=columns, schema=PAGES)
        budget = DecodingBudget(DEFAULTS.max_slow_decoding_s, {})
        for row in table.to_pylist():
            if row["reason"]:
                continue
            if drop := budget.refuses(row["host"]):
                yield replace(drop, page_url=row["url"])
                continue
            before_s = cpu_time_s()
            rows = list(read_page(record_at(warc, row["warc_offset"]), str(warc), self.name))
            budget.add(row["host"], cpu_time_s() - before_s)
            yield from rows

    def images(self, part: SourcePart) -> Iterator[RecordedResponse]:  # noqa: ARG002
        """Yields nothing: a crawl records pages."""
        return iter(())

    def crawl_seeds(self) -> tuple[str, ...]:
        """Returns the seeds without fragments and tracking parameters."""
        return tuple(page_url(seed) for seed in self._all_seeds())

    def scope(self) -> Scope:
        """Returns which links are followed."""
        hosts = self._own_hosts()
        domains: tuple[str, ...] = ()
        if self.follow == "domains":
            domains = tuple(dict.fromkeys(map(registrable_domain, hosts)))
        elif not isinstance(self.follow, str):
            domains = tuple(word.lower() for word in self.follow if ":" not in word)
            hosts += tuple(word.lower() for word in self.follow if ":" in word)
        return Scope(hosts=hosts, domains=domains, include=self.include, exclude=self.exclude)

    def crawl_limits(self) -> CrawlLimits:
        """Returns the limits of the crawl."""
        return CrawlLimits(
            max_pages=self.max_pages,
            max_depth=self.max_depth,
            max_pages_a_host=self.max_pages_a_host,
            own_hosts=self._own_hosts(),
        )

    def identity(self) -> dict[str, object]:
        """Returns the settings that identify the crawl: all but its limits, which a build may
        raise.
        """
        follow = self.follow if isinstance(self.follow, str) else list(self.follow)
        words = {
            "seeds": list(self._all_seeds()),
            "include": list(self.include),
            "exclude": list(self.exclude),
        }
        return {**words, "follow": follow, "sitemaps": self.sitemaps}

    def _own_hosts(self) -> tuple[str, ...]:
        """The seeds' hosts, over http and https, with and without `www`: they are one site."""
        return tuple(
            dict.fromkeys(same for seed in self._all_seeds() for same in same_site(host_of(seed)))
        )

    def _all_seeds(self) -> tuple[str, ...]:
        return (*((self.path,) if self.path else ()), *self.seeds)
