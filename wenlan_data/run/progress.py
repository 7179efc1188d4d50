"""Progress of a build on stderr: bars on a terminal, one line a step elsewhere."""

import sys
import time
from collections import Counter
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from wenlan_data.crawl.receipts import CrawlDetails
from wenlan_data.errors import print_line
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.printable import printable
from wenlan_data.protocols import Receipt

WHERE_WIDTH = 40
"""Characters of a round and its source on a terminal."""
NAME_WIDTH = 22
"""Characters of `extract (generation 0)`, the longest name."""


class Reporter(Protocol):
    """Receives the progress of a build."""

    def begin(self, where: str, step: str, parts: int) -> None:
        """Begins a step of so many parts; `where` is a text such as `generation 0`, or names the
        round and the source of a crawl."""

    def part(self, number: int, receipt: Receipt[object]) -> None:
        """Records that a part of the current step was committed."""

    def part_restored(self, number: int, receipt: Receipt[object]) -> None:
        """Records that an earlier run had committed a part of the current step."""

    def end(self) -> None:
        """Ends the current step."""

    def close(self) -> None:
        """Ends the display, whether or not the build succeeded."""

    def log(self, line: str) -> None:
        """Prints a line that the operator should read."""


_UNITS = {
    "crawl": "pages",
    "extract": "candidates",
    "slice": "candidates",
    "fetch": "images",
    "against": "benchmark images",
    "near": "hash codes",
    "dedupe": "candidates",
    "shard": "samples",
    "drops": "drops",
}
"""What the rows of a step are."""


class _StepCounts:
    """Rows, hosts and drops of the current step, as one short text."""

    def __init__(self, step: str = "", parts: int = 0) -> None:
        self.started = time.monotonic()
        self.rows = self.rows_restored = 0
        self.parts, self.parts_done, self.parts_restored = parts, 0, 0
        self.is_running = False
        self.drops: Counter[str] = Counter()
        self._unit = _UNITS.get(step, "rows")
        self._hosts: set[str] = set()

    def add(self, receipt: Receipt[object]) -> None:
        self.is_running = True
        self._count(receipt)

    def add_restored(self, receipt: Receipt[object]) -> None:
        self.rows_restored += receipt.rows_in
        self.parts_restored += 1
        self._count(receipt)

    def _count(self, receipt: Receipt[object]) -> None:
        self.rows += receipt.rows_in
        self.parts_done += 1
        self.drops.update(receipt.drops)
        if isinstance(receipt.details, FetchDetails | CrawlDetails):
            self._hosts.update(receipt.details.hosts)

    def time_left(self) -> str:
        """Returns the time that the remaining parts take at the rate of this run; empty where it is
        unknown."""
        done, left = self.parts_done - self.parts_restored, self.parts - self.parts_done
        if not done or not left:
            return ""
        seconds = round((time.monotonic() - self.started) * left / done)
        return f"about {timedelta(seconds=seconds)} left"

    def text(self) -> str:
        """Returns the text. The rate is of this run; a step that an earlier run finished has
        none."""
        # Restored rows took no time in this run, and would make the rate meaningless.
        rate = (self.rows - self.rows_restored) / max(time.monotonic() - self.started, 1e-3)
        speed = f"{rate:.0f}/s" if self.is_running or not self.rows else "done before"
        dropped = ", ".join(f"{reason} {count}" for reason, count in self.drops.most_common(3))
        hosts = f", {len(self._hosts)} host{'s' * (len(self._hosts) != 1)}" if self._hosts else ""
        # A rule of another package names its own reasons.
        return printable(
            f"{self.rows} {self._unit}, {speed}{hosts}"
            + (f", dropped: {dropped}" if dropped else "")
        )


class TerminalReporter:
    """A live bar for the current step below one line for each finished step, so that all fits a
    screen."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            console=console,
        )
        self._task: TaskID | None = None
        self._started = False
        self._name, self._parts = "", 0
        self._counts = _StepCounts()

    def begin(self, where: str, step: str, parts: int) -> None:
        """Shows a new bar."""
        self._counts = _StepCounts(step, parts)
        if not self._started:
            self._progress.start()
            self._started = True
        # A screen is narrower than a log: a long source is cut.
        shown = where if len(where) <= WHERE_WIDTH else f"{where[:WHERE_WIDTH]}..."
        self._name, self._parts = f"{step} ({shown})", parts
        self._task = self._progress.add_task(self._name, total=parts, counts="")

    def part(self, number: int, receipt: Receipt[object]) -> None:  # noqa: ARG002 - the role names it
        """Advances the bar."""
        self._counts.add(receipt)
        self._advance()

    def part_restored(self, number: int, receipt: Receipt[object]) -> None:  # noqa: ARG002 - the role names it
        """Advances the bar."""
        self._counts.add_restored(receipt)
        self._advance()

    def _advance(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, advance=1, counts=self._counts.text())

    def end(self) -> None:
        """Replaces the bar by a line; by nothing where there was nothing to do."""
        if self._task is None:
            return
        self._progress.remove_task(self._task)
        self._task = None
        if self._parts:
            parts = f"{self._parts:>5} {'part ' if self._parts == 1 else 'parts'}"
            self.log(f"{self._name:<{NAME_WIDTH}} {parts}  {self._counts.text()}")

    def close(self) -> None:
        """Releases the terminal."""
        if self._started:
            self._progress.stop()

    def log(self, line: str) -> None:
        """Prints above the bar, without interpreting markup."""
        self._progress.console.print(printable(line), markup=False, highlight=False)


class PlainReporter:
    """One line when a step ends, and one a minute while it runs; for logs and pipes."""

    def __init__(self, interval_s: float = 60) -> None:
        self._counts = _StepCounts()
        self._name = ""
        self._interval_s = interval_s
        self._next_line_s = 0.0

    def begin(self, where: str, step: str, parts: int) -> None:
        """Remembers the name of the step."""
        self._counts = _StepCounts(step, parts)
        self._name = f"{where}: {step}, {parts} part{'' if parts == 1 else 's'}" if parts else ""
        self._next_line_s = self._counts.started + self._interval_s

    def part(self, number: int, receipt: Receipt[object]) -> None:  # noqa: ARG002 - the role names it
        """Counts the part."""
        counts = self._counts
        counts.add(receipt)
        if time.monotonic() >= self._next_line_s and (left := counts.time_left()):
            self._next_line_s = time.monotonic() + self._interval_s
            self.log(f"{self._name}, {counts.parts_done} done: {counts.text()}, {left}")

    def part_restored(self, number: int, receipt: Receipt[object]) -> None:  # noqa: ARG002 - the role names it
        """Counts the part."""
        self._counts.add_restored(receipt)

    def end(self) -> None:
        """Writes the line; none where there was nothing to do."""
        if self._name:
            self.log(f"{self._name}: {self._counts.text()}")
            self._name = ""

    def close(self) -> None:
        """Does nothing."""

    def log(self, line: str) -> None:
        """Writes one line to stderr."""
        print_line(line)


def reporter() -> Reporter:
    """Returns bars where stderr is a terminal, lines elsewhere."""
    return TerminalReporter() if sys.stderr.isatty() else PlainReporter()
