"""Runs the parts of one step: what is done is skipped, a bounded number is in flight, lost workers are retried."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.errors import WenlanError, WorkerLostError, from_os_error
from wenlan_data.protocols import Executor, Part, Receipt
from wenlan_data.run.ledger import Ledger

MAX_ATTEMPTS = 3
POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A part to be done. Jobs of one chain run in turn, each with the receipt of the one before."""

    number: int
    make: Callable[[Receipt | None], Part]
    """The part, given the receipt of the chain's last committed job (None for the first, or without a chain)."""
    chain: str = ""


Committed = Callable[[int, Receipt], None]
"""Told of each part that is done."""


class Jobs:
    """One step of one generation on an executor."""

    def __init__(self, executor: Executor, ledger: Ledger, generation: int, step: str) -> None:
        self._executor = executor
        self._ledger = ledger
        self._generation = generation
        self._step = step
        self._attempts: dict[str, tuple[Job, Path]] = {}
        self._failures: dict[int, int] = {}
        self._receipts: dict[int, Receipt] = {}
        self._last_of_chain: dict[str, Receipt] = {}

    def run(
        self, jobs: Iterable[Job], committed: Committed, before: Committed | None = None
    ) -> Mapping[int, Receipt]:
        """Do every job; number to receipt, in number order. Parts of an earlier run go to `before`, where it is given.

        Raises what a part raised, with the step and part named; what is still in flight is never committed.
        """
        ready: deque[Job] = deque()
        chains: dict[str, deque[Job]] = {}
        for job in jobs:
            done = self._ledger.receipt(self._generation, self._step, job.number)
            if done is not None:
                self._note(job, done, before or committed)
            elif job.chain:
                chains.setdefault(job.chain, deque()).append(job)
            else:
                ready.append(job)
        # The longest chains first: their slices run in turn, so they decide when the step ends.
        ready.extendleft(chain.popleft() for chain in sorted(chains.values(), key=len))
        while ready or self._attempts:
            self._fill(ready)
            ended = self._executor.next_done(POLL_S)
            if ended is None:
                continue
            settled = self._settle(*ended, ready, committed)
            if settled and chains.get(settled.chain):
                ready.append(chains[settled.chain].popleft())
        return dict(sorted(self._receipts.items()))

    def _fill(self, ready: "deque[Job]") -> None:
        executor = self._executor
        while ready and len(self._attempts) < executor.workers + 1:
            job = ready.popleft()
            attempt = self._ledger.attempt()
            self._attempts[attempt.name] = (job, attempt)
            executor.submit(attempt.name, job.make(self._last_of_chain.get(job.chain)), attempt)

    def _settle(
        self,
        token: str,
        outcome: Receipt | BaseException,
        ready: "deque[Job]",
        committed: Committed,
    ) -> Job | None:
        job, attempt = self._attempts.pop(token)
        if (
            isinstance(outcome, WorkerLostError)
            and self._failures.get(job.number, 0) + 1 < MAX_ATTEMPTS
        ):
            self._failures[job.number] = self._failures.get(job.number, 0) + 1
            ready.append(job)
            return None
        if isinstance(outcome, BaseException):
            raise self._named(outcome, job) from outcome
        self._ledger.commit(attempt, outcome, self._generation, self._step, job.number)
        self._note(job, outcome, committed)
        return job

    def _note(self, job: Job, receipt: Receipt, committed: Committed) -> None:
        self._receipts[job.number] = receipt
        if job.chain:
            self._last_of_chain[job.chain] = receipt
        committed(job.number, receipt)

    def _named(self, error: BaseException, job: Job) -> BaseException:
        where = f"{self._step} part {job.number} of generation {self._generation}"
        if isinstance(error, OSError):
            return from_os_error(error, where)
        if isinstance(error, WorkerLostError):
            return WorkerLostError(
                f"{where}: its worker died {MAX_ATTEMPTS} times ({error}): give it more memory or fewer --workers"
            )
        if isinstance(error, WenlanError):
            return error
        return RuntimeError(f"{where}: {type(error).__name__}: {error}")
