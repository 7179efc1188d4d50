"""How much of each host, domain and pattern of addresses a crawl asks for: what keeps it out of endless sites."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from wenlan_data.crawl.queue import Mask
from wenlan_data.crawl.scope import shape_of
from wenlan_data.fetch.fetch_lists import rows_a_slice
from wenlan_data.web.domains import registrable_domain
from wenlan_data.web.limits import HostLimits

MAX_SLICES_A_ROUND = 10
"""Of one host: a round lasts ten minutes or so, then what it found goes on into the corpus."""
_KEPT_SHAPES = 20
"""A shape with fewer pages asked, or fewer than a hundredth of its limit, is forgotten from round to round: there are
many of them, far from any limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlLimits:
    """How far a crawl goes; another number goes on with the same crawl."""

    max_pages: int | None = None
    """Pages recorded; None: no limit."""
    max_depth: int = 20
    max_pages_a_host: int = 10_000
    """Asked of a host that no seed names: `*.example.org` may be a trap of endless hosts."""
    max_pages_a_domain: int = 10_000
    """Asked of all hosts of a registrable domain that no seed names."""
    max_pages_a_shape: int = 10_000
    """Asked of addresses of one host that differ in numbers and in values of the query only."""
    own_hosts: tuple[str, ...] = ()
    """Hosts of the seeds, for which those of host and domain do not count."""


class Budget:
    """Spends one round's requests. What is asked counts for good; how much of a host, for the round."""

    def __init__(
        self,
        limits: CrawlLimits,
        hosts: Mapping[str, HostLimits],
        recorded: int,
        asked: "Asked | None" = None,
    ) -> None:
        self.asked = asked or Asked()
        self.refused: Counter[str] = Counter()
        """Why pages wait, to count."""
        self._limits = limits
        self._hosts = hosts
        self._left = None if limits.max_pages is None else max(0, limits.max_pages - recorded)
        self._round: Counter[str] = Counter()

    def choose(self, rows: pa.Table) -> Mask:
        """bool (N): which rows of `tables.FRONTIER`, all of one depth, this round asks; the others wait."""
        chosen = np.zeros(rows.num_rows, np.bool_)
        if self._left == 0 or rows["depth"][0].as_py() > self._limits.max_depth:
            self.refused["max_pages" if self._left == 0 else "max_depth"] += rows.num_rows
            return chosen
        hosts = rows["host"].combine_chunks().dictionary_encode()
        names = cast("list[str]", hosts.dictionary.to_pylist())
        codes = hosts.indices.to_numpy(zero_copy_only=False)
        open_hosts = np.array([self._room(name) > 0 for name in names])
        at = np.flatnonzero(open_hosts[codes])
        self.refused["max_pages_a_host_or_round"] += rows.num_rows - len(at)
        urls = rows["url"].take(pa.array(at)).to_pylist()
        for row, url in zip(at.tolist(), urls, strict=True):
            reason = self._refuses(names[codes[row]], cast("str", url))
            chosen[row] = not reason
            if reason:
                self.refused[reason] += 1
        return chosen

    def _refuses(self, host: str, url: str) -> str:
        """Why a page waits; counts it where it does not."""
        limits, asked = self._limits, self.asked
        if self._left == 0:
            return "max_pages"
        if self._room(host) <= 0:
            return "max_pages_a_host_or_round"
        domain = "" if host in limits.own_hosts else registrable_domain(host)
        if domain and asked.domains[domain] >= limits.max_pages_a_domain:
            return "max_pages_a_domain"
        shape = shape_of(url)
        if asked.shapes[shape] >= limits.max_pages_a_shape:
            return "max_pages_a_shape"
        self._left = None if self._left is None else self._left - 1
        self._round[host] += 1
        asked.hosts[host] += 1
        asked.shapes[shape] += 1
        if domain:
            asked.domains[domain] += 1
        return ""

    def _room(self, host: str) -> int:
        most = (
            MAX_SLICES_A_ROUND * rows_a_slice(self._hosts.get(host) or HostLimits())
            - self._round[host]
        )
        if host in self._limits.own_hosts:
            return most
        return min(most, self._limits.max_pages_a_host - self.asked.hosts[host])


class Asked:
    """How many pages were asked for, by host, registrable domain and shape of the address."""

    def __init__(self) -> None:
        self.hosts: Counter[str] = Counter()
        self.domains: Counter[str] = Counter()
        self.shapes: Counter[str] = Counter()

    @classmethod
    def load(cls, path: Path) -> "Asked":
        """What `save` wrote."""
        asked, value = cls(), json.loads(path.read_text("utf-8"))
        asked.hosts, asked.domains, asked.shapes = (
            Counter(value[name]) for name in ("hosts", "domains", "shapes")
        )
        return asked

    def save(self, path: Path, max_pages_a_shape: int) -> None:
        """Write all of it but for shapes that are far from their limit."""
        least = min(_KEPT_SHAPES, max_pages_a_shape // 100)
        shapes = {shape: count for shape, count in self.shapes.items() if count >= least}
        path.write_text(
            json.dumps({"hosts": self.hosts, "domains": self.domains, "shapes": shapes}), "utf-8"
        )
