"""State of one host during a build: gap, back-off, robots rules, failures, and whether it is
abandoned for now."""

import asyncio
import time
from collections.abc import Mapping

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.opt_out import Reservations
from wenlan_data.web.response import Response, failure_of, retry_after_s
from wenlan_data.web.robots import RobotsRules, parse_robots

# The state is part of a receipt, which must stay small: longer rules are fetched again with the
# next fetch list.
MAX_CARRIED_CHARACTERS = 8 << 10

MAX_TRIES = 3
"""Maximum tries of a URL whose host is unreachable or fails with 5xx."""
MAX_TRIES_AFTER_WAITS = 4
"""Maximum tries of a URL whose response is 429 or 503: one more, since the host is given the wait
that it asks for."""
MAX_TRIES_AFTER_SHORT_BODY = 2
"""Maximum tries of a URL whose body ends early: one less, since each may transfer a whole image."""

HOST_WAITS = Drop(Reason.HOST_WAITS)
HOST_UNREACHABLE = Drop(Reason.HOST_UNREACHABLE)
_UNREACHABLE = frozenset({Reason.CONNECT, Reason.DNS, Reason.DISCONNECTED})


class HostState:
    """Paces the requests to one host and decides when it is abandoned.

    `state` is what `to_json` of the host's earlier fetch list returned, or empty.
    """

    def __init__(
        self, host: str, host_limits: HostLimits, limits: Limits, state: Mapping[str, object]
    ) -> None:
        self.host = host
        self.connections = host_limits.max_connections
        # Held for a whole exchange, so that the server never sees more connections than allowed.
        self.slots = asyncio.Semaphore(host_limits.max_connections)
        self.robots_lock = asyncio.Lock()
        self.robots: RobotsRules | Drop | None = None
        """None before robots.txt was requested; a `Drop` where it forbids or prevents every
        request."""
        self.robots_at: list[str] = []
        """Other hosts that redirects of its robots.txt lead to, in order."""
        self.reservations: Reservations | None = None
        """Rules of its tdmrep.json; None before it was requested."""
        self.abandoned: Drop | None = None
        """Why no further request is made to the host in this build."""
        self._limits = limits
        self._base_gap_s = host_limits.min_gap_s
        self._gap_s = host_limits.min_gap_s
        self._next_at = 0.0
        self._resume_at = 0.0
        self._waited_s = 0.0
        self._failures = 0
        self._timeouts = 0
        self._server_errors = 0
        self._robots_at_s = 0.0
        self._failing = ""
        self._restore(state)

    async def wait_for_gap(self) -> None:
        """Waits until the next request to the host is due, and reserves that moment for the
        caller."""
        now = time.monotonic()
        wait_s = self._next_at - now
        # Before the sleep: tasks that come meanwhile queue up behind this one, a gap apart.
        self._next_at = max(now, self._next_at) + self._gap_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        while (wait_s := self._resume_at - time.monotonic()) > 0 and not self.abandoned:
            await asyncio.sleep(wait_s)

    def apply_robots(self, robots: RobotsRules | Drop) -> None:
        """Sets the host's rules, and its gap to their `Crawl-delay` where that is longer."""
        self.robots = robots
        self._robots_at_s = time.time()
        if isinstance(robots, Drop) and robots.retryable:
            self._failing = robots.detail
            # The host's later fetch lists need not try again: a build waits for no host longer than
            # a minute.
            self.abandoned = robots
        elif isinstance(robots, RobotsRules):
            self._base_gap_s = max(self._base_gap_s, robots.delay_s)
            self._gap_s = max(self._gap_s, robots.delay_s)
            self._next_at = (
                max(self._next_at, time.monotonic() + self._gap_s) if self._gap_s else 0.0
            )

    def record(self, result: Response | Drop) -> None:
        """Updates gap, back-off and failure counts after a request, and abandons the host after too
        many failures."""
        now = time.monotonic()
        if self.connections == 1 and self._gap_s:
            # Counted from the end of the exchange: the server never sees a smaller gap than the one
            # set.
            self._next_at = max(self._next_at, now + self._gap_s)
        if isinstance(result, Drop):
            self._record_failure(result)
        elif result.status in {429, 503}:
            self._record_wait(result, now)
        elif result.status >= 500:
            self._failing = str(result.status)
            self._server_errors += 1
            if self._server_errors >= self._limits.max_server_errors * self.connections:
                self.abandoned = HOST_UNREACHABLE
        else:
            self._failures = self._timeouts = self._server_errors = 0
            self._failing = ""
            self._waited_s = 0.0
            # Slowly back to the host's own gap: one good response is no proof that it recovered.
            self._gap_s = max(self._base_gap_s, self._gap_s * 0.9)

    def to_json(self, *, with_robots: bool) -> dict[str, object]:
        """The state as JSON values, for the host's next fetch list; with its rules where they are
        short enough."""
        state: dict[str, object] = {
            "at_s": time.time(),
            "robots_at_s": self._robots_at_s,
            "gap_s": self._gap_s,
            "next_at_s": time.time() + max(self._next_at, self._resume_at) - time.monotonic(),
            "waited_s": self._waited_s,
            "failures": self._failures,
            "timeouts": self._timeouts,
            "server_errors": self._server_errors,
            "abandoned": self.abandoned.reason if self.abandoned else "",
            "failing": self._failing,
        }
        if self.robots_at:
            state["robots_at"] = self.robots_at
        if not with_robots or not isinstance(self.robots, RobotsRules):
            return state
        reserved = self.reservations.rules if self.reservations else ()
        characters = len(self.robots.text) + sum(len(pattern) for pattern, _ in reserved)
        if characters > MAX_CARRIED_CHARACTERS:
            return state
        state["robots"] = self.robots.text
        return state | ({"reserved": reserved} if self.reservations else {})

    def _restore(self, state: Mapping[str, object]) -> None:
        if not state:
            return
        number = {
            name: float(value) for name, value in state.items() if isinstance(value, int | float)
        }
        if time.time() - number.get("at_s", time.time()) < self._limits.max_held_s:
            self._restore_pace(number, str(state.get("abandoned", "")))
        hosts = state.get("robots_at")
        if isinstance(hosts, list | tuple):
            self.robots_at = [str(host) for host in hosts]
        robots_at_s = number.get("robots_at_s", time.time())
        text = state.get("robots")
        if isinstance(text, str) and time.time() - robots_at_s < self._limits.max_robots_age_s:
            self.apply_robots(parse_robots(text, self._limits))
            # Rules keep their age as they are handed on, or they would never be fetched again.
            self._robots_at_s = robots_at_s
            listed = state.get("reserved")
            if isinstance(listed, list | tuple):
                self.reservations = Reservations(
                    tuple((str(pattern), bool(value)) for pattern, value in listed)
                )

    def _restore_pace(self, number: dict[str, float], abandoned: str) -> None:
        self._gap_s = max(self._base_gap_s, number.get("gap_s", 0.0))
        # Clocks of two machines differ, so the wait is never longer than the limits allow.
        wait_s = min(number.get("next_at_s", 0.0) - time.time(), self._limits.max_wait_s)
        self._next_at = time.monotonic() + max(wait_s, 0.0)
        self._waited_s = number.get("waited_s", 0.0)
        self._failures = int(number.get("failures", 0))
        self._timeouts = int(number.get("timeouts", 0))
        self._server_errors = int(number.get("server_errors", 0))
        if abandoned:
            # Retryable whatever the reason: it was abandoned for this build only.
            self.abandoned = Drop(abandoned, retryable=True)

    def _record_failure(self, drop: Drop) -> None:
        self._failing = drop.reason
        if drop.reason in _UNREACHABLE:
            self._failures += 1
        elif drop.reason == Reason.TIMEOUT:
            self._timeouts += 1
        limits = self._limits
        too_many = self._failures >= limits.max_failures * self.connections
        if too_many or self._timeouts >= limits.max_timeouts * self.connections:
            self.abandoned = HOST_UNREACHABLE

    def _record_wait(self, response: Response, now: float) -> None:
        if now < self._resume_at:
            # Responds to a request that was under way when the wait began: one overload, counted
            # once.
            return
        self._failing = str(response.status)
        self._gap_s = min(self._gap_s * 2, self._limits.max_gap_s)
        retry_s = retry_after_s(response, time.time())
        wait_s = retry_s if retry_s is not None else max(self._limits.backoff_s, self._waited_s)
        # The sum counts: a host that asks for 20 s again and again is no better than one that asks
        # for 60.
        if self._waited_s + wait_s > self._limits.max_wait_s:
            self.abandoned = HOST_WAITS
        self._waited_s += wait_s
        self._resume_at = now + wait_s


def should_retry(result: Response | Drop, tries: int) -> bool:
    """Whether the same URL is requested again after `tries` requests, the last of which ended in
    `result`."""
    drop = result if isinstance(result, Drop) else failure_of(result.status)
    if drop is None or not drop.retryable:
        return False
    if drop.reason == Reason.STATUS_429 or drop.detail == "503":
        return tries < MAX_TRIES_AFTER_WAITS
    if drop.reason == Reason.SHORT_BODY:
        return tries < MAX_TRIES_AFTER_SHORT_BODY
    return tries < MAX_TRIES and (drop.reason in _UNREACHABLE or drop.reason == Reason.STATUS_5XX)
