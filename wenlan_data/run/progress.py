"""What a person sees while a build runs: bars on a terminal, one line a step elsewhere. All of it on stderr."""

import sys
import time
from collections import Counter
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from wenlan_data.protocols import Receipt


class Reporter(Protocol):
    """Told of steps and parts."""

    def begin(self, generation: int, step: str, parts: int) -> None:
        """A step begins, with so many parts."""

    def part(self, number: int, receipt: Receipt) -> None:
        """A part of the step that runs is committed."""

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
        self.rows = 0
        self.drops: Counter[str] = Counter()

    def add(self, receipt: Receipt) -> None:
        self.rows += receipt.rows_in
        self.drops.update(receipt.drops)

    def text(self) -> str:
        rate = self.rows / max(time.monotonic() - self.started, 1e-3)
        dropped = ", ".join(f"{reason} {count}" for reason, count in self.drops.most_common(3))
        return f"{self.rows} rows, {rate:.0f}/s" + (f", dropped: {dropped}" if dropped else "")


class TerminalReporter:
    """A live bar for the step that runs."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[tally]}"),
            console=console,
        )
        self._task: TaskID | None = None
        self._started = False
        self._tally = _Tally()

    def begin(self, generation: int, step: str, parts: int) -> None:
        """Show a new bar."""
        self._tally = _Tally()
        if not self._started:
            self._progress.start()
            self._started = True
        self._task = self._progress.add_task(f"{step} (gen. {generation})", total=parts, tally="")

    def part(self, number: int, receipt: Receipt) -> None:  # noqa: ARG002 - the role names it
        """Move the bar."""
        self._tally.add(receipt)
        if self._task is not None:
            self._progress.update(self._task, advance=1, tally=self._tally.text())

    def end(self) -> None:
        """Leave the bar as it is."""

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

    def begin(self, generation: int, step: str, parts: int) -> None:
        """Remember what runs."""
        self._tally = _Tally()
        self._name = f"generation {generation}: {step}, {parts} parts"

    def part(self, number: int, receipt: Receipt) -> None:  # noqa: ARG002 - the role names it
        """Count."""
        self._tally.add(receipt)

    def end(self) -> None:
        """Write the line, once."""
        if self._name:
            self.say(f"{self._name}: {self._tally.text()}")
            self._name = ""

    def close(self) -> None:
        """Nothing is held."""

    def say(self, line: str) -> None:
        """Write one line to stderr."""
        sys.stderr.write(line + "\n")


def reporter() -> Reporter:
    """Bars where stderr is a terminal, lines elsewhere."""
    return TerminalReporter() if sys.stderr.isatty() else PlainReporter()
