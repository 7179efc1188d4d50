"""Details of the receipts of the steps `frontier` and `crawl`."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierList:
    """One fetch list of pages; names are files in the folder of the frontier part."""

    name: str
    states: str
    """JSON: state of its hosts."""
    recorded: str
    """JSON: where pages lie that another crawl has recorded."""
    rows: int
    chain: str
    """Lists of one chain run one after the other."""
    own_hosts: tuple[str, ...] = ()
    """Hosts without a page that its task may talk to: they hold robots.txt of its hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierDetails:
    """The fetch lists of a round."""

    fetch_lists: tuple[FrontierList, ...]
    waiting: int
    """URLs left for later rounds."""
    waits_for: dict[str, int]
    """Reason to URLs that this round left."""
    again: int = 0
    """URLs that failed before and are fetched again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlDetails:
    """What a crawl part reports beside its counts."""

    hosts: dict[str, dict[str, object]] = field(default_factory=dict)
    """State of each host, for the next list of the chain."""
    requested: int = 0
    retryable_failed: int = 0
    """Pages that failed transiently."""
    requests: int = 0
    left_links: dict[str, int] = field(default_factory=dict)
    """Reason to links that were not followed."""
