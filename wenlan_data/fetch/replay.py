"""Checks recorded images again, without a request: the fetch step of `build --from`."""

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.fetch.jpeg_store import JpegStoreWriter
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.fetch.results import (
    FetchResult,
    fetch_receipt,
    read_fetch_list,
    read_results,
    write_results,
)
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import FETCH_RESULTS, IMAGE_WARC, STORED_JPEGS
from wenlan_data.protocols import Receipt
from wenlan_data.reasons import Reason
from wenlan_data.recipe import ShardRules
from wenlan_data.records import Drop
from wenlan_data.sandbox.client import check_images, confinement_in_use
from wenlan_data.web.warc import payload_at

NOT_RECORDED = Drop(Reason.NOT_RECORDED)
_TIME_REASONS = frozenset({Reason.DECODER_TIMEOUT, Reason.DECODING_BUDGET})
"""Decided by processor time, which differs from run to run: once, when the image was fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPart:
    """Writes the same files as `FetchPart`; `images.warc` is a link to the old one, or a copy."""

    fetch_list: str
    """Path, see `tables.WANTED`."""
    results: tuple[str, ...] = ()
    """`facts.parquet` files whose offsets refer to `warc`."""
    warc: str = ""
    """The old `images.warc`; empty where nothing of the fetch list was recorded."""
    image: ImageRules
    jpeg_quality: int = ShardRules().jpeg_quality

    def __call__(self, out: Path) -> Receipt[FetchDetails]:
        """Checks all rows.

        Raises `DamageError` where the old WARC does not match the old results.
        """
        rows = read_fetch_list(self.fetch_list)
        recorded = read_results(self.results)
        path = out / IMAGE_WARC
        bytes_out = _link(self.warc, path)
        with (
            os_errors(path),
            path.open("rb") as file,
            JpegStoreWriter(out / STORED_JPEGS) as jpegs,
        ):
            results = [self._check(recorded.get(row.url_key), file, jpegs) for row in rows]
            bytes_out += jpegs.size_bytes
        write_results(out / FETCH_RESULTS, rows, results)
        return fetch_receipt(results, bytes_out, FetchDetails(sandbox=confinement_in_use()))

    def _check(
        self, old: FetchResult | None, file: BinaryIO, jpegs: JpegStoreWriter
    ) -> FetchResult:
        if old is None:
            return FetchResult(found=NOT_RECORDED)
        dropped_for_time = isinstance(old.found, Drop) and old.found.reason in _TIME_REASONS
        if old.warc_offset < 0 or dropped_for_time:
            return old
        payload = payload_at(file, old.warc_offset, old.bytes, Path(self.warc))
        if hashlib.sha256(payload).hexdigest() != old.sha256:
            where = f"{self.warc}: at byte {old.warc_offset}"
            raise DamageError(
                f"{where}: the image is not the one whose hash was recorded: restore the file"
            )
        (examined,) = check_images(
            [payload], [old.sha256], self.image, self.jpeg_quality, accepted=True
        )
        return replace(old, found=examined.found, jpeg_location=jpegs.add(examined.jpeg))


def _link(warc: str, path: Path) -> int:
    """Links or copies the old WARC to `path`, or makes an empty file there; returns its size in
    bytes."""
    with os_errors(warc):
        if not warc:
            path.touch()
        else:
            try:
                os.link(warc, path)
            except OSError:
                # Another file system, or one without links; any other fault makes the copy fail
                # too.
                shutil.copyfile(warc, path)
        return path.stat().st_size
