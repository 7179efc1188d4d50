"""Estimates a build from local files alone, for `--dry-run`."""

from collections import Counter
from dataclasses import dataclass

from wenlan_data.records import Candidate
from wenlan_data.run.options import cores
from wenlan_data.run.preflight import Prepared
from wenlan_data.source_config import Sources, SourceSpec
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.urls import host_of

BYTES_PER_IMAGE = 100_000
"""Assumed mean size of images that pass the size filter; a guess, printed with the estimate."""
MAX_COUNTED_ROWS = 1_000_000
"""Hosts are not counted for sources with more rows than this; their counts are then unknown."""


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """Counts of one source; `rows` is None if only a full read could count them."""

    name: str
    rows: int | None
    parts: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class HostEstimate:
    """Least time that one host's URLs take: URLs times request gap, over connections."""

    host: str
    urls: int
    gap_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Counts of the whole build; None where they are unknown."""

    sources: tuple[SourceEstimate, ...]
    rows: int | None
    urls: int | None
    disk_bytes: int | None
    seconds: int | None
    slowest_hosts: tuple[HostEstimate, ...]
    # A key of `--json`, which keeps its name.
    bytes_per_picture: int = BYTES_PER_IMAGE
    workers: int | None = None
    """Parallel tasks; None for the cores of the cluster, which is not contacted."""


def estimate(prepared: Prepared) -> Estimate:
    """Estimates rows, requests, disk and time. Reads the sources; sends and creates nothing."""
    sources, options = prepared.sources, prepared.options
    workers = options.workers or (None if options.ray_address else cores())
    if sources is None:
        return Estimate((), None, None, None, 0, (), workers=workers)
    described = tuple(_source(spec, prepared) for spec in sources.sources)
    row_counts = [one.rows for one in described]
    known_counts = [count for count in row_counts if count is not None]
    rows = sum(known_counts) if len(known_counts) == len(row_counts) else None
    hosts = _hosts(sources, prepared) if rows is not None and rows <= MAX_COUNTED_ROWS else None
    slowest = sorted(
        (_host(host, urls, sources) for host, urls in (hosts or {}).items()),
        key=lambda one: -one.seconds,
    )[:10]
    return Estimate(
        sources=described,
        rows=rows,
        urls=None if hosts is None else sum(hosts.values()),
        # The WARC and the shard both hold the image.
        disk_bytes=None if rows is None else 2 * rows * BYTES_PER_IMAGE,
        # Hosts are fetched in parallel, so the slowest one decides.
        seconds=None if hosts is None else round(max((one.seconds for one in slowest), default=0)),
        slowest_hosts=tuple(slowest),
        workers=workers,
    )


def _source(spec: SourceSpec, prepared: Prepared) -> SourceEstimate:
    source = spec.load()
    parts = list(source.parts(source=0, max_rows=prepared.options.generation_rows))
    known = [part.rows for part in parts if part.rows is not None]
    # A source of pages has no part before the crawl.
    rows = sum(known) if parts and len(known) == len(parts) else None
    return SourceEstimate(source.name, rows, len(parts), source.describe())


def _hosts(sources: Sources, prepared: Prepared) -> Counter[str]:
    """Counts distinct URLs to request by host; a candidate without a web address has no host."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    for spec in sources.sources:
        source = spec.load()
        for part in source.parts(source=0, max_rows=prepared.options.generation_rows):
            for one in source.read(part):
                if sources.network.offline:
                    continue
                if isinstance(one, Candidate) and one.origin is None and (host := host_of(one.url)):
                    counts[host] += hash(one.url) not in seen
                    seen.add(hash(one.url))
    return counts


def _host(host: str, urls: int, sources: Sources) -> HostEstimate:
    limits = sources.hosts.get(host, HostLimits())
    return HostEstimate(
        host, urls, limits.min_gap_s, urls * limits.min_gap_s / limits.max_connections
    )
