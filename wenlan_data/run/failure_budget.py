"""What failed in a way that may pass, of requests and of pages, and how much of that a build puts up with."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from wenlan_data.errors import FailureBudgetError
from wenlan_data.protocols import Receipt
from wenlan_data.run.generations import GenerationPlan

MIN_NAMES = 20
"""Fewer names say nothing of the resolver."""
MIN_UNRESOLVED_SHARE = 0.3
MAX_LINES = 10
"""Paused hosts that are named; of the others the number is said."""

_WHY = {"host_waits": "it wants us to wait", "host_unreachable": "it cannot be reached"}

MAX_FAILED_PAGES_SHARE = 0.05
"""Of the pages of a crawl, where `--max-failed-share` says nothing: a site that is down is no site of few pictures."""
_NAMED_REASONS = 3


class Failures:
    """Counts over the generations of one run."""

    def __init__(self) -> None:
        self.pages: Counter[str] = Counter()
        """Outcome to crawled pages."""
        self._failed_pages = 0
        self._asked = 0
        self._failed: Counter[str] = Counter()

    def add_pages(self, plan: GenerationPlan) -> None:
        """The pages that a generation's sources were crawled from."""
        self.pages.update(plan.pages())
        self._failed_pages += sum(entry.failed_pages for entry in plan.entries)

    def add_fetched(self, receipts: Iterable[Receipt]) -> None:
        """The pictures that were asked for."""
        for receipt in receipts:
            self._asked += cast("int", receipt.details.get("asked", 0))
            self._failed.update(
                cast("dict[str, int]", receipt.details.get("retryable_reasons", {}))
            )

    def check(self, allowed: float | None) -> None:
        """Raise `FailureBudgetError` where more than this share failed; None: of pages alone, see the constant."""
        if allowed is not None:
            _spend("requests", self._failed.total(), self._asked, allowed, self._failed)
        others = Counter(
            {reason: count for reason, count in self.pages.items() if reason != "read"}
        )
        share = MAX_FAILED_PAGES_SHARE if allowed is None else allowed
        _spend("pages", self._failed_pages, self.pages.total(), share, others)


def _spend(what: str, failed: int, asked: int, allowed: float, reasons: Counter[str]) -> None:
    if asked and failed / asked > allowed:
        named = ", ".join(
            f"{reason} {count}" for reason, count in reasons.most_common(_NAMED_REASONS)
        )
        raise FailureBudgetError(
            f"{failed} of {asked} {what} failed in a way that may pass, more than --max-failed-share {allowed} "
            f"(most often: {named}): what is finished is published; run again with --retry-failed"
        )


class Health:
    """Looks at the receipts of one step as they come; `say` is given one line at a time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._names = 0
        self._unresolved = 0
        self._warned_at = MIN_NAMES
        self._paused: Counter[str] = Counter()

    def note(self, receipt: Receipt) -> None:
        """A part is done; its details tell what each host was like."""
        hosts = cast("Mapping[str, Mapping[str, object]]", receipt.details.get("hosts", {}))
        for host, state in hosts.items():
            self._names += 1
            failing = str(state.get("failing", ""))
            self._unresolved += failing == "dns"
            if state.get("ended") and failing != "dns" and not self._paused[host]:
                self._paused[host] = 1
                if len(self._paused) <= MAX_LINES:
                    why = _WHY.get(str(state["ended"]), "its robots.txt cannot be had")
                    self._say(
                        f"paused: {host}: {why} ({failing or 'no answer'}); --retry-failed asks again"
                    )
        share = self._unresolved / self._names if self._names else 0.0
        if self._names >= self._warned_at and share >= MIN_UNRESOLVED_SHARE:
            self._warned_at = self._names * 2
            self._say(
                f"{share:.0%} of {self._names} names do not resolve: check your resolver; "
                "nothing is closed for good, --retry-failed asks again"
            )

    def end(self) -> None:
        """The step is over."""
        more = len(self._paused) - MAX_LINES
        if more > 0:
            self._say(f"paused: {more} more hosts")
