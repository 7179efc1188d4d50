from dataclasses import dataclass
from pathlib import Path

import pytest

from wenlan_data.errors import DiskError, WorkerLostError
from wenlan_data.protocols import Part, Receipt
from wenlan_data.run.executors.local import LocalExecutor
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.scheduler import Job, Scheduler


@dataclass(frozen=True)
class Sum:
    sum: int


@dataclass(frozen=True)
class Count:
    """Writes one number; its receipt adds up the numbers of the chain so far."""

    number: int
    before: int = 0

    def __call__(self, out: Path) -> Receipt[Sum]:
        (out / "number").write_text(str(self.number))
        return Receipt(rows_in=1, details=Sum(self.before + self.number))


@dataclass(frozen=True)
class Fail:
    error: Exception

    def __call__(self, out: Path) -> Receipt[Sum]:
        raise self.error


def _job(number: int, chain: str = "") -> Job[Sum]:
    def make(before: Receipt[Sum] | None) -> Part[Sum]:
        return Count(number, before.details.sum if before else 0)

    return Job(number=number, make=make, chain=chain)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once_and_a_second_run_does_none(tmp_path: Path, workers: int) -> None:
    with Ledger(tmp_path) as ledger:
        executor = LocalExecutor(workers)
        seen: list[int] = []
        for _ in range(2):
            receipts = Scheduler(executor, ledger, 0, "count", Sum).run(
                [_job(n) for n in range(9)], lambda n, _: seen.append(n)
            )
            assert list(receipts) == list(range(9))
        executor.close()
    assert sorted(seen) == sorted([*range(9), *range(9)])


@pytest.mark.parametrize("workers", [1, 3])
def test_a_chain_runs_in_turn_and_hands_its_state_on(tmp_path: Path, workers: int) -> None:
    jobs = [_job(n, chain="host" if n % 2 else "") for n in range(8)]
    with Ledger(tmp_path) as ledger:
        executor = LocalExecutor(workers)
        order: list[int] = []
        receipts = Scheduler(executor, ledger, 0, "count", Sum).run(
            jobs, lambda n, _: order.append(n)
        )
        executor.close()
    assert [n for n in order if n % 2] == [1, 3, 5, 7]
    assert receipts[7].details.sum == 16


def test_a_full_disk_in_a_part_is_the_users_error(tmp_path: Path) -> None:
    job = Job(number=0, make=lambda _: Fail(OSError(28, "No space left on device", "x.tar")))
    with Ledger(tmp_path) as ledger, pytest.raises(DiskError, match=r"x\.tar"):
        Scheduler(LocalExecutor(1), ledger, 0, "shard", Sum).run([job], lambda *_: None)


def test_a_part_whose_worker_always_dies_is_given_up_after_three_attempts(tmp_path: Path) -> None:
    made: list[int] = []

    def make(_: Receipt[Sum] | None) -> Part[Sum]:
        made.append(1)
        return Fail(WorkerLostError("killed"))

    with Ledger(tmp_path) as ledger, pytest.raises(WorkerLostError, match="3 times"):
        Scheduler(LocalExecutor(1), ledger, 0, "fetch", Sum).run(
            [Job(number=0, make=make)], lambda *_: None
        )
    assert len(made) == 3


def _loses_its_nodes(made: list[int], times: int) -> Job[Sum]:
    def make(_: Receipt[Sum] | None) -> Part[Sum]:
        made.append(1)
        lost = WorkerLostError("the node is gone", with_node=True)
        return Fail(lost) if len(made) <= times else Count(0)

    return Job(number=0, make=make)


def test_dead_nodes_do_not_count_while_others_do_parts(tmp_path: Path) -> None:
    made: list[int] = []
    # The first loss comes before the other parts, the others after them.
    jobs = [_loses_its_nodes(made, 3), *(_job(number) for number in range(1, 20))]
    with Ledger(tmp_path) as ledger:
        receipts = Scheduler(LocalExecutor(1), ledger, 0, "fetch", Sum).run(jobs, lambda *_: None)
    assert list(receipts) == list(range(20))
    assert len(made) == 4


def test_a_part_whose_nodes_die_while_nothing_else_is_done_is_given_up(tmp_path: Path) -> None:
    made: list[int] = []
    with Ledger(tmp_path) as ledger, pytest.raises(WorkerLostError, match="check the nodes"):
        Scheduler(LocalExecutor(1), ledger, 0, "fetch", Sum).run(
            [_loses_its_nodes(made, 9)], lambda *_: None
        )
    assert len(made) == 3
