"""Judges a recorded slice anew, without a request: the fetch step of `build --from`."""

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.fetch.jpeg_store import ENCODED, EncodedWriter
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.fetch.results import Outcome, read_outcomes, read_wanted, receipt_of, write_facts
from wenlan_data.image.rules import ImageRules
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import ShardRules
from wenlan_data.records import Drop
from wenlan_data.sandbox.client import check_images
from wenlan_data.web.warc import payload_at

NOT_RECORDED = Drop("not_recorded", retryable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPart:
    """Writes the same files as `FetchPart`, `images.warc` being the old one (linked, or copied)."""

    wanted: str
    """Path of the slice, see `tables.WANTED`."""
    facts: tuple[str, ...] = ()
    """Facts whose offsets lie in `warc`."""
    warc: str = ""
    """The old `images.warc`; empty where nothing of the slice was recorded."""
    image: ImageRules
    jpeg_quality: int = ShardRules().jpeg_quality

    def __call__(self, out: Path) -> Receipt[FetchDetails]:
        """Judge. Raises `DamageError` where the old WARC is not what the old facts say."""
        rows = read_wanted(self.wanted)
        recorded = read_outcomes(self.facts)
        path = out / "images.warc"
        bytes_out = _link(self.warc, path)
        with os_errors(path), path.open("rb") as file, EncodedWriter(out / ENCODED) as encoded:
            outcomes = [self._judged(recorded.get(row.url_key), file, encoded) for row in rows]
            bytes_out += encoded.size_bytes
        write_facts(out / "facts.parquet", rows, outcomes)
        missing = sum(1 for one in outcomes if one.found == NOT_RECORDED)
        details: dict[str, object] = {
            "hosts": {},
            "asked": 0,
            "retryable_failed": 0,
            "not_recorded": missing,
        }
        return receipt_of(outcomes, bytes_out, details)

    def _judged(self, old: Outcome | None, file: BinaryIO, encoded: EncodedWriter) -> Outcome:
        if old is None:
            return Outcome(found=NOT_RECORDED)
        if old.warc_offset < 0:
            return old
        payload = payload_at(file, old.warc_offset, old.bytes, Path(self.warc))
        if hashlib.sha256(payload).hexdigest() != old.sha256:
            where = f"{self.warc}: at byte {old.warc_offset}"
            raise DamageError(
                f"{where}: the picture is not the one whose hash was recorded: restore the file"
            )
        (answer,) = check_images([payload], [old.sha256], self.image, self.jpeg_quality)
        found, jpeg = (answer, b"") if isinstance(answer, Drop) else answer
        return replace(old, found=found, encoded=encoded.add(jpeg))


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
