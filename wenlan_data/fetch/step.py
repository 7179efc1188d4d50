"""Fetches the images of one fetch list: from the web politely, or from stored bytes; writes WARC
and fetch results."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

from wenlan_data.fetch.background import BackgroundChecker
from wenlan_data.fetch.fallbacks import fetch_with_fallbacks
from wenlan_data.fetch.jpeg_store import JpegStoreWriter
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.fetch.recorder import ImageRecorder
from wenlan_data.fetch.results import (
    FetchRequest,
    FetchResult,
    Redirected,
    fetch_receipt,
    read_fetch_list,
    write_later,
    write_results,
)
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import FETCH_RESULTS, IMAGE_WARC, LATER_REQUESTS, STORED_JPEGS, WorkFolder
from wenlan_data.part_files import checked
from wenlan_data.protocols import Receipt
from wenlan_data.reasons import Reason
from wenlan_data.recipe import ShardRules
from wenlan_data.records import Drop
from wenlan_data.sandbox.client import confinement_in_use, start_worker
from wenlan_data.sandbox.decoding_budget import DecodingBudget
from wenlan_data.web.polite_client import ROBOTS_ELSEWHERE, PoliteClient
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import REDIRECTS, Response, redirect_target
from wenlan_data.web.urls import host_of
from wenlan_data.web.warc import PayloadWriter

MAX_WAITING_BYTES = 32 << 20
"""Images that are fetched but not yet checked; above it they wait in the buffer of
`PoliteClient`, and once that is full too, with the tasks that fetched them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPart:
    """Fetches one fetch list. Writes `images.warc`, `encoded.bin` (`fetch.jpeg_store`) and
    `facts.parquet`.

    It talks to the hosts of its list alone, so that no host ever hears from two tasks at once. An
    image that is redirected to another host is left for that host's own fetch list: it is a row of
    `later.parquet` instead of `facts.parquet`, and a later pass cuts these into fetch lists
    (`fetch.later_lists`).

    Its receipt's details: `hosts` (each host's state, for its next fetch list), `requested` (images
    requested from the web), `retryable_failed` (how many of those failed for a transient reason),
    `retryable_reasons` (the same by reason), `requests` (robots.txt, tdmrep.json and redirects
    included).
    """

    fetch_list: str
    """Path, see `tables.WANTED`."""
    politeness: Politeness = field(default_factory=Politeness)
    image: ImageRules
    jpeg_quality: int = ShardRules().jpeg_quality
    host_states: dict[str, dict[str, object]] = field(default_factory=dict)
    """`hosts` of the receipt of the chain's earlier fetch list."""
    own_hosts: tuple[str, ...] = ()
    """Hosts without a row that it may talk to as well, see `receipts.FetchList`."""
    work: str = ""
    """Path of the work folder: origins that are recorded relative to it are found there."""

    def __call__(self, out: Path) -> Receipt[FetchDetails]:
        """Fetches and checks.

        Raises `DamageError` for a corrupt stored WARC, `DiskError` when the disk is full.
        """
        limits = self.politeness.limits
        client = PoliteClient(
            self.politeness,
            self.host_states,
            body=limits.image,
            follow_redirects=True,
            drop_opted_out=True,
            own_hosts=self.own_hosts,
        )
        return self.run(out, client)

    def run(self, out: Path, client: PoliteClient) -> Receipt[FetchDetails]:
        """Fetches and records with `client`, which a test may give another resolver."""
        start_worker()
        rows = [self._located(row) for row in read_fetch_list(self.fetch_list)]
        outcomes: dict[int, FetchResult | FetchRequest] = {}
        limits = self.politeness.limits
        budget = DecodingBudget(limits.max_slow_decoding_s, self.host_states)
        with (
            PayloadWriter(out / IMAGE_WARC) as warc,
            JpegStoreWriter(out / STORED_JPEGS) as jpegs,
        ):
            recorder = ImageRecorder(
                warc=warc,
                jpegs=jpegs,
                rules=self.image,
                jpeg_quality=self.jpeg_quality,
                blocklists=self.politeness.blocklists.load(),
                max_bytes=limits.max_image_bytes,
                budget=budget,
            )
            web = [index for index, row in enumerate(rows) if row.origin == "web"]
            stored = [index for index, row in enumerate(rows) if row.origin != "web"]
            recorded = recorder.record_stored([rows[index] for index in stored])
            outcomes |= dict(zip(stored, recorded, strict=True))
            fetched = _fetch_images(client, [rows[index] for index in web], recorder)
            outcomes |= dict(zip(web, fetched, strict=True))
            bytes_out = warc.size_bytes + jpegs.size_bytes
        decided = [
            (row, outcome)
            for index, row in enumerate(rows)
            if isinstance(outcome := outcomes[index], FetchResult)
        ]
        results = [result for _, result in decided]
        write_results(out / FETCH_RESULTS, [row for row, _ in decided], results)
        later = [one for one in fetched if isinstance(one, FetchRequest)]
        if later:
            write_later(out / LATER_REQUESTS, later)
        return fetch_receipt(results, bytes_out, _details(client, fetched, budget))

    def _located(self, row: FetchRequest) -> FetchRequest:
        """Returns the row with the absolute path of a page that the build recorded itself."""
        if not row.origin_path or Path(row.origin_path).is_absolute():
            return row
        path = checked(WorkFolder(Path(self.work)).located(row.origin_path))
        return replace(row, origin_path=str(path))


