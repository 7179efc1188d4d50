"""Measures parts of a crawl: requests per second over many hosts, memory of a long queue, cost of
the sandbox process."""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.lib.memory import descendants
from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.frontier import FrontierPart
from wenlan_data.fetch.background import MAX_AT_ONCE
from wenlan_data.fetch.step import FetchPart
from wenlan_data.image.check import check_image
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import REQUESTED_URLS
from wenlan_data.sandbox import client as sandbox
from wenlan_data.tables import FRONTIER, WANTED
from wenlan_data.testing import make_image
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.urls import host_of, url_key

SMALL = make_image(1, width=160, height=120)
BATCH_ROWS = 100_000
ROUNDS = 9


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--requests-a-host", type=int, default=10)
    parser.add_argument("--queued", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--images", type=int, default=1000)
    given = parser.parse_args()
    result = {
        "requests": _throughput(given.hosts, given.requests_a_host),
        "queue": [_in_a_process(_queue, count) for count in given.queued],
        "isolation": _isolation(given.images),
    }
    print(json.dumps(result))


def _throughput(hosts: int, each: int) -> dict[str, float]:
    """Fetches images of `hosts` servers on loopback, each with an address of its own, without a
    gap; robots.txt and tdmrep.json included."""
    names: list[str] = []
    ready = threading.Event()
    threading.Thread(target=_serve, args=(hosts, names, ready), daemon=True).start()
    ready.wait()
    urls = [f"http://{name}/{n}.jpg" for n in range(each) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        fetch_list = Path(folder, "fetch-list.parquet")
        rows: list[tuple[object, ...]] = [
            (n, url, url_key(url), host_of(url), "web", "", 0, [], "") for n, url in enumerate(urls)
        ]
        columns = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), WANTED, strict=True)
        ]
        pq.write_table(pa.table(columns, schema=WANTED), fetch_list)
        part = FetchPart(
            fetch_list=str(fetch_list),
            politeness=Politeness(
                allow=tuple(names), hosts=dict.fromkeys(names, HostLimits(min_gap_s=0))
            ),
            image=ImageRules(min_bytes=0),
        )
        started, cpu_s = time.monotonic(), time.process_time()
        receipt = part(Path(folder))
        seconds, cpu_s = time.monotonic() - started, time.process_time() - cpu_s
    requests = receipt.details.requests
    rate = round(requests / seconds, 1)
    return {"hosts": hosts, "requests": requests, "requests_per_s": rate, "seconds": round(seconds, 2),
            "cpu_ms_a_request_with_the_server": round(1000 * cpu_s / requests, 3)}  # fmt: skip


def _serve(hosts: int, names: list[str], ready: threading.Event) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    image, missing = (
        head % len(SMALL) + SMALL,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(image if b".jpg " in request[:100] else missing)
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    async def start() -> None:
        servers = [
            await asyncio.start_server(serve, f"127.99.{n >> 8}.{n & 255}", 0)
            for n in range(1, hosts + 1)
        ]
        addresses = [server.sockets[0].getsockname() for server in servers]
        names.extend(f"{address}:{port}" for address, port in addresses)
        ready.set()
        await asyncio.sleep(3600)

    asyncio.run(start())


def _queue(count: int) -> dict[str, float]:
    """Measures two rounds of the frontier over `count` URLs: the first reads a list of links, the
    second the URLs that the first left in the queue."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        links = folder / "links"
        links.mkdir()
        with pq.ParquetWriter(links / "links.parquet", FRONTIER, compression="zstd") as writer:
            for start in range(0, count, BATCH_ROWS):
                writer.write_table(_links(start, min(BATCH_ROWS, count - start)))
        (links / "hosts.json").write_text("{}")
        before_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        seconds = []
        limits = CrawlLimits(max_pages_a_host=10**9, max_pages_a_domain=10**9)
        part = FrontierPart(crawled=(str(links),), limits=limits)
        for number in range(2):
            out = folder / str(number)
            out.mkdir()
            started = time.monotonic()
            receipt = part(out)
            seconds.append(round(time.monotonic() - started, 1))
            part = FrontierPart(
                before=str(out), requested=(str(out / REQUESTED_URLS),), limits=limits
            )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    waiting = receipt.details.waiting
    return {"queued": count, "before_mib": before_mib, "peak_mib": peak_mib, "waiting_at_the_end": waiting,
            "first_round_s": seconds[0], "later_round_s": seconds[1]}  # fmt: skip


def _links(start: int, count: int) -> pa.Table:
    numbers = range(start, start + count)
    urls = [
        f"http://www.host{n % 100}.example.cn/articles/{n // 100}/the-title-of-a-page-{n}.html"
        for n in numbers
    ]
    hosts = [f"www.host{n % 100}.example.cn:80" for n in numbers]
    depths, redirects = [1 + n % 3 for n in range(count)], [0] * count
    columns = [urls, urls, hosts, depths, redirects]
    return pa.table(
        [pa.array(one, field.type) for one, field in zip(columns, FRONTIER, strict=True)],
        schema=FRONTIER,
    )


def _in_a_process(work: object, count: int) -> dict[str, float]:
    """Runs in a new process, so that the peak of memory belongs to this measurement alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, float] = pool.apply(work, (count,))  # type: ignore[arg-type]
        return found


def _isolation(count: int) -> dict[str, float]:
    """Measures the check of a valid image of 800x600 in this process and in the sandbox process,
    in alternating rounds.

    Milliseconds of processor time (of both processes together) and of wall clock; the minimum of
    the rounds, since other work on the machine can only add to it.
    """
    rules, made = ImageRules(), [make_image(n, width=800, height=600) for n in range(20)]
    sandbox.check_image(made[0], rules)
    here, beside = [], []
    for _ in range(ROUNDS):
        here.append(_spent(lambda some: [check_image(data, rules) for data in some], made, count))
        beside.append(
            _spent(lambda some: sandbox.check_images(some, digests(some), rules, 92), made, count)
        )
    (here_s, here_wall_s), (apart_s, apart_wall_s) = (
        map(min, zip(*one, strict=True)) for one in (here, beside)
    )
    return {"here_cpu_ms": round(1000 * here_s / count, 3), "apart_cpu_ms": round(1000 * apart_s / count, 3),
            "cpu_ratio": round(apart_s / here_s, 3), "wall_ratio": round(apart_wall_s / here_wall_s, 3)}  # fmt: skip


def digests(images: list[bytes]) -> list[str]:
    """Returns the SHA-256 of each image, in hexadecimal."""
    return [hashlib.sha256(data).hexdigest() for data in images]


def _spent(
    work: Callable[[list[bytes]], object], made: list[bytes], count: int
) -> tuple[float, float]:
    """Returns processor seconds of this process and its descendants, and wall-clock seconds.
    `MAX_AT_ONCE` images are checked at a time, as in a build."""
    cpu_s, wall_s = _cpu_s(), time.monotonic()
    for start in range(0, count, MAX_AT_ONCE):
        work([made[n % len(made)] for n in range(start, min(start + MAX_AT_ONCE, count))])
    return _cpu_s() - cpu_s, time.monotonic() - wall_s


def _cpu_s() -> float:
    # schedstat counts nanoseconds; the times in /proc/PID/stat are hundredths of a second.
    threads = [
        one
        for pid in descendants(os.getpid())
        for one in Path(f"/proc/{pid}/task").glob("*/schedstat")
    ]
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e9


if __name__ == "__main__":
    main()
