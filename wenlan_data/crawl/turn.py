"""One host's turn in a slice: its gap, its back-off, its robots rules, and when we give up on it for now."""

import asyncio
import time
from dataclasses import dataclass

from wenlan_data.crawl.reply import Reply, failure_of, retry_after_s
from wenlan_data.crawl.robots import RobotsRules, parse_robots
from wenlan_data.records import Drop
from wenlan_data.sources import HostLimits

# A longer robots.txt is asked for again by the host's next slice: a receipt stays small.
MAX_CARRIED_ROBOTS_CHARACTERS = 8 << 10

HOST_WAITS = Drop("host_waits", retryable=True)
HOST_UNREACHABLE = Drop("host_unreachable", retryable=True)
MAX_ROBOTS_AGE_S = 24 * 3600.0
MAX_STATE_AGE_S = 3600.0
"""What a host did longer ago says nothing of it now; its robots.txt counts for a day (RFC 9309)."""
_UNREACHABLE = frozenset({"connect", "dns", "disconnected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How patient we are with a host."""

    backoff_s: float = 1.0
    """First wait after a failure; doubles with each that follows."""
    max_wait_s: float = 60.0
    """Waits in a row that add up to more end the host's turn."""
    max_failures: int = 10
    """Connections in a row (for each that may be open at once) that fail."""
    max_timeouts: int = 3
    max_gap_s: float = 60.0


class Turn:
    """Owns the right to ask one host; state travels to the host's next slice as JSON values."""

    def __init__(self, host: str, limits: HostLimits, manners: Manners, state: dict[str, object]) -> None:
        self.host = host
        self.connections = limits.max_connections
        self.slots = asyncio.Semaphore(limits.max_connections)
        self.robots_lock = asyncio.Lock()
        self.rules: RobotsRules | Drop | None = None
        self.ended: Drop | None = None
        self._manners = manners
        self._base_gap_s = limits.min_gap_s
        self._gap_s = limits.min_gap_s
        self._next_at = 0.0
        self._resume_at = 0.0
        self._waited_s = 0.0
        self._failures = 0
        self._timeouts = 0
        self._robots_at_s = 0.0
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
        if isinstance(rules, RobotsRules):
            self._base_gap_s = max(self._base_gap_s, rules.delay_s)
            self._gap_s = max(self._gap_s, rules.delay_s)
            self._next_at = max(self._next_at, time.monotonic() + self._gap_s) if self._gap_s else 0.0

    def note(self, answer: Reply | Drop) -> None:
        """Learn from an answer: back off, give up, or go on as before."""
        now = time.monotonic()
        if self.connections == 1 and self._gap_s:
            # Counted from the end of the exchange: the server never sees a smaller gap than the one set.
            self._next_at = max(self._next_at, now + self._gap_s)
        if isinstance(answer, Drop):
            self._note_failure(answer)
        elif answer.status in {429, 503}:
            self._note_wait(answer, now)
        else:
            self._failures = self._timeouts = 0
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
            "ended": self.ended.reason if self.ended else "",
        }
        if with_robots and isinstance(self.rules, RobotsRules):
            text = self.rules.text
            return state | ({"robots": text} if len(text) <= MAX_CARRIED_ROBOTS_CHARACTERS else {})
        return state

    def _restore(self, state: dict[str, object]) -> None:
        if not state:
            return
        number = {name: float(value) for name, value in state.items() if isinstance(value, int | float)}
        if time.time() - number.get("at_s", time.time()) < MAX_STATE_AGE_S:
            self._restore_patience(number, str(state.get("ended", "")))
        asked_at_s = number.get("robots_at_s", time.time())
        text = state.get("robots")
        if isinstance(text, str) and time.time() - asked_at_s < MAX_ROBOTS_AGE_S:
            self.obey(parse_robots(text))
            self._robots_at_s = asked_at_s

    def _restore_patience(self, number: dict[str, float], ended: str) -> None:
        self._gap_s = max(self._base_gap_s, number.get("gap_s", 0.0))
        # Clocks of two machines differ, so no more is waited than the manners ever ask for.
        wait_s = min(number.get("next_at_s", 0.0) - time.time(), self._manners.max_wait_s)
        self._next_at = time.monotonic() + max(wait_s, 0.0)
        self._waited_s = number.get("waited_s", 0.0)
        self._failures = int(number.get("failures", 0))
        self._timeouts = int(number.get("timeouts", 0))
        if ended:
            self.ended = Drop(ended, retryable=True)

    def _note_failure(self, drop: Drop) -> None:
        if drop.reason in _UNREACHABLE:
            self._failures += 1
        elif drop.reason == "timeout":
            self._timeouts += 1
        manners = self._manners
        too_many = self._failures >= manners.max_failures * self.connections
        if too_many or self._timeouts >= manners.max_timeouts * self.connections:
            self.ended = HOST_UNREACHABLE

    def _note_wait(self, reply: Reply, now: float) -> None:
        if now < self._resume_at:
            return  # said by a request that was under way when we began to wait
        self._gap_s = min(self._gap_s * 2, self._manners.max_gap_s)
        asked_s = retry_after_s(reply, time.time())
        wait_s = asked_s if asked_s is not None else max(self._manners.backoff_s, self._waited_s)
        if self._waited_s + wait_s > self._manners.max_wait_s:
            self.ended = HOST_WAITS
        self._waited_s += wait_s
        self._resume_at = now + wait_s


def worth_another(answer: Reply | Drop, tries: int) -> bool:
    """Whether the same URL is asked for again at once, after that many tries."""
    drop = answer if isinstance(answer, Drop) else failure_of(answer.status)
    if drop is None or not drop.retryable:
        return False
    if drop.reason == "status_429" or drop.detail == "503":
        return tries < 4
    if drop.reason == "short_body":
        return tries < 2
    return tries < 3 and (drop.reason in _UNREACHABLE or drop.reason == "status_5xx")
