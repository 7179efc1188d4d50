"""Fetches many URLs politely: robots.txt, gaps, back-off, opt-outs and redirects of each host."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace

from aiohttp.abc import AbstractResolver

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.address_gate import AddressGate
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.client import Client
from wenlan_data.web.domains import host_group
from wenlan_data.web.host_state import HostState, should_retry
from wenlan_data.web.limits import BodyLimits
from wenlan_data.web.opt_out import (
    ALL_RESERVED,
    OPT_OUT_HEADER,
    Reservations,
    header_signals,
    opt_out,
    parse_reservations,
)
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import REDIRECTS, Response, redirect_target
from wenlan_data.web.robots import (
    ALLOW_ALL,
    RobotsRules,
    may_retry_robots,
    robots_location,
    robots_of,
)
from wenlan_data.web.urls import host_of, url_problem

MAX_HOSTS_WITH_ROBOTS = 40
"""With more hosts, `host_states()` leaves out the rules of robots.txt, so that a receipt stays
below 1 MB (40 hosts of at most 8,192 characters, of up to 3 bytes each). A later fetch list of the same
hosts then requests robots.txt again."""
MAX_BUFFERED_BYTES = 1 << 20
"""Bodies that wait for the caller; above it, a task that holds another one waits too and makes no
further request."""

ROBOTS_ELSEWHERE = Drop(Reason.REDIRECT, "robots.txt is at another site")
"""Result of a URL whose host keeps its robots.txt at a host that is not among the client's own: a
client to which both belong can request it (`robots_at` in the state of the host)."""

Arrival = tuple[int, Response | Drop]
"""Index of the URL among those requested, and its response or the reason why there is none."""


class PoliteClient:
    """Fetches URLs from any number of hosts at once, each host in its own order and at its own
    pace.

    It talks to its own hosts alone: those of the URLs, those of the same site over http and https
    and with and without `www.`, and `own_hosts`; another client may be talking to any other host.
    With `any_host`, for a client that is alone, every host is its own.

    `host_states` is what `host_states()` of an earlier client returned. `body` bounds each
    response. With `follow_redirects`, at most `limits.max_redirects` redirects of a URL are
    followed, each of them under the rules of its own host; a redirect to a host that is not its own
    is a response, like every redirect without `follow_redirects`. An opt-out in the headers of a
    redirect counts. With `drop_opted_out`, a URL whose host reserves it (tdmrep.json,
    `Content-Usage`) is dropped without a request; otherwise it is fetched and the signals travel
    with the response as `X-Crawler-Opt-Out` headers. `resolver` and `tls` are those of `Client`.
    """

    def __init__(
        self,
        politeness: Politeness,
        host_states: Mapping[str, Mapping[str, object]],
        *,
        body: BodyLimits,
        follow_redirects: bool,
        drop_opted_out: bool,
        own_hosts: Sequence[str] = (),
        any_host: bool = False,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests = 0
        """Requests made, those for robots.txt, tdmrep.json and redirects included."""
        self._politeness = politeness
        self._earlier_states = host_states
        self._body = body
        self._follows_redirects = follow_redirects
        self._drops_opted_out = drop_opted_out
        self._resolver, self._tls = resolver, tls
        self._blocklists = politeness.blocklists.load()
        self._gate = AddressGate(politeness.limits, politeness.host_limits, politeness.workers)
        self._states: dict[str, HostState] = {}
        self._policy = AddressPolicy(politeness.allow)
        self._own = set(map(host_group, own_hosts))
        self._any_host = any_host

    async def fetch(
        self, urls: Sequence[str], redirects: Sequence[int] = ()
    ) -> AsyncGenerator[Arrival]:
        """Yields `(index, response or drop)` of every URL, in the order of arrival.

        `redirects` are the numbers of redirects that led to the URLs, 0 by default.

        A caller that is slow slows the requests down: bodies of 1 MiB, the one that exceeds it, and
        one more per connection are held for it. Close the generator (`contextlib.aclosing`) to stop
        early. A later call in the same event loop continues with the states of the hosts.
        """
        buffer = _ArrivalBuffer()
        # In a task of their own, since a task group must not be suspended by a `yield`: when one of
        # its tasks fails, it cancels the task that entered it, which would be the caller's.
        fetching = asyncio.create_task(self._fetch_all(urls, redirects or [0] * len(urls), buffer))
        fetching.add_done_callback(lambda _task: buffer.close())
        try:
            async for arrival in buffer:
                yield arrival
            await _first_error(fetching)
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    def host_states(self) -> dict[str, dict[str, object]]:
        """What the next client starts from, by host."""
        with_robots = len(self._states) <= MAX_HOSTS_WITH_ROBOTS
        return {
            host: state.to_json(with_robots=with_robots) for host, state in self._states.items()
        }

    def robots(self) -> dict[str, RobotsRules]:
        """The robots.txt rules by host, in the order of contact; empty rules for a host without a
        robots.txt."""
        return {
            host: state.robots
            for host, state in self._states.items()
            if isinstance(state.robots, RobotsRules)
        }

    def is_own(self, host: str) -> bool:
        """Whether the client may talk to `host` (`host:port`)."""
        return self._any_host or host_group(host) in self._own

    async def _fetch_all(
        self, urls: Sequence[str], redirects: Sequence[int], buffer: "_ArrivalBuffer"
    ) -> None:
        politeness = self._politeness
        if politeness.offline:
            for index, url in enumerate(urls):
                # What would not be requested anyway is no matter of the network.
                drop = url_problem(url, politeness.limits.max_url_characters)
                drop = drop or self._blocklists.refuses_url(url) or Drop(Reason.OFFLINE)
                await buffer.put(index, drop)
            return
        by_host: dict[str, list[int]] = {}
        for index, url in enumerate(urls):
            by_host.setdefault(host_of(url), []).append(index)
        self._own.update(map(host_group, by_host))
        client = Client(
            policy=self._policy,
            limits=politeness.limits,
            contact=politeness.contact,
            gate=self._gate,
            resolver=self._resolver,
            tls=self._tls,
        )
        async with client as self._client, asyncio.TaskGroup() as group:
            for host, indexes in by_host.items():
                # One iterator shared by the host's tasks keeps the order of its URLs.
                queue = iter(indexes)
                tasks = min(
                    self._host_state(host).connections,
                    len(indexes),
                    politeness.limits.max_connections,
                )
                for _ in range(tasks):
                    group.create_task(self._fetch_queue(urls, redirects, queue, buffer))

    async def _fetch_queue(
        self,
        urls: Sequence[str],
        redirects: Sequence[int],
        queue: Iterator[int],
        buffer: "_ArrivalBuffer",
    ) -> None:
        for index in queue:
            await buffer.put(index, await self._fetch_one(urls[index], redirects[index]))

    async def _fetch_one(self, url: str, redirects: int) -> Response | Drop:
        if self._follows_redirects:
            result = await self._follow(url, redirects)
        else:
            result = await self._request(self._host_state(host_of(url)), url)
        if self._drops_opted_out or isinstance(result, Drop):
            return result
        signals = _signals(self._host_state(host_of(result.final_url)), result.final_url)
        added = tuple((OPT_OUT_HEADER, signal) for signal in signals)
        return replace(result, headers=(*result.headers, *added)) if added else result

    async def _follow(self, url: str, redirects: int) -> Response | Drop:
        limits = self._politeness.limits
        while True:
            # Before the host is contacted at all, even for its robots.txt.
            if drop := url_problem(url, limits.max_url_characters):
                return drop
            result = await self._request(self._host_state(host_of(url)), url)
            if isinstance(result, Drop) or result.status not in REDIRECTS:
                return result
            if self._drops_opted_out and (drop := opt_out(header_signals(result.headers))):
                return drop
            target = self._target(result)
            if isinstance(target, Drop):
                return target
            redirects += 1
            if redirects > limits.max_redirects:
                return Drop(Reason.REDIRECT_LIMIT, f"more than {limits.max_redirects}")
            if not self.is_own(host_of(target)):
                return replace(result, redirects=redirects)
            url = target

    def _target(self, response: Response) -> str | Drop:
        """The target of a redirect, or why it will not be requested, as far as that is known
        without contacting its host."""
        target = redirect_target(response)
        if isinstance(target, Drop):
            return target
        return (
            self._blocklists.refuses_url(target)
            or self._policy.refuses_by_name(host_of(target))
            or target
        )

    async def _request(self, host: HostState, url: str) -> Response | Drop:
        """Requests one URL until it succeeds, fails for good, or its host is abandoned."""
        tries = 0
        while True:
            # Checked for every try and every redirect: each may be another host or another path.
            # Not while a place of the host is held: its robots.txt may be at a host that redirects
            # to this one, and each would wait for the other.
            if drop := (
                host.abandoned
                or self._blocklists.refuses_url(url)
                or await self._forbidden(host, url)
            ):
                return drop
            # Released between tries, so that the host's other tasks go on while this one backs off.
            async with host.slots:
                result = await self._request_once(host, url, self._body)
            tries += 1
            if host.abandoned or not should_retry(result, tries):
                return result
            # After 429 and 503 the whole host waits already (`HostState.record`).
            if isinstance(result, Drop) or result.status not in {429, 503}:
                await asyncio.sleep(self._politeness.limits.backoff_s * 2 ** (tries - 1))

    async def _request_once(
        self, host: HostState, url: str, body: BodyLimits, *, records: bool = True
    ) -> Response | Drop:
        """Makes one request at the host's pace; its place is held by the caller."""
        # Another of the host's tasks may have met its last failure before or during the gap.
        if host.abandoned:
            return host.abandoned
        await host.wait_for_gap()
        if host.abandoned:
            return host.abandoned
        self.requests += 1
        result = await self._client.get(url, body)
        if records:
            host.record(result)
        return result

    async def _forbidden(self, host: HostState, url: str) -> Drop | None:
        if host.robots is None:
            await self._fetch_robots(host, url)
        robots = host.robots
        if robots is None:
            return ROBOTS_ELSEWHERE
        if isinstance(robots, Drop):
            return robots
        if drop := robots.refuses(url):
            return drop
        if host.reservations is None:
            await self._fetch_reservations(host, url)
        return opt_out(_signals(host, url)) if self._drops_opted_out else None

    async def _fetch_robots(self, host: HostState, url: str) -> None:
        """Sets the host's rules; leaves them None where they are at a host that is not our own."""
        limits = self._politeness.limits
        # The host's other tasks wait here, so that robots.txt is requested once and before anything
        # else.
        async with host.robots_lock:
            tries = 0
            while host.robots is None and all(map(self.is_own, host.robots_at)):
                robots = await self._request_robots(host, robots_location(url))
                if robots is None:
                    return
                tries += 1
                if tries < limits.max_robots_tries and may_retry_robots(robots):
                    await asyncio.sleep(limits.backoff_s * 2 ** (tries - 1))
                else:
                    host.apply_robots(robots)

    async def _request_robots(self, host: HostState, url: str) -> RobotsRules | Drop | None:
        """The rules of a host, over the redirects of its robots.txt, each of them at the pace of
        the host that it leads to; None where that is not our own."""
        limits = self._politeness.limits
        at = host
        for _ in range(limits.max_robots_redirects + 1):
            async with at.slots:
                # The host's own robots.txt has failures and tries of its own.
                result = await self._request_once(at, url, limits.robots, records=at is not host)
            if isinstance(result, Drop) or result.status not in REDIRECTS:
                return robots_of(result, limits)
            target = self._target(result)
            if isinstance(target, Drop):
                return robots_of(target, limits)
            url, name = target, host_of(target)
            if not self.is_own(name):
                # A host that names another one each time has no robots.txt, like one that
                # redirects without end.
                if len(host.robots_at) >= limits.max_robots_redirects:
                    return ALLOW_ALL
                host.robots_at.append(name)
                return None
            at = self._host_state(name)
        # RFC 9309: after too many redirects a crawler may take robots.txt for missing.
        return ALLOW_ALL

    async def _fetch_reservations(self, host: HostState, url: str) -> None:
        """Fetches the host's tdmrep.json."""
        limits = self._politeness.limits
        async with host.robots_lock:
            # Another task may have fetched it while this one waited for the lock.
            if host.reservations is not None:
                return
            # Scheme and host of the URL: the file is fetched where robots.txt was.
            location = "/".join(url.split("/", 3)[:3]) + "/.well-known/tdmrep.json"
            robots = host.robots
            if not limits.tdmrep or (isinstance(robots, RobotsRules) and robots.refuses(location)):
                host.reservations = Reservations()
                return
            host.reservations = await self._request_reservations(host, location)

    async def _request_reservations(self, host: HostState, url: str) -> Reservations:
        """The rules of a tdmrep.json, over redirects to own hosts.

        Only one that is there reserves anything: most hosts have none. One that is too large to be
        read reserves everything.
        """
        limits = self._politeness.limits
        at = host
        for _ in range(limits.max_robots_redirects + 1):
            async with at.slots:
                result = await self._request_once(at, url, limits.robots, records=at is host)
            if isinstance(result, Drop) or result.status not in REDIRECTS:
                break
            target = self._target(result)
            if isinstance(target, Drop) or not self.is_own(host_of(target)):
                break
            url, at = target, self._host_state(host_of(target))
        if isinstance(result, Drop) or result.status != 200:
            return Reservations()
        if len(result.body) >= limits.robots.max_bytes:
            return ALL_RESERVED
        return parse_reservations(result.body)

    def _host_state(self, host: str) -> HostState:
        state = self._states.get(host)
        if state is None:
            politeness = self._politeness
            state = self._states[host] = HostState(
                host,
                politeness.host_limits(host),
                politeness.limits,
                self._earlier_states.get(host, {}),
            )
        return state


