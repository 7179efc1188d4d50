"""Limits how many pages of each host, domain and URL shape a crawl requests, which keeps it out of
endless sites."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from wenlan_data.arrow import to_strings
from wenlan_data.crawl.scope import is_sitemap, shape_of
from wenlan_data.fetch.fetch_lists import rows_per_fetch_list
from wenlan_data.npy import Bools
from wenlan_data.part_files import load_part_state
from wenlan_data.web.domains import registrable_domain
from wenlan_data.web.limits import HostLimits

MAX_FETCH_LISTS_A_ROUND = 10
"""Of one host: a round lasts about ten minutes, then its pages go into the corpus."""
_KEPT_SHAPES = 20
"""Shapes with fewer requested pages, or fewer than a hundredth of the limit, are not saved between
rounds: there are many of them, and they are far from any limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlLimits:
    """How far a crawl goes. A build with other limits resumes the same crawl."""

    max_pages: int | None = None
    """Pages recorded; None: no limit."""
    max_depth: int = 20
    max_pages_a_host: int = 10_000
    """Requested of a host that no seed names: `*.example.org` may be a trap of endless hosts."""
    max_pages_a_domain: int = 10_000
    """Requested of all hosts of a registrable domain that no seed names."""
    max_pages_a_shape: int = 10_000
    """Requested of URLs of one host that differ only in numbers and in values of the query."""
    max_listings_a_site: int = 1000
    """Sitemaps and feeds read of all hosts of a registrable domain, above which no sitemap of it is
    requested."""
    own_hosts: tuple[str, ...] = ()
    """Hosts of the seeds, exempt from the limits of host and domain."""


class Budget:
    """Chooses the pages of one round.

    Requests count for the whole crawl, those of a host also for the round.
    """

    def __init__(
        self,
        limits: CrawlLimits,
        hosts: Mapping[str, HostLimits],
        recorded: int,
        counts: "RequestCounts | None" = None,
        listings: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`listings` are the numbers of sitemaps and feeds read so far, by registrable domain."""
        self.counts = counts or RequestCounts()
        self.refused: Counter[str] = Counter()
        """Reason why pages wait to their number."""
        self._limits = limits
        self._hosts = hosts
        self._listings = listings
        self._left = None if limits.max_pages is None else max(0, limits.max_pages - recorded)
        self._round: Counter[str] = Counter()

    def choose(self, rows: pa.Table) -> Bools:
        """bool (N): which rows of `tables.FRONTIER`, all of one depth, this round requests; the
        others wait."""
        chosen = np.zeros(rows.num_rows, np.bool_)
        if self._left == 0 or rows["depth"][0].as_py() > self._limits.max_depth:
            self.refused["max_pages" if self._left == 0 else "max_depth"] += rows.num_rows
            return chosen
        hosts = rows["host"].combine_chunks().dictionary_encode()
        names = to_strings(hosts.dictionary)
        codes = hosts.indices.to_numpy(zero_copy_only=False)
        open_hosts = np.array([self._room(name) > 0 for name in names])
        at = np.flatnonzero(open_hosts[codes])
        self.refused["max_pages_a_host_or_round"] += rows.num_rows - len(at)
        urls = to_strings(rows["url"].take(pa.array(at)))
        for row, url in zip(at.tolist(), urls, strict=True):
            reason = self._reason_to_wait(names[codes[row]], url)
            chosen[row] = not reason
            if reason:
                self.refused[reason] += 1
        return chosen

    def _reason_to_wait(self, host: str, url: str) -> str:
        """The reason why a page waits; empty, and the page counted, where it is chosen."""
        limits, counts = self._limits, self.counts
        if self._left == 0:
            return "max_pages"
        if self._room(host) <= 0:
            return "max_pages_a_host_or_round"
        if (
            is_sitemap(url)
            and self._listings.get(registrable_domain(host), 0) >= limits.max_listings_a_site
        ):
            return "max_listings"
        domain = "" if host in limits.own_hosts else registrable_domain(host)
        if domain and counts.domains[domain] >= limits.max_pages_a_domain:
            return "max_pages_a_domain"
        shape = shape_of(url)
        if counts.shapes[shape] >= limits.max_pages_a_shape:
            return "max_pages_a_shape"
        self._left = None if self._left is None else self._left - 1
        self._round[host] += 1
        counts.hosts[host] += 1
        counts.shapes[shape] += 1
        if domain:
            counts.domains[domain] += 1
        return ""

    def _room(self, host: str) -> int:
        most = (
            MAX_FETCH_LISTS_A_ROUND * rows_per_fetch_list(self._hosts.get(host) or HostLimits())
            - self._round[host]
        )
        if host in self._limits.own_hosts:
            return most
        return min(most, self._limits.max_pages_a_host - self.counts.hosts[host])


class RequestCounts:
    """Numbers of requested pages by host, registrable domain and URL shape."""

    def __init__(self) -> None:
        self.hosts: Counter[str] = Counter()
        self.domains: Counter[str] = Counter()
        self.shapes: Counter[str] = Counter()

    @classmethod
    def load(cls, path: Path) -> "RequestCounts":
        """Reads what `save` wrote."""
        counts, value = cls(), load_part_state(path, dict[str, dict[str, int]])
        counts.hosts, counts.domains, counts.shapes = (
            Counter(value.get(name, {})) for name in ("hosts", "domains", "shapes")
        )
        return counts

    def save(self, path: Path, max_pages_a_shape: int) -> None:
        """Writes all counts but those of shapes that are far from their limit."""
        least = min(_KEPT_SHAPES, max_pages_a_shape // 100)
        shapes = {shape: count for shape, count in self.shapes.items() if count >= least}
        path.write_text(
            json.dumps({"hosts": self.hosts, "domains": self.domains, "shapes": shapes}), "utf-8"
        )
