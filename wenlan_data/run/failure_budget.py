"""Transient failures of requests and pages: how many a build accepts, and what the operator should
know."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from wenlan_data.errors import FailureBudgetError
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.protocols import Receipt
from wenlan_data.reasons import Reason
from wenlan_data.run.generations import GenerationPlan

MAX_FAILED_PAGES_SHARE = 0.05
"""Of the pages of a crawl, without `--max-failed-share`. Images have no default budget: half of the
links of old tables are dead, but a site whose pages fail is a site that is down."""
_NAMED_REASONS = 3

MIN_HOST_NAMES = 20
"""With fewer names, a large share is no evidence of a resolver that is down."""
MIN_UNRESOLVED_SHARE = 0.3
MAX_ABANDONED_LINES = 10
"""Abandoned hosts that are named; the others are counted."""
_ABANDONED_BECAUSE: Mapping[str, str] = {
    Reason.HOST_WAITS: "it asks for a longer wait",
    Reason.HOST_UNREACHABLE: "it is unreachable",
}


class FailureBudget:
    """Counts transient failures over the generations of one run."""

    def __init__(self) -> None:
        self.pages: Counter[str] = Counter()
        """Outcome to crawled pages."""
        self._failed_pages = 0
        self._requested = 0
        self._failed: Counter[str] = Counter()

    def add_pages(self, plan: GenerationPlan) -> None:
        """Adds the pages that a generation's sources were crawled from."""
        self.pages.update(plan.pages())
        self._failed_pages += sum(entry.failed_pages for entry in plan.entries)

    def add_fetched(self, receipts: Iterable[Receipt[FetchDetails]]) -> None:
        """Adds the images that were requested."""
        for receipt in receipts:
            self._requested += receipt.details.requested
            self._failed.update(receipt.details.retryable_reasons)

    def check(self, allowed: float | None) -> None:
        """Raises `FailureBudgetError` where more than this share failed.

        With None only pages have a budget: `MAX_FAILED_PAGES_SHARE`.
        """
        if allowed is not None:
            _check("requests", self._failed.total(), self._requested, allowed, self._failed)
        others = Counter(
            {reason: count for reason, count in self.pages.items() if reason != "read"}
        )
        # Only transient failures count: pages that do not exist or that robots.txt forbids are
        # outcomes.
        share = MAX_FAILED_PAGES_SHARE if allowed is None else allowed
        _check("pages", self._failed_pages, self.pages.total(), share, others)


def _check(what: str, failed: int, requested: int, allowed: float, reasons: Counter[str]) -> None:
    if requested and failed / requested > allowed:
        named = ", ".join(
            f"{reason} {count}" for reason, count in reasons.most_common(_NAMED_REASONS)
        )
        raise FailureBudgetError(
            f"{failed} of {requested} {what} failed transiently, more than "
            f"--max-failed-share {allowed} (most often: {named}): "
            "what is finished is published; run again with --retry-failed"
        )


class HostMonitor:
    """Watches the host states of one step's receipts; reports abandoned hosts and a resolver that
    is down.

    `report` is called with one line at a time.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._names = 0
        self._unresolved = 0
        self._warn_at = MIN_HOST_NAMES
        self._abandoned: set[str] = set()

    def add(self, hosts: Mapping[str, Mapping[str, object]]) -> None:
        """Adds the states of the hosts that a part contacted."""
        for host, state in hosts.items():
            self._names += 1
            failing = str(state.get("failing", ""))
            self._unresolved += failing == Reason.DNS
            # Names that do not resolve are left to the share below: a resolver that is down would
            # otherwise name every host.
            if state.get("abandoned") and failing != Reason.DNS and host not in self._abandoned:
                self._abandoned.add(host)
                if len(self._abandoned) <= MAX_ABANDONED_LINES:
                    self._report(_abandoned_line(host, str(state["abandoned"]), failing))
        share = self._unresolved / self._names if self._names else 0.0
        if self._names >= self._warn_at and share >= MIN_UNRESOLVED_SHARE:
            # Repeated only when twice as many names are known, not after every part.
            self._warn_at = self._names * 2
            self._report(
                f"{share:.0%} of {self._names} host names do not resolve: check your resolver; "
                "these URLs are not lost, --retry-failed requests them again"
            )

    def end(self) -> None:
        """Reports how many abandoned hosts were not named."""
        more = len(self._abandoned) - MAX_ABANDONED_LINES
        if more > 0:
            self._report(f"abandoned: {more} more hosts")


def _abandoned_line(host: str, reason: str, failing: str) -> str:
    why = _ABANDONED_BECAUSE.get(reason, "its robots.txt could not be fetched")
    return (
        f"abandoned: {host}: {why} ({failing or 'no response'}); "
        "--retry-failed requests its URLs again"
    )
