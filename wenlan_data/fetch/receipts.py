"""Details of the receipts of the steps `slice` and `fetch`."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchList:
    """One fetch list: a file of URLs that one fetch part requests."""

    name: str
    """File in the folder of the slice part."""
    rows: int
    chain: str
    """Lists of one chain run one after the other, so that one task at a time talks to a host; lists
    with an empty chain run at any time."""
    own_hosts: tuple[str, ...] = ()
    """Hosts without a row that its task may talk to: they hold robots.txt of its hosts."""
    recorded: int = -1
    """`--from`: position of the old fetch part that recorded these URLs; -1 for none."""
    earlier: int | None = None
    """Packed `layout.PartRef` of the fetch part that requested these URLs before, without giving a
    sample; None for new URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchListDetails:
    """The fetch lists of a generation."""

    fetch_lists: tuple[FetchList, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchDetails:
    """What a fetch or replay part reports beside its counts."""

    hosts: dict[str, dict[str, object]] = field(default_factory=dict)
    """State of each host, for the next list of the chain."""
    requested: int = 0
    """Images requested from the web."""
    retryable_failed: int = 0
    retryable_reasons: dict[str, int] = field(default_factory=dict)
    """Transient failures by reason."""
    requests: int = 0
    """All requests, robots.txt and redirects included."""
    later: int = 0
    """Images that are requested in a later pass, from a host of another fetch list."""
    sandbox: str = ""
    """What confined the decoders (`sandbox.client.confinement`); empty if nothing was decoded."""
