"""Rows still allowed by `--limit`. Survives a restart."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wenlan_data.state_files import load_state, save_state


@dataclass(frozen=True, slots=True, kw_only=True)
class _CountedRows:
    """Content of the file."""

    build: str
    """Digest of the limit and the sources that it counts for."""
    rows: dict[int, int]
    """Generation to the rows that it plans to read."""
    nothing_new: int


class RowLimit:
    """Counts the rows that each generation of one build plans to read, in the file `path`.

    The file counts for the same limit on the same sources, until the build ends.
    """

    def __init__(
        self, path: Path, rows: int | None, sources: Sequence[Mapping[str, object]]
    ) -> None:
        self._path = path
        self._limit = rows
        # Another limit or other sources are another build, which counts from 0.
        listed = json.dumps([rows, *sources], sort_keys=True, default=str)
        self._build = hashlib.sha256(listed.encode()).hexdigest()
        self._rows: dict[int, int] = {}
        self._nothing_new = 0
        remedy = "remove the file, and --limit counts from 0"
        saved = load_state(path, _CountedRows, remedy)
        if saved and saved.build == self._build:
            self._rows, self._nothing_new = saved.rows, saved.nothing_new

    def left_before(self, generation: int) -> int | None:
        """Returns how many rows this generation and later ones may read; None for any number."""
        if self._limit is None:
            return None
        # This generation's own entry is ignored: a build killed before it saved the plan left it.
        earlier = sum(rows for number, rows in self._rows.items() if number < generation)
        return max(0, self._limit - earlier - self._nothing_new)

    def record(self, generation: int, rows: int) -> None:
        """Records, before its plan is saved, that a generation reads so many rows."""
        self._rows[generation] = rows
        self._save()

    def record_nothing_new(self, generation: int) -> None:
        """Records that a generation held no new row; the next plan takes its number."""
        # Popped, so that a resumed build which repeats this call counts the rows once.
        self._nothing_new += self._rows.pop(generation, 0)
        self._save()

    def end(self) -> None:
        """Ends the build: the next one counts from 0."""
        self._path.unlink(missing_ok=True)

    def _save(self) -> None:
        if self._limit is None:
            return
        save_state(
            self._path,
            {"build": self._build, "rows": self._rows, "nothing_new": self._nothing_new},
        )
