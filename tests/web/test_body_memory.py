"""Memory for large bodies: what is held is what is read, and nobody waits for ever."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.web.hostile.cases import QUICK, fetch_part
from tests.web.hostile.web import Web, drips, ok
from wenlan_data.testing import make_image
from wenlan_data.web.body_memory import STEP_BYTES, BodyMemory
from wenlan_data.web.limits import HostLimits

MIB = 1 << 20


def test_bodies_wait_for_room_in_their_order_and_get_it() -> None:
    async def run() -> list[int]:
        memory, order = BodyMemory(2 * STEP_BYTES), []

        async def read(number: int, steps: int) -> None:
            room = memory.room()
            try:
                for step in range(steps):
                    await room.extend((step + 1) * STEP_BYTES)
                    await asyncio.sleep(0.001)
            finally:
                room.release()
            order.append(number)

        async with asyncio.timeout(20):
            await asyncio.gather(*(read(number, 4) for number in range(20)))
        return order

    assert sorted(asyncio.run(run())) == list(range(20))


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_a_body_that_gives_up_waiting_leaves_its_place(cancelled: int) -> None:
    async def run() -> None:
        memory = BodyMemory(STEP_BYTES)
        first = memory.room()
        await first.extend(1)

        async def read() -> None:
            room = memory.room()
            try:
                await room.extend(1)
            finally:
                room.release()

        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[cancelled].cancel()
        first.release()
        async with asyncio.timeout(5):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result is None for result in results] == [n != cancelled for n in range(3)]

    asyncio.run(run())


@pytest.mark.slow
def test_hostile_drips_of_24_hosts_hold_up_no_large_body(tmp_path: Path) -> None:
    """Each drips a body of 8 MiB, of which 4 MiB come at once, as slowly as is allowed."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB)
    image = make_image(1)
    large = ok(image + bytes(3 * MIB))
    with Web() as web:
        bad = [
            web.host(
                {"/a.jpg": drips(head + bytes(4 * MIB), bytes(4096), 0.5)},
                address=f"127.1.0.{n + 1}",
            )
            for n in range(24)
        ]
        honest = [web.host({"/a.jpg": large}, address=f"127.1.1.{n + 1}") for n in range(20)]
        hosts = {host.name: HostLimits(min_gap_s=0) for host in [*bad, *honest]}
        # Room for 80 MiB, all of which the drips take.
        limits = replace(QUICK, total_s=25, first_byte_s=20, rate_window_s=4, max_large_bodies=4)
        out = tmp_path / "out"
        out.mkdir()
        fetch_part(tmp_path, [host.url("/a.jpg") for host in [*bad, *honest]], hosts, limits)(out)
    rows = pq.read_table(out / "facts.parquet").to_pylist()
    assert {(row["reason"], row["detail"]) for row in rows[24:]} == {("", "")}
    # Ended for their rate, long before their time.
    assert "min_rate" in {row["reason"] for row in rows[:24]}
