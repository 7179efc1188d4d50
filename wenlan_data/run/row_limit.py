"""What is left of `--limit`, also for a build that was stopped and is gone on with."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from wenlan_data.files import write_atomic


class RowLimit:
    """Counts the rows that each generation of one build plans to read, in a file beside the generations.

    The file counts for the same limit on the same sources, until the build ends.
    """

    def __init__(
        self, work: Path, rows: int | None, sources: Sequence[Mapping[str, object]]
    ) -> None:
        self._path = work / "limit.json"
        self._limit = rows
        listed = json.dumps([rows, *sources], sort_keys=True, default=str)
        self._build = hashlib.sha256(listed.encode()).hexdigest()
        self._rows: dict[str, int] = {}
        self._nothing_new = 0
        kept = json.loads(self._path.read_text("utf-8")) if self._path.is_file() else None
        if kept and kept["build"] == self._build:
            self._rows, self._nothing_new = kept["rows"], kept["nothing_new"]

    def left_before(self, generation: int) -> int | None:
        """How many rows this generation and those after it may read; None for any number."""
        if self._limit is None:
            return None
        earlier = sum(rows for number, rows in self._rows.items() if int(number) < generation)
        return max(0, self._limit - earlier - self._nothing_new)

    def note(self, generation: int, rows: int) -> None:
        """A generation is about to be planned that reads so many rows."""
        self._rows[str(generation)] = rows
        self._save()

    def set_aside(self, generation: int) -> None:
        """It brought nothing new, and the next plan has its number."""
        self._nothing_new += self._rows.pop(str(generation), 0)
        self._save()

    def end(self) -> None:
        """The build has come to its end: the next one counts from the beginning."""
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        if self._limit is None:
            return
        value = {"build": self._build, "rows": self._rows, "nothing_new": self._nothing_new}
        write_atomic(self._path, json.dumps(value).encode())