class _ArrivalBuffer:
    """Hands results from the hosts' tasks to the caller, in order; holds about `MAX_BUFFERED_BYTES`
    of bodies."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._has_news = asyncio.Event()
        self._closed = False

    async def put(self, index: int, result: Response | Drop) -> None:
        """Adds a result; one with a body waits first while too many bytes are unread."""
        # In a loop: a task that was woken at the same time may have taken the room.
        while not (isinstance(result, Drop) or self._has_room.is_set()):
            await self._has_room.wait()
        self._arrivals.append((index, result))
        self._bytes += _body_bytes(result)
        if self._bytes > MAX_BUFFERED_BYTES:
            self._has_room.clear()
        self._has_news.set()

    def close(self) -> None:
        """Ends the iteration after what is buffered."""
        self._closed = True
        self._has_news.set()

    async def __aiter__(self) -> AsyncIterator[Arrival]:
        while True:
            while self._arrivals:
                arrival = self._arrivals.popleft()
                self._bytes -= _body_bytes(arrival[1])
                # Before the caller works on it, so that the tasks go on meanwhile.
                if self._bytes <= MAX_BUFFERED_BYTES:
                    self._has_room.set()
                yield arrival
            if self._closed:
                return
            self._has_news.clear()
            await self._has_news.wait()


def _body_bytes(result: Response | Drop) -> int:
    return 0 if isinstance(result, Drop) else len(result.body)


async def _first_error(task: asyncio.Task[None]) -> None:
    """Raises what ended `task`, the first of its errors instead of the group around them."""
    try:
        await task
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


def _signals(host: HostState, url: str) -> tuple[str, ...]:
    """The opt-outs that a host states for a URL outside of the URL's own response."""
    by_robots = host.robots.signals(url) if isinstance(host.robots, RobotsRules) else ()
    return by_robots + (host.reservations.signals(url) if host.reservations else ())
