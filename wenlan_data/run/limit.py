"""What is left of `--limit`, also for a build that was stopped and is gone on with."""

import json
from pathlib import Path

from wenlan_data.run.ledger import write_synced


class RowLimit:
    """Counts the rows that each generation of one build plans to read, in a file beside the generations."""

    def __init__(self, work: Path, rows: int | None) -> None:
        self._path = work / "limit.json"
        self._limit = rows
        kept = json.loads(self._path.read_text("utf-8")) if self._path.is_file() else {"limit": None, "rows": {}}
        self._rows: dict[str, int] = kept["rows"] if kept["limit"] == rows else {}

    def left_before(self, generation: int) -> int | None:
        """How many rows this generation and those after it may read; None for any number."""
        if self._limit is None:
            return None
        return max(0, self._limit - sum(rows for number, rows in self._rows.items() if int(number) < generation))

    def note(self, generation: int, rows: int) -> None:
        """A generation is about to be planned that reads so many rows."""
        if self._limit is None:
            return
        self._rows[str(generation)] = rows
        temporary = self._path.with_name(".limit.tmp")
        write_synced(temporary, json.dumps({"limit": self._limit, "rows": self._rows}).encode())
        temporary.replace(self._path)

    def end(self) -> None:
        """The build has come to its end: the next one counts from the beginning."""
        self._path.unlink(missing_ok=True)