def _fetch_images(
    client: PoliteClient, rows: Sequence[FetchRequest], recorder: ImageRecorder
) -> list[FetchResult | FetchRequest]:
    """Requests all rows, then the fallback URLs of those that give no image."""

    async def request(wanted: Sequence[tuple[str, int]]) -> list[FetchResult | Redirected]:
        return await _request_urls(client, wanted, recorder)

    return asyncio.run(fetch_with_fallbacks(rows, request, client.is_own)) if rows else []


async def _request_urls(
    client: PoliteClient, wanted: Sequence[tuple[str, int]], recorder: ImageRecorder
) -> list[FetchResult | Redirected]:
    """Requests URLs, each with the number of redirects that led to it, and records the responses
    while others are under way."""
    results: dict[int, FetchResult | Redirected] = {}

    def record(arrived: Sequence[tuple[int, Response]]) -> None:
        recorded = recorder.record_responses(
            [response for _, response in arrived],
            [host_of(wanted[index][0]) for index, _ in arrived],
        )
        for (index, _), result in zip(arrived, recorded, strict=True):
            results[index] = result

    urls, redirects = zip(*wanted, strict=True)
    # Decoding beside the loop costs no more processor time, and the loop answers within 1 ms
    # instead of 50 to 90.
    async with (
        BackgroundChecker(record, MAX_WAITING_BYTES) as checker,
        aclosing(client.fetch(urls, redirects)) as arrivals,
    ):
        async for index, response in arrivals:
            if response == ROBOTS_ELSEWHERE:
                results[index] = Redirected(*wanted[index])
            elif isinstance(response, Drop):
                results[index] = FetchResult(found=response)
            elif response.status in REDIRECTS:
                results[index] = _redirected(response)
            else:
                await checker.add((index, response), len(response.body))
    return [results[index] for index in range(len(wanted))]


def _redirected(response: Response) -> FetchResult | Redirected:
    target = redirect_target(response)
    if isinstance(target, Drop):
        return FetchResult(found=target)
    return Redirected(target, response.redirects)


def _details(
    client: PoliteClient, fetched: Sequence[FetchResult | FetchRequest], budget: DecodingBudget
) -> FetchDetails:
    results = [one for one in fetched if isinstance(one, FetchResult)]
    drops = [result.found for result in results if isinstance(result.found, Drop)]
    # A URL that was not requested has not failed.
    transient = Counter(
        drop.reason for drop in drops if drop.retryable and drop.reason != Reason.OFFLINE
    )
    hosts = client.host_states()
    budget.add_to(hosts)
    return FetchDetails(
        hosts=hosts,
        requested=len(results),
        retryable_failed=transient.total(),
        retryable_reasons=dict(sorted(transient.items())),
        requests=client.requests,
        later=len(fetched) - len(results),
        sandbox=confinement_in_use(),
    )
