"""Runs the parts of one step: committed parts are skipped, few are in flight, lost workers are
retried."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

from wenlan_data.errors import (
    UnexpectedError,
    WenlanError,
    WorkerLostError,
    from_os_error,
    is_transient_error,
)
from wenlan_data.protocols import Executor, Part, Receipt
from wenlan_data.run.ledger import Ledger

# A part whose input kills its worker would kill every next one: the build must end. Each attempt
# has another process, since a dead one is gone.
MAX_ATTEMPTS = 3
POLL_S = 0.5

DetailsT = TypeVar("DetailsT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[DetailsT]):
    """A part to run. Jobs of one chain run one after the other, each given the receipt of the one
    before."""

    number: int
    make: Callable[[Receipt[DetailsT] | None], Part[DetailsT]]
    """Makes the part from the receipt of the chain's last committed job; None for the first job,
    or without a chain."""
    chain: str = ""


@dataclass(slots=True)
class _Failures:
    """Of one part."""

    disks: int = 0
    """Errors of a disk that may not occur again."""
    workers: int = 0
    """Lost workers."""
    nodes: int = 0
    """Of these not counted: workers lost with their nodes, since a part was last committed."""
    commits: int = 0
    """Number of committed parts at the last loss of a node."""


class Scheduler(Generic[DetailsT]):
    """Runs one step of one generation on an executor; `details` is what the step's receipts
    carry, `passes` what `Ledger.check_order` takes."""

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        generation: int,
        step: str,
        details: type[DetailsT],
        passes: Mapping[str, int] | None = None,
    ) -> None:
        self._executor = executor
        self._ledger = ledger
        self._generation = generation
        self._step = step
        self._details = details
        self._passes = passes
        self._attempts: dict[str, tuple[Job[DetailsT], Path]] = {}
        self._failures: dict[int, _Failures] = {}
        self._commits = 0
        self._receipts: dict[int, Receipt[DetailsT]] = {}
        self._last_of_chain: dict[str, Receipt[DetailsT]] = {}

    def run(
        self,
        jobs: Iterable[Job[DetailsT]],
        committed: Callable[[int, Receipt[DetailsT]], None],
        restored: Callable[[int, Receipt[DetailsT]], None] | None = None,
    ) -> Mapping[int, Receipt[DetailsT]]:
        """Runs every job that is not committed; returns number to receipt, in number order.

        `committed` is called for each part when it is committed; `restored`, where given, for the
        parts of an earlier run instead. Raises what a part raised, with the step and part named;
        parts that are still in flight are then never committed. Raises `DamageError` before the
        first part where a part is lost of which others were made.
        """
        ready: deque[Job[DetailsT]] = deque()
        chains: dict[str, deque[Job[DetailsT]]] = {}
        for job in jobs:
            # A chain commits in order, so its committed jobs are its first ones, and the last
            # receipt seen here is where the chain continues.
            done = self._ledger.receipt(self._generation, self._step, job.number, self._details)
            if done is not None:
                self._record(job, done, restored or committed)
                continue
            if not (ready or chains):
                self._ledger.check_order(self._generation, self._step, job.number, self._passes)
            if job.chain:
                chains.setdefault(job.chain, deque()).append(job)
            else:
                ready.append(job)
        # Longest chains first: their fetch lists run one after the other, so they decide when the
        # step ends. `extendleft` reverses the order of `sorted`.
        ready.extendleft(chain.popleft() for chain in sorted(chains.values(), key=len))
        while ready or self._attempts:
            self._fill(ready)
            ended = self._executor.next_done(POLL_S)
            if ended is None:
                continue
            finished = self._finish(*ended, ready, committed)
            # Only after the commit: the next job is made from the receipt, and a resumed build must
            # find the same one in the ledger.
            if finished and chains.get(finished.chain):
                ready.append(chains[finished.chain].popleft())
        return dict(sorted(self._receipts.items()))

    def _fill(self, ready: "deque[Job[DetailsT]]") -> None:
        executor = self._executor
        # One more than the workers, so that none waits for the driver between two parts.
        while ready and len(self._attempts) < executor.workers + 1:
            job = ready.popleft()
            # A new folder for each attempt: `run_part` refuses one that exists.
            attempt = self._ledger.attempt()
            self._attempts[attempt.name] = (job, attempt)
            executor.submit(attempt.name, job.make(self._last_of_chain.get(job.chain)), attempt)

    def _finish(
        self,
        token: str,
        outcome: Receipt[object] | BaseException,
        ready: "deque[Job[DetailsT]]",
        committed: Callable[[int, Receipt[DetailsT]], None],
    ) -> Job[DetailsT] | None:
        job, attempt = self._attempts.pop(token)
        if not isinstance(outcome, BaseException):
            outcome = self._commit(job, attempt, outcome)
        if isinstance(outcome, BaseException):
            # Nothing else is retried: a part has the same code and the same input again, so its own
            # exception would recur.
            if self._is_given_up(job, outcome):
                raise self._named(outcome, job) from outcome
            ready.append(job)
            return None
        self._record(job, outcome, committed)
        return job

    def _commit(
        self, job: Job[DetailsT], attempt: Path, receipt: Receipt[object]
    ) -> Receipt[DetailsT] | OSError:
        """Commits a part; returns the error of a disk that failed before the part was committed."""
        if not isinstance(receipt.details, self._details):
            raise TypeError(
                f"{self._step}: a part returned {type(receipt.details).__name__} in its receipt, "
                f"expected {self._details.__name__}: this is an error of ours, report it"
            )
        # In the driver, not in the worker: a worker that was taken for lost may finish later, and
        # would commit a part a second time.
        try:
            self._ledger.commit(attempt, receipt, self._generation, self._step, job.number)
        except OSError as error:
            if not (attempt.is_dir() and is_transient_error(error)):
                raise
            return error
        self._commits += 1
        return cast("Receipt[DetailsT]", receipt)

    def _is_given_up(self, job: Job[DetailsT], error: BaseException) -> bool:
        """Counts a failure; returns whether the part is given up.

        A worker that was lost with its node counts only if no part was committed since the last
        such loss of this part: else the nodes are the cause, and others do the work.
        """
        failures = self._failures.setdefault(job.number, _Failures())
        if not isinstance(error, WorkerLostError):
            failures.disks += 1
            return failures.disks > 1 or not is_transient_error(error)
        if error.with_node:
            if failures.commits != self._commits:
                failures.nodes = 0
            failures.commits = self._commits
            failures.nodes += 1
        else:
            failures.workers += 1
        return MAX_ATTEMPTS in (failures.workers, failures.nodes)

    def _record(
        self,
        job: Job[DetailsT],
        receipt: Receipt[DetailsT],
        notify: Callable[[int, Receipt[DetailsT]], None],
    ) -> None:
        self._receipts[job.number] = receipt
        if job.chain:
            self._last_of_chain[job.chain] = receipt
        notify(job.number, receipt)

    def _named(self, error: BaseException, job: Job[DetailsT]) -> BaseException:
        where = f"{self._step} part {job.number} of generation {self._generation}"
        # A full disk in any worker must end the build with exit 3, not as an internal error.
        if isinstance(error, OSError):
            return from_os_error(error, where)
        if isinstance(error, WorkerLostError):
            return WorkerLostError(
                f"{where}: its worker died {MAX_ATTEMPTS} times ({error}): "
                + ("check the nodes" if error.with_node else "give it more memory")
                + " or give fewer --workers"
            )
        if isinstance(error, WenlanError):
            return error
        name = "" if isinstance(error, UnexpectedError) else f"{type(error).__name__}: "
        return UnexpectedError(f"{where}: {name}{error}")


def tasks_at_once(workers: int, chains: Iterable[str]) -> int:
    """Returns how many of the jobs with these chains run at once on so many workers; 1 at least."""
    listed = list(chains)
    most = listed.count("") + len(set(listed) - {""})
    return max(1, min(workers, most))
