"""Look-ups of host names: bounded in time, in number, and for each domain, so that names that
nobody answers hold up no other host."""

import asyncio
import ipaddress
import math
import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.domains import icann_domain, known_domain
from wenlan_data.web.limits import Limits

KEPT_S = 60.0
"""How long addresses of a name are used before it is looked up again."""
MAX_THREADS = 256
"""A look-up that is given up keeps its thread until the system's resolver gives up too, after up to
half a minute. With so many, further look-ups fail at once."""
_TIMED_OUT = Drop(Reason.DNS, "timeout")


@dataclass(frozen=True, slots=True)
class Resolved:
    """Addresses of a name, IPv4 first."""

    addresses: tuple[str, ...]
    seconds: float
    """Time of the look-up, 0 for a known name."""
    at: float = 0.0


class Lookups:
    """Resolves host names for the connections of one worker.

    At most `max_lookups` names are looked up at once, and `max_lookups_a_domain` of one domain; the
    others wait. A look-up that takes longer than `connect_s` fails, and after `max_timeouts` of
    these in a row all look-ups of the registrable domain fail at once.
    """

    def __init__(self, limits: Limits, resolver: AbstractResolver | None = None) -> None:
        self._limits = limits
        self._resolver = resolver or ThreadResolver()
        self._places = asyncio.Semaphore(limits.max_lookups)
        self._domain_places: dict[str, asyncio.Semaphore] = {}
        self._timeouts: Counter[str] = Counter()
        self._known: dict[str, Resolved] = {}
        self._running: dict[str, asyncio.Task[Resolved | Drop]] = {}

    async def resolve(self, name: str, port: int) -> Resolved | Drop:
        """The addresses of a host name (an address is its own); a transient `dns` drop where there
        are none."""
        known = self._known.get(name)
        if known and asyncio.get_running_loop().time() - known.at < KEPT_S:
            return known
        with suppress(ValueError):
            address = str(ipaddress.ip_address(name.strip("[]")))
            return self._known.setdefault(name, Resolved((address,), 0.0, math.inf))
        task = self._running.get(name)
        if task is None:
            task = self._running[name] = asyncio.create_task(self._look_up(name, port))
            task.add_done_callback(lambda _: self._running.pop(name, None))
        # Several requests may wait for one look-up: the end of one of them does not end it.
        return await asyncio.shield(task)

    def forget(self, name: str) -> None:
        """Makes the next request look the name up again: none of its addresses took a
        connection."""
        self._known.pop(name, None)

    async def _look_up(self, name: str, port: int) -> Resolved | Drop:
        # Names below a private suffix such as `eu.org` share places, but not their owners' failures.
        domain, owner = lookup_domain(name), known_domain(name) or lookup_domain(name)
        places = self._domain_places.setdefault(
            domain, asyncio.Semaphore(self._limits.max_lookups_a_domain)
        )
        async with places:
            # Before it takes a place from other domains.
            if self._timeouts[owner] >= self._limits.max_timeouts:
                return _TIMED_OUT
            async with self._places:
                return await self._resolve_name(name, port, owner)

    async def _resolve_name(self, name: str, port: int, owner: str) -> Resolved | Drop:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self._limits.connect_s):
                found = await self._resolver.resolve(name, port, socket.AF_UNSPEC)
        except TimeoutError:
            self._timeouts[owner] += 1
            return _TIMED_OUT
        except OSError:
            return Drop(Reason.DNS)
        except ValueError:
            # A label that is empty or longer than 63 characters.
            return Drop(Reason.BAD_URL)
        self._timeouts[owner] = 0
        listed = [one["host"].partition("%")[0] for one in found]
        # Stable: the resolver's order in each family. A machine without a route for IPv6 would
        # otherwise wait for a connection that is never made.
        addresses = tuple(dict.fromkeys(sorted(listed, key=lambda address: ":" in address)))
        if not addresses:
            return Drop(Reason.DNS)
        now = loop.time()
        self._known[name] = Resolved(addresses, 0.0, now)
        return Resolved(addresses, now - started, now)


class ThreadResolver(AbstractResolver):
    """The system's resolver, each look-up in a thread of its own.

    Not in a pool: its threads would all wait for silent names, and the end of the event loop would
    wait for them.
    """

    def __init__(self) -> None:
        self._threads = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Returns the addresses of a name. Raises `OSError` where there are none."""
        if self._threads >= MAX_THREADS:
            raise OSError("too many look-ups without an answer")
        loop = asyncio.get_running_loop()
        result: asyncio.Future[list[ResolveResult]] = loop.create_future()

        def settle(found: list[ResolveResult] | Exception) -> None:
            self._threads -= 1
            if result.done():
                return
            if isinstance(found, Exception):
                result.set_exception(found)
            else:
                result.set_result(found)

        def run() -> None:
            found: list[ResolveResult] | Exception
            try:
                found = _addresses(host, port, family)
            except (OSError, ValueError) as error:
                found = error
            # The loop may have ended meanwhile.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, found)

        # A daemon: a look-up without an answer must not keep the process.
        thread = threading.Thread(target=run, name=f"look-up of {host}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(f"no thread for a look-up: {error}") from error
        # After the start, and before `settle`, which this loop calls.
        self._threads += 1
        return await result

    async def close(self) -> None:
        """Does nothing: threads end by themselves."""


def lookup_domain(name: str) -> str:
    """The domain whose name servers answer for a host.

    Private suffixes do not count: all names below `github.io` have the same servers.

    >>> lookup_domain("a.b.example.com.cn"), lookup_domain("x1.silent.test")
    ('example.com.cn', 'silent.test')
    """
    found = icann_domain(name)
    return found if found != name else ".".join(name.rsplit(".", 2)[-2:])


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in found
    ]
