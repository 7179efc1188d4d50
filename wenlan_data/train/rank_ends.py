"""How the ranks of a job under Ray Train ended, and which of them is the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from wenlan_data.errors import InterruptedBuildError
from wenlan_data.train.launch import RESTART


@dataclass(frozen=True, slots=True, kw_only=True)
class RankEnd:
    """The end of one rank."""

    rank: int
    host: str
    start: int
    """Number of the start of all ranks, from 1."""
    code: int
    """Its exit code, negative for a signal."""
    reasons: list[str]
    """Lines that state why."""
    output: str
    """What it printed on stdout."""

    @property
    def is_final(self) -> bool:
        """Whether another start would end alike: it is done, or met an error of ours."""
        return self.code >= 0 and self.code != RESTART

    def __str__(self) -> str:
        how = f"was killed by signal {-self.code}" if self.code < 0 else "ended in an error"
        return f"rank {self.rank} on {self.host} {how}"


class RankJob:
    """What ranks and driver tell each other; an actor of Ray."""

    def __init__(self) -> None:
        self._starts = 0
        self._is_stopping = False
        self._lines: list[str] = []
        self._ends: list[RankEnd] = []

    def begin(self) -> int:
        """Returns the number of this start of all ranks."""
        self._starts += 1
        return self._starts

    def stop(self) -> None:
        """Requests all ranks to save and to stop."""
        self._is_stopping = True

    def end(self, end: RankEnd) -> None:
        """Records how a rank ended."""
        self._ends.append(end)

    def exchange(self, start: int, lines: Sequence[str]) -> tuple[bool, int]:
        """Takes lines of a rank; returns whether it should stop, and the exit code that ends the
        job, 0 if no rank of this start had one."""
        self._lines += lines
        cause = cause_of_end(self._ends, start)
        return self._is_stopping, cause.code if cause else 0

    def take(self) -> tuple[int, list[str], list[RankEnd]]:
        """Returns the number of starts, the lines since the last call, and all ends."""
        lines, self._lines = self._lines, []
        return self._starts, lines, list(self._ends)


def cause_of_end(ends: Sequence[RankEnd], start: int) -> RankEnd | None:
    """The rank whose error ends the job: the first one; where all were interrupted, the main rank,
    which reports for all."""
    found = [one for one in ends if one.start == start and one.is_final and one.code]
    interrupted = InterruptedBuildError.exit_code
    own = [one for one in found if one.code != interrupted]
    return (own + sorted(found, key=lambda one: one.rank) + [None])[0]


def cause_of_restart(ends: Sequence[RankEnd], start: int) -> RankEnd | None:
    """The rank whose loss ended a start: the first one that was killed, else the first one that
    met an error, since the loss of a rank is an error in the collectives of the others."""
    found = [one for one in ends if one.start == start and not one.is_final]
    return ([one for one in found if one.code < 0] + found + [None])[0]
