"""Judges a recorded slice anew, without a request: the fetch step of `build --from`."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from wenlan_data.crawl.facts import Outcome, read_outcomes, read_wanted, receipt_of, write_facts
from wenlan_data.crawl.warc import payload_at
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.image.apart import examine
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import ImageRules
from wenlan_data.records import Drop, ImageFacts

NOT_RECORDED = Drop("not_recorded", retryable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPart:
    """Writes the same two files as `FetchPart`, `images.warc` being the old one (linked, or copied)."""

    wanted: str
    """Path of the slice, see `tables.WANTED`."""
    facts: tuple[str, ...] = ()
    """Facts whose offsets lie in `warc`."""
    warc: str = ""
    """The old `images.warc`; empty where nothing of the slice was recorded."""
    image: ImageRules

    def __call__(self, out: Path) -> Receipt:
        """Judge. Raises `DamageError` where the old WARC is not what the old facts say."""
        rows = read_wanted(self.wanted)
        recorded = read_outcomes(self.facts)
        path = out / "images.warc"
        bytes_out = _link(self.warc, path)
        with os_errors(path), path.open("rb") as file:
            outcomes = [self._judged(recorded.get(row.url_key), file) for row in rows]
        write_facts(out / "facts.parquet", rows, outcomes)
        missing = sum(1 for one in outcomes if one.found == NOT_RECORDED)
        details: dict[str, object] = {"hosts": {}, "asked": 0, "retryable_failed": 0, "not_recorded": missing}
        return receipt_of(outcomes, bytes_out, details)

    def _judged(self, old: Outcome | None, file: BinaryIO) -> Outcome:
        if old is None:
            return Outcome(found=NOT_RECORDED)
        if old.warc_offset < 0:
            return old
        payload = payload_at(file, old.warc_offset, old.bytes, Path(self.warc))
        found = examine(payload, self.image)
        if isinstance(found, ImageFacts) and found.sha256 != old.sha256:
            where = f"{self.warc}: at byte {old.warc_offset}"
            raise DamageError(f"{where}: the picture is not the one whose hash was recorded: restore the file")
        return replace(old, found=found)


def _link(warc: str, path: Path) -> int:
    """Bring the old WARC to `path`; gives its size in bytes."""
    with os_errors(warc):
        if not warc:
            path.touch()
        else:
            try:
                os.link(warc, path)
            except OSError:
                # Another file system, or one without links; what else is wrong shows when the copy fails.
                shutil.copyfile(warc, path)
        return path.stat().st_size
