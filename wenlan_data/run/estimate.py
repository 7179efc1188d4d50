"""What a build would do, from local files alone: `--dry-run`."""

from collections import Counter
from dataclasses import dataclass

from wenlan_data.records import Candidate
from wenlan_data.run.preflight import Prepared
from wenlan_data.source_config import Sources, SourceSpec
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.urls import host_of

BYTES_PER_PICTURE = 100_000
"""Mean of photographs on the Chinese web after the size filter; our own guess, printed beside the estimate."""
MAX_COUNTED_ROWS = 1_000_000
"""Hosts are counted over at most this many rows; beyond it the counts are unknown."""


@dataclass(frozen=True, slots=True)
class SourceEstimate:
    """One source: None means that only a full read tells."""

    name: str
    rows: int | None
    parts: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class HostEstimate:
    """URLs times gap."""

    host: str
    urls: int
    gap_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """The whole build."""

    sources: tuple[SourceEstimate, ...]
    rows: int | None
    urls: int | None
    disk_bytes: int | None
    seconds: int | None
    slowest_hosts: tuple[HostEstimate, ...]
    bytes_per_picture: int = BYTES_PER_PICTURE


def estimate(prepared: Prepared) -> Estimate:
    """Read the sources, send nothing, create nothing."""
    sources = prepared.sources
    if sources is None:
        return Estimate((), None, None, None, 0, ())
    described = tuple(_source(spec, prepared) for spec in sources.sources)
    counts = [one.rows for one in described]
    rows = None if None in counts else sum(count for count in counts if count is not None)
    hosts = _hosts(sources, prepared) if rows is not None and rows <= MAX_COUNTED_ROWS else None
    slowest = sorted(
        (_host(host, n, sources) for host, n in (hosts or {}).items()), key=lambda one: -one.seconds
    )[:10]
    return Estimate(
        sources=described,
        rows=rows,
        urls=None if hosts is None else sum(hosts.values()),
        # The WARC and the shard both hold the picture.
        disk_bytes=None if rows is None else 2 * rows * BYTES_PER_PICTURE,
        seconds=None if hosts is None else round(max((one.seconds for one in slowest), default=0)),
        slowest_hosts=tuple(slowest),
    )


def _source(spec: SourceSpec, prepared: Prepared) -> SourceEstimate:
    source = spec.load()
    parts = list(source.parts(source=0, max_rows=prepared.options.generation_rows))
    known = [part.rows for part in parts if part.rows is not None]
    # Pages have no part before they are crawled.
    rows = sum(known) if parts and len(known) == len(parts) else None
    return SourceEstimate(source.name, rows, len(parts), source.describe())


def _hosts(sources: Sources, prepared: Prepared) -> Counter[str]:
    """Host to URLs that would be asked, each once; what is no web address is never asked."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    for spec in sources.sources:
        source = spec.load()
        for part in source.parts(source=0, max_rows=prepared.options.generation_rows):
            for one in source.read(part):
                if isinstance(one, Candidate) and one.origin is None and (host := host_of(one.url)):
                    counts[host] += hash(one.url) not in seen
                    seen.add(hash(one.url))
    return counts


def _host(host: str, urls: int, sources: Sources) -> HostEstimate:
    limits = sources.hosts.get(host, HostLimits())
    return HostEstimate(
        host, urls, limits.min_gap_s, urls * limits.min_gap_s / limits.max_connections
    )
