import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from wenlan_data.errors import DiskError
from wenlan_data.fetch.background import BackgroundChecker


def _each(works: Sequence[Callable[[], object]]) -> None:
    for work in works:
        work()


def test_what_waits_is_taken_together_and_never_too_much_of_it() -> None:
    go_on = threading.Event()
    taken: list[list[int]] = []

    def take(items: Sequence[int]) -> None:
        go_on.wait()
        taken.append(list(items))

    async def run() -> None:
        async with BackgroundChecker(take, max_waiting_bytes=1 << 30) as checker:
            for number in range(20):
                await checker.add(number, 1000)
            await checker.add(20, 2 << 20)
            await checker.add(21, 2 << 20)
            go_on.set()

    asyncio.run(run())
    assert [number for some in taken for number in some] == list(range(22))
    assert max(map(len, taken)) == 8
    assert taken[-1] == [21]


def test_all_that_is_given_is_done_in_order_before_leaving() -> None:
    done: list[int] = []

    async def run() -> None:
        async with BackgroundChecker(_each, max_waiting_bytes=1000) as checker:
            for number in range(500):
                await checker.add(lambda number=number: done.append(number), 100)  # type: ignore[misc]

    asyncio.run(run())
    assert done == list(range(500))


def test_whoever_gives_waits_while_too_many_bytes_are_waiting() -> None:
    go_on = threading.Event()
    given: list[int] = []

    async def give_all(checker: BackgroundChecker[Callable[[], object]]) -> None:
        for number in range(6):
            await checker.add(go_on.wait, 100)
            given.append(number)

    async def run() -> None:
        async with BackgroundChecker(_each, max_waiting_bytes=250) as checker:
            task = asyncio.create_task(give_all(checker))
            await asyncio.sleep(0.05)
            assert len(given) == 3
            go_on.set()
            await task
        assert len(given) == 6

    asyncio.run(run())


def test_what_a_work_raises_ends_the_rest_and_is_raised_on_leaving() -> None:
    done: list[str] = []

    def fail() -> None:
        raise DiskError("images.warc: the disk is full")

    async def run() -> None:
        async with BackgroundChecker(_each, max_waiting_bytes=1000) as checker:
            await checker.add(lambda: done.append("before"), 1)
            await checker.add(fail, 1)
            while checker._error is None:
                await asyncio.sleep(0.001)
            with pytest.raises(DiskError, match="full"):
                await checker.add(lambda: done.append("after"), 1)

    with pytest.raises(DiskError, match="full"):
        asyncio.run(run())
    assert done == ["before"]


def test_an_error_of_the_loop_is_not_replaced_and_what_waits_is_left_out() -> None:
    go_on = threading.Event()
    done: list[str] = []

    async def run() -> None:
        async with BackgroundChecker(_each, max_waiting_bytes=1000) as checker:
            await checker.add(go_on.wait, 1)
            while not checker._queue.empty():
                await asyncio.sleep(0.001)
            await checker.add(lambda: done.append("late"), 1)
            asyncio.get_running_loop().call_later(0.05, go_on.set)
            threading.Timer(0.05, go_on.set).start()
            raise ValueError("of the loop")

    with pytest.raises(ValueError, match="of the loop"):
        asyncio.run(run())
    assert done == []
