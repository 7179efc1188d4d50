"""What an operator should know while a crawl runs: hosts that are left alone for now, and a resolver that is down."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

from wenlan_data.protocols import Receipt

MIN_NAMES = 20
"""Fewer names say nothing of the resolver."""
MIN_UNRESOLVED_SHARE = 0.3
MAX_LINES = 10
"""Paused hosts that are named; of the others the number is said."""

_WHY = {"host_waits": "it wants us to wait", "host_unreachable": "it cannot be reached"}


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
                    self._say(f"paused: {host}: {why} ({failing or 'no answer'}); --retry-failed asks again")
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
