"""Fetches one slice: asks hosts politely, reads stored bytes, judges every picture, writes WARC and facts."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from aiohttp.abc import AbstractResolver

from wenlan_data.fetch.background import Judge
from wenlan_data.fetch.jpeg_store import ENCODED, EncodedWriter
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.fetch.recorder import Given, Keeper
from wenlan_data.fetch.results import Outcome, Wanted, read_wanted, receipt_of, write_facts
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import ShardRules
from wenlan_data.records import Drop
from wenlan_data.sandbox.client import start_worker
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.blocklists import NO_LISTS, Lists
from wenlan_data.web.client import Client
from wenlan_data.web.host_state import Turn, worth_another
from wenlan_data.web.limits import DEFAULTS, HostLimits, Limits
from wenlan_data.web.opt_out import OWN_HEADER, Reservations, opt_out, parse_reservations
from wenlan_data.web.response import REDIRECTS, Response, redirect_target
from wenlan_data.web.robots import RobotsRules, ask_robots, is_passing
from wenlan_data.web.urls import host_of, usable
from wenlan_data.web.warc import PayloadWriter

_RESOLVER_THREADS = 32
MAX_HOSTS_WITH_ROBOTS = 40
MAX_WAITING_BYTES = 32 << 20
"""Pictures that are fetched but not yet judged."""

Take = Callable[[int, Response | Drop], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPart:
    """The work of one slice. Writes `images.warc`, `encoded.bin` (see `crawl.encoded`) and `facts.parquet`.

    Its receipt's details: `hosts` (each host's state, for its next slice), `asked` (pictures of the web),
    `retryable_failed` (of those, how many may be asked for again), `retryable_reasons` (the same by reason),
    `requests` (robots and redirects too).
    """

    wanted: str
    """Path of the slice, see `tables.WANTED`."""
    contact: str = ""
    allow: tuple[str, ...] = ()
    """`network.allow` of the sources file."""
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    image: ImageRules
    jpeg_quality: int = ShardRules().jpeg_quality
    host_states: dict[str, dict[str, object]] = field(default_factory=dict)
    """`hosts` of the receipt of the chain's slice before."""
    limits: Limits = DEFAULTS
    exclude: Lists = NO_LISTS

    def __call__(self, out: Path) -> Receipt[FetchDetails]:
        """Fetch and judge. Raises `DamageError` for a damaged stored WARC, `DiskError` when the disk is full."""
        start_worker()
        rows = read_wanted(self.wanted)
        outcomes: list[Outcome | None] = [None] * len(rows)
        with PayloadWriter(out / "images.warc") as warc, EncodedWriter(out / ENCODED) as encoded:
            asked = Fetcher(self, rows, outcomes, self.keeper(warc, encoded)).run()
            bytes_out = warc.size_bytes + encoded.size_bytes
        write_facts(out / "facts.parquet", rows, outcomes)
        return receipt_of(outcomes, bytes_out, asked)

    def keeper(self, warc: PayloadWriter, encoded: EncodedWriter) -> Keeper:
        """What judges the part's pictures, and records them in these two."""
        return Keeper(
            warc=warc,
            encoded=encoded,
            rules=self.image,
            jpeg_quality=self.jpeg_quality,
            exclusions=self.exclude.load(),
            max_bytes=self.limits.max_image_bytes,
        )


