"""The gate of addresses: how many connections and requests one machine gets, under however many
names."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from wenlan_data.web.address_policy import address_group
from wenlan_data.web.limits import HostLimits, Limits


class OpenConnection(Protocol):
    """An open connection, as the gate needs it."""

    def abort(self) -> None:
        """Closes it at once."""

    def is_connected(self) -> bool:
        """Whether it may be used again."""


@dataclass(slots=True)
class _Group:
    """One address, or one /64 network of IPv6."""

    active: int = 0
    """Exchanges under way; each has a connection or is about to make one."""
    waiting: "deque[tuple[int, asyncio.Future[None]]]" = field(default_factory=deque)
    """Largest number of exchanges that each may join, and what wakes it."""
    next_at: float = 0.0
    idle: dict[OpenConnection, str] = field(default_factory=dict)
    """Connections kept for the next request to their host, the longest unused first."""


class AddressGate:
    """Bounds connections and requests of one worker by the address that is dialled.

    An address gets `max_connections_an_address` connections at once, idle ones included, or as many
    as `hosts` allows one of its hosts; and a request every `min_gap_an_address_s`, but for requests
    to a host for which `hosts` sets a smaller gap. Both are divided among the `workers` that make
    requests at once, since an address is known only when a name is resolved, in some worker. Each
    worker has one connection at least.
    """

    def __init__(
        self, limits: Limits, host_limits: Callable[[str], HostLimits], workers: int = 1
    ) -> None:
        self._most = max(1, limits.max_connections_an_address // workers)
        self._address_gap_s = limits.min_gap_an_address_s
        self._workers = workers
        self._host_limits = host_limits
        self._groups: dict[str, _Group] = {}
        self._used: dict[object, tuple[_Group, OpenConnection]] = {}
        """Task of an exchange to its connection."""

    @asynccontextmanager
    async def enter(self, address: str, host: str) -> AsyncIterator[None]:
        """Waits until `address` may be sent a request for `host` (`host:port`), and holds a place
        there."""
        group = self._groups.setdefault(address_group(address), _Group())
        limits = self._host_limits(host)
        most = max(self._most, limits.max_connections)
        # Behind those that wait, or hosts with a larger number would leave no room for the others.
        if group.waiting or group.active >= most:
            await self._queue(group, most)
        else:
            group.active += 1
        try:
            await self._wait_for_gap(group, limits)
            if self._close_idle(group, host, most):
                # Their sockets are closed in the loop's next turn, before ours is opened.
                await asyncio.sleep(0)
            yield
        finally:
            group.active -= 1
            _wake(group)

    def began(self, connection: OpenConnection, address: str) -> None:
        """Notes that the current task's exchange uses a connection."""
        group = self._groups.setdefault(address_group(address), _Group())
        group.idle.pop(connection, None)
        self._used[asyncio.current_task()] = group, connection

    def ended(self, host: str) -> None:
        """Notes that the current task's exchange with `host` is over; its connection may be
        kept."""
        group, connection = self._used.pop(asyncio.current_task(), (None, None))
        if group is not None and connection is not None and connection.is_connected():
            group.idle[connection] = host

    def lost(self, connection: OpenConnection, address: str) -> None:
        """Notes that a connection is closed."""
        group = self._groups.get(address_group(address))
        if group is not None:
            group.idle.pop(connection, None)

    async def _queue(self, group: _Group, most: int) -> None:
        place = asyncio.get_running_loop().create_future()
        group.waiting.append((most, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                # Woken and cancelled at the same time: the place goes to the next.
                group.active -= 1
            elif (most, place) in group.waiting:
                group.waiting.remove((most, place))
            _wake(group)
            raise

    async def _wait_for_gap(self, group: _Group, limits: HostLimits) -> None:
        # Divided among the workers, but for what the operator sets for a host.
        gap_s = self._address_gap_s
        gap_s = limits.min_gap_s if limits.min_gap_s < gap_s else gap_s * self._workers
        if not gap_s:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, group.next_at)
        # Before the sleep: exchanges that come meanwhile queue up behind this one.
        group.next_at = at + gap_s
        if at > now:
            await asyncio.sleep(at - now)

    def _close_idle(self, group: _Group, host: str, most: int) -> bool:
        """Closes connections of the address that would be one too many; returns whether there were
        any."""
        # One to the host itself is used now, and no longer idle.
        own = next((one for one, name in group.idle.items() if name == host), None)
        if own is not None:
            del group.idle[own]
        surplus = list(group.idle)[: max(0, group.active + len(group.idle) - most)]
        for connection in surplus:
            del group.idle[connection]
            connection.abort()
        return bool(surplus)


def _wake(group: _Group) -> None:
    """Gives free places to those that wait, in their order."""
    while group.waiting and group.active < group.waiting[0][0]:
        _, place = group.waiting.popleft()
        # One that was cancelled leaves in its own turn.
        if not place.done():
            group.active += 1
            place.set_result(None)
