"""What a person sees while a build runs: bars on a terminal, one line a step elsewhere. All of it on stderr."""

import sys
import time
from collections import Counter
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

from wenlan_data.errors import print_line
from wenlan_data.protocols import Receipt

NAME_WIDTH = 22
"""Of `extract (generation 0)`, the longest step."""


class Reporter(Protocol):
    """Told of steps and parts."""

    def begin(self, where: str, step: str, parts: int) -> None:
        """A step begins, with so many parts; `where` such as `generation 0`."""

    def part(self, number: int, receipt: Receipt) -> None:
        """A part of the step that runs is committed."""

    def part_before(self, number: int, receipt: Receipt) -> None:
        """An earlier run had committed a part of the step that runs."""

    def end(self) -> None:
        """The step is over."""

    def close(self) -> None:
        """The build is over, well or not."""

    def say(self, line: str) -> None:
        """Something that the operator should read."""


class _Tally:
    """Rows and drops of the step that runs, as one short text."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.rows = self.rows_before = 0
        self.is_running = False
        self.drops: Counter[str] = Counter()

    def add(self, receipt: Receipt) -> None:
        self.rows += receipt.rows_in
        self.is_running = True
        self.drops.update(receipt.drops)

    def add_before(self, receipt: Receipt) -> None:
        self.rows += receipt.rows_in
        self.rows_before += receipt.rows_in
        self.drops.update(receipt.drops)

    def text(self) -> str:
        """The rate is that of this run; a step that an earlier run has done has none."""
        rate = (self.rows - self.rows_before) / max(time.monotonic() - self.started, 1e-3)
        speed = f"{rate:.0f}/s" if self.is_running or not self.rows else "done before"
        dropped = ", ".join(f"{reason} {count}" for reason, count in self.drops.most_common(3))
        return f"{self.rows} rows, {speed}" + (f", dropped: {dropped}" if dropped else "")


class TerminalReporter:
    """A live bar for the step that runs, below a line for each that is over: only so much fits a screen."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn(f"{{task.description:<{NAME_WIDTH}}}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[tally]}"),
            console=console,
        )
        self._task: TaskID | None = None
        self._started = False
        self._name, self._parts = "", 0
        self._tally = _Tally()

    def begin(self, where: str, step: str, parts: int) -> None:
        """Show a new bar."""
        self._tally = _Tally()
        if not self._started:
            self._progress.start()
            self._started = True
        self._name, self._parts = f"{step} ({where})", parts
        self._task = self._progress.add_task(self._name, total=parts, tally="")

    def part(self, number: int, receipt: Receipt) -> None:  # noqa: ARG002 - the role names it
        """Move the bar."""
        self._tally.add(receipt)
        self._advance()

    def part_before(self, number: int, receipt: Receipt) -> None:  # noqa: ARG002 - the role names it
        """Move the bar."""
        self._tally.add_before(receipt)
        self._advance()

    def _advance(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, advance=1, tally=self._tally.text())

    def end(self) -> None:
        """Leave a line in the place of the bar; none where there was nothing to do."""
        if self._task is None:
            return
        self._progress.remove_task(self._task)
        self._task = None
        if self._parts:
            parts = f"{self._parts:>5} {'part ' if self._parts == 1 else 'parts'}"
            self.say(f"{self._name:<{NAME_WIDTH}} {parts}  {self._tally.text()}")

    def close(self) -> None:
        """Give the terminal back."""
        if self._started:
            self._progress.stop()

    def say(self, line: str) -> None:
        """Print above the bar, with nothing in it interpreted."""
        self._progress.console.print(line, markup=False, highlight=False)


class PlainReporter:
    """One line when a step ends; for logs and pipes."""

    def __init__(self) -> None:
        self._tally = _Tally()
        self._name = ""

    def begin(self, where: str, step: str, parts: int) -> None:
        """Remember what runs."""
        self._tally = _Tally()
        self._name = f"{where}: {step}, {parts} part{'' if parts == 1 else 's'}" if parts else ""

    def part(self, number: int, receipt: Receipt) -> None:  # noqa: ARG002 - the role names it
        """Count."""
        self._tally.add(receipt)

    def part_before(self, number: int, receipt: Receipt) -> None:  # noqa: ARG002 - the role names it
        """Count."""
        self._tally.add_before(receipt)

    def end(self) -> None:
        """Write the line, once; none where there was nothing to do."""
        if self._name:
            self.say(f"{self._name}: {self._tally.text()}")
            self._name = ""

    def close(self) -> None:
        """Nothing is held."""

    def say(self, line: str) -> None:
        """Write one line to stderr."""
        print_line(line)


def reporter() -> Reporter:
    """Bars where stderr is a terminal, lines elsewhere."""
    return TerminalReporter() if sys.stderr.isatty() else PlainReporter()