class Fetcher:
    """Asks for the rows of one slice, each host in its turn.

    A function is given each answer of the web with its row's number, and redirects are then left to it; a `Keeper`
    judges the answers as pictures. `resolver` and `tls` are those of `Client`.
    """

    def __init__(
        self,
        part: FetchPart,
        rows: list[Wanted],
        outcomes: list[Outcome | None],
        then: Keeper | Take,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._part = part
        self._rows = rows
        self._outcomes = outcomes
        self._turns: dict[str, Turn] = {}
        self._requests = 0
        self._keeper = then if isinstance(then, Keeper) else None
        self._take = None if isinstance(then, Keeper) else then
        self._resolver, self._tls = resolver, tls
        self._allowance = part.limits.page if self._take else part.limits.image
        self._exclusions = part.exclude.load()

    def run(self) -> dict[str, object]:
        """Ask for all; the details of the receipt."""
        web: dict[str, list[int]] = {}
        for index, row in enumerate(self._rows):
            if row.supply == "web":
                web.setdefault(row.host, []).append(index)
            elif self._keeper:
                self._outcomes[index] = self._keeper.keep_stored(row)
        if web:
            try:
                asyncio.run(self._ask_all(web))
            except ExceptionGroup as group:
                # What one task raised (a full disk) ends all; the user is told of it, not of the group.
                raise group.exceptions[0] from group
        indexes = [index for listed in web.values() for index in listed]
        found = [outcome.found for index in indexes if (outcome := self._outcomes[index])]
        failed = Counter(one.reason for one in found if isinstance(one, Drop) and one.retryable)
        few = len(web) <= MAX_HOSTS_WITH_ROBOTS
        return {
            "hosts": {
                host: turn.state(with_robots=few)
                for host, turn in self._turns.items()
                if host in web
            },
            "asked": len(indexes),
            "retryable_failed": failed.total(),
            "retryable_reasons": dict(sorted(failed.items())),
            "requests": self._requests,
        }

    def rules(self) -> dict[str, RobotsRules]:
        """By host what its robots.txt says, of the hosts that have been asked for it."""
        return {
            host: turn.rules
            for host, turn in self._turns.items()
            if isinstance(turn.rules, RobotsRules)
        }

    async def _ask_all(self, web: dict[str, list[int]]) -> None:
        part = self._part
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_RESOLVER_THREADS))
        self._connections = asyncio.Semaphore(part.limits.max_connections)
        policy = AddressPolicy(part.allow)
        client = Client(
            policy=policy,
            limits=part.limits,
            contact=part.contact,
            resolver=self._resolver,
            tls=self._tls,
        )
        # Decoding beside the loop costs no more processor time, and the loop answers within 1 ms instead of 50 to 90.
        async with (
            Judge(self._keep, MAX_WAITING_BYTES) as self._judge,
            client as self._client,
            asyncio.TaskGroup() as group,
        ):
            for host, indexes in web.items():
                queue = iter(indexes)
                turn = self._turn(host)
                for _ in range(min(turn.connections, len(indexes), part.limits.max_connections)):
                    group.create_task(self._serve(queue))

    async def _serve(self, queue: Iterator[int]) -> None:
        for index in queue:
            row = self._rows[index]
            if self._take:
                self._take(index, await self._ask_page(row))
                continue
            answer = await self._follow(row.url)
            if isinstance(answer, Drop):
                self._outcomes[index] = Outcome(found=answer)
            else:
                await self._judge.give((index, Given(answer, datetime.now(UTC))), len(answer.body))

    async def _ask_page(self, row: Wanted) -> Response | Drop:
        turn = self._turn(row.host)
        answer = await self._ask(turn, row.url)
        signals = () if isinstance(answer, Drop) else _signals(turn, row.url)
        if not signals or isinstance(answer, Drop):
            return answer
        return replace(
            answer, headers=(*answer.headers, *((OWN_HEADER, signal) for signal in signals))
        )

    def _keep(self, some: Sequence[tuple[int, Given]]) -> None:
        outcomes = self._keeper.keep_replies([given for _, given in some]) if self._keeper else []
        for (index, _), outcome in zip(some, outcomes, strict=True):
            self._outcomes[index] = outcome

    async def _follow(self, url: str) -> Response | Drop:
        for _ in range(self._part.limits.max_redirects + 1):
            if drop := usable(url, self._part.limits.max_url_characters):
                return drop
            answer = await self._ask(self._turn(host_of(url)), url)
            if isinstance(answer, Drop) or answer.status not in REDIRECTS:
                return answer
            target = redirect_target(answer)
            if isinstance(target, Drop):
                return target
            url = target
        return Drop("redirect_limit", f"more than {self._part.limits.max_redirects}")

    async def _ask(self, turn: Turn, url: str) -> Response | Drop:
        tries = 0
        while True:
            async with turn.slots:
                answer = await self._ask_once(turn, url)
            tries += 1
            if turn.ended or not worth_another(answer, tries):
                return answer
            if isinstance(answer, Drop) or answer.status not in {429, 503}:
                await asyncio.sleep(self._part.limits.backoff_s * 2 ** (tries - 1))

    async def _ask_once(self, turn: Turn, url: str) -> Response | Drop:
        if (
            drop := turn.ended
            or self._exclusions.refuses_url(url)
            or await self._forbidden(turn, url)
        ):
            return drop
        await turn.gap()
        if turn.ended:
            return turn.ended
        self._requests += 1
        async with self._connections:
            answer = await self._client.get(url, self._allowance)
        turn.note(answer)
        return answer

    async def _forbidden(self, turn: Turn, url: str) -> Drop | None:
        if turn.rules is None:
            await self._learn_rules(turn, url)
        rules = turn.rules
        if rules is None or isinstance(rules, Drop):
            return rules
        if drop := rules.refuses(url):
            return drop
        if turn.reserved is None:
            await self._learn_reservations(turn, url)
        # What a reserved page links may be free: it is read, and its pictures are left by the signal it carries.
        return None if self._take else opt_out(_signals(turn, url))

    async def _learn_rules(self, turn: Turn, url: str) -> None:
        async with turn.robots_lock:
            tries = 0
            while turn.rules is None:
                await turn.gap()
                self._requests += 1
                async with self._connections:
                    rules = await ask_robots(self._client, url)
                tries += 1
                if tries < self._part.limits.max_robots_tries and is_passing(rules):
                    await asyncio.sleep(self._part.limits.backoff_s * 2 ** (tries - 1))
                else:
                    turn.obey(rules)

    async def _learn_reservations(self, turn: Turn, url: str) -> None:
        """Only a readable answer reserves anything: most hosts have no such file, and say so in many ways."""
        async with turn.robots_lock:
            if turn.reserved is not None:
                return
            limits = self._part.limits
            where = "/".join(url.split("/", 3)[:3]) + "/.well-known/tdmrep.json"
            rules = turn.rules
            if not limits.tdmrep or (isinstance(rules, RobotsRules) and rules.refuses(where)):
                turn.reserved = Reservations()
                return
            await turn.gap()
            self._requests += 1
            async with self._connections:
                answer = await self._client.fetch(where, limits.robots, 0)
            turn.note(answer)
            is_file = isinstance(answer, Response) and answer.status == 200
            turn.reserved = (
                parse_reservations(answer.body)
                if is_file and isinstance(answer, Response)
                else Reservations()
            )

    def _turn(self, host: str) -> Turn:
        turn = self._turns.get(host)
        if turn is None:
            part = self._part
            limits = part.hosts.get(host) or HostLimits()
            turn = self._turns[host] = Turn(
                host, limits, part.limits, part.host_states.get(host, {})
            )
        return turn


def _signals(turn: Turn, url: str) -> tuple[str, ...]:
    """The opt-outs that a host states for a URL outside of the URL's own answer."""
    by_robots = turn.rules.signals(url) if isinstance(turn.rules, RobotsRules) else ()
    return by_robots + (turn.reserved.signals(url) if turn.reserved else ())
