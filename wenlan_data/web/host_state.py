"""One host's turn in a slice: its gap, its back-off, its robots rules, and when we give up on it for now."""

import asyncio
import time

from wenlan_data.records import Drop
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.opt_out import Reservations
from wenlan_data.web.response import Response, failure_of, retry_after_s
from wenlan_data.web.robots import RobotsRules, parse_robots

# Longer rules are asked for again by the host's next slice: a receipt stays small.
MAX_CARRIED_CHARACTERS = 8 << 10

HOST_WAITS = Drop("host_waits", retryable=True)
HOST_UNREACHABLE = Drop("host_unreachable", retryable=True)
_UNREACHABLE = frozenset({"connect", "dns", "disconnected"})


class Turn:
    """Owns the right to ask one host; state travels to the host's next slice as JSON values."""

    def __init__(
        self, host: str, host_limits: HostLimits, limits: Limits, state: dict[str, object]
    ) -> None:
        self.host = host
        self.connections = host_limits.max_connections
        self.slots = asyncio.Semaphore(host_limits.max_connections)
        self.robots_lock = asyncio.Lock()
        self.rules: RobotsRules | Drop | None = None
        self.reserved: Reservations | None = None
        """What its tdmrep.json says; None before it was asked."""
        self.ended: Drop | None = None
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

    async def gap(self) -> None:
        """Wait until the host may be asked again."""
        now = time.monotonic()
        wait_s = self._next_at - now
        self._next_at = max(now, self._next_at) + self._gap_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        while (wait_s := self._resume_at - time.monotonic()) > 0 and not self.ended:
            await asyncio.sleep(wait_s)

    def obey(self, rules: RobotsRules | Drop) -> None:
        """Take the host's rules over, with the gap that they ask for."""
        self.rules = rules
        self._robots_at_s = time.time()
        if isinstance(rules, Drop) and rules.retryable:
            self._failing = rules.detail
            # The host's later slices need not ask again: this build waits no longer than a minute for anybody.
            self.ended = rules
        elif isinstance(rules, RobotsRules):
            self._base_gap_s = max(self._base_gap_s, rules.delay_s)
            self._gap_s = max(self._gap_s, rules.delay_s)
            self._next_at = (
                max(self._next_at, time.monotonic() + self._gap_s) if self._gap_s else 0.0
            )

    def note(self, answer: Response | Drop) -> None:
        """Learn from an answer: back off, give up, or go on as before."""
        now = time.monotonic()
        if self.connections == 1 and self._gap_s:
            # Counted from the end of the exchange: the server never sees a smaller gap than the one set.
            self._next_at = max(self._next_at, now + self._gap_s)
        if isinstance(answer, Drop):
            self._note_failure(answer)
        elif answer.status in {429, 503}:
            self._note_wait(answer, now)
        elif answer.status >= 500:
            self._failing = str(answer.status)
            self._server_errors += 1
            if self._server_errors >= self._limits.max_server_errors * self.connections:
                self.ended = HOST_UNREACHABLE
        else:
            self._failures = self._timeouts = self._server_errors = 0
            self._failing = ""
            self._waited_s = 0.0
            self._gap_s = max(self._base_gap_s, self._gap_s * 0.9)

    def state(self, *, with_robots: bool) -> dict[str, object]:
        """What the host's next slice starts from."""
        state: dict[str, object] = {
            "at_s": time.time(),
            "robots_at_s": self._robots_at_s,
            "gap_s": self._gap_s,
            "next_at_s": time.time() + max(self._next_at, self._resume_at) - time.monotonic(),
            "waited_s": self._waited_s,
            "failures": self._failures,
            "timeouts": self._timeouts,
            "server_errors": self._server_errors,
            "ended": self.ended.reason if self.ended else "",
            "failing": self._failing,
        }
        if not with_robots or not isinstance(self.rules, RobotsRules):
            return state
        reserved = self.reserved.rules if self.reserved else ()
        size = len(self.rules.text) + sum(len(pattern) for pattern, _ in reserved)
        if size > MAX_CARRIED_CHARACTERS:
            return state
        return (
            state | {"robots": self.rules.text} | ({"reserved": reserved} if self.reserved else {})
        )

    def _restore(self, state: dict[str, object]) -> None:
        if not state:
            return
        number = {
            name: float(value) for name, value in state.items() if isinstance(value, int | float)
        }
        if time.time() - number.get("at_s", time.time()) < self._limits.max_held_s:
            self._restore_patience(number, str(state.get("ended", "")))
        asked_at_s = number.get("robots_at_s", time.time())
        text = state.get("robots")
        if isinstance(text, str) and time.time() - asked_at_s < self._limits.max_robots_age_s:
            self.obey(parse_robots(text, self._limits))
            self._robots_at_s = asked_at_s
            listed = state.get("reserved")
            if isinstance(listed, list | tuple):
                self.reserved = Reservations(
                    tuple((str(pattern), bool(value)) for pattern, value in listed)
                )

    def _restore_patience(self, number: dict[str, float], ended: str) -> None:
        self._gap_s = max(self._base_gap_s, number.get("gap_s", 0.0))
        # Clocks of two machines differ, so no more is waited than the limits ever ask for.
        wait_s = min(number.get("next_at_s", 0.0) - time.time(), self._limits.max_wait_s)
        self._next_at = time.monotonic() + max(wait_s, 0.0)
        self._waited_s = number.get("waited_s", 0.0)
        self._failures = int(number.get("failures", 0))
        self._timeouts = int(number.get("timeouts", 0))
        self._server_errors = int(number.get("server_errors", 0))
        if ended:
            self.ended = Drop(ended, retryable=True)

    def _note_failure(self, drop: Drop) -> None:
        self._failing = drop.reason
        if drop.reason in _UNREACHABLE:
            self._failures += 1
        elif drop.reason == "timeout":
            self._timeouts += 1
        limits = self._limits
        too_many = self._failures >= limits.max_failures * self.connections
        if too_many or self._timeouts >= limits.max_timeouts * self.connections:
            self.ended = HOST_UNREACHABLE

    def _note_wait(self, reply: Response, now: float) -> None:
        if now < self._resume_at:
            return  # said by a request that was under way when we began to wait
        self._failing = str(reply.status)
        self._gap_s = min(self._gap_s * 2, self._limits.max_gap_s)
        asked_s = retry_after_s(reply, time.time())
        wait_s = asked_s if asked_s is not None else max(self._limits.backoff_s, self._waited_s)
        if self._waited_s + wait_s > self._limits.max_wait_s:
            self.ended = HOST_WAITS
        self._waited_s += wait_s
        self._resume_at = now + wait_s


def worth_another(answer: Response | Drop, tries: int) -> bool:
    """Whether the same URL is asked for again at once, after that many tries."""
    drop = answer if isinstance(answer, Drop) else failure_of(answer.status)
    if drop is None or not drop.retryable:
        return False
    if drop.reason == "status_429" or drop.detail == "503":
        return tries < 4
    if drop.reason == "short_body":
        return tries < 2
    return tries < 3 and (drop.reason in _UNREACHABLE or drop.reason == "status_5xx")
