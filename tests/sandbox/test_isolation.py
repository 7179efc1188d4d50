"""A thousand images, five of them hostile to the decoder: five are dropped, and nothing else
changes."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fetch.fetch_list_rows import Row, part_for, run
from tests.sandbox.test_client import HOSTILE
from wenlan_data.extract.data_uris import data_uri_images
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.fetch.results import EPOCH
from wenlan_data.protocols import Receipt
from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox import limits, process
from wenlan_data.testing import make_image
from wenlan_data.web.warc import PayloadWriter

WORST = {100: "segv", 300: "abort", 500: "exit", 700: "leak", 900: "hang"}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A sandbox process that does what the last bytes of an image name."""
    script = tmp_path / "hostile.py"
    script.write_text(HOSTILE)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    monkeypatch.setattr(limits, "POLL_S", 0.1)
    yield
    sandbox.close_all()


def _fetch(folder: Path, numbers: list[int]) -> tuple[list[Row], Receipt[FetchDetails]]:
    folder.mkdir()
    small = make_image(1, width=100, height=100)
    rows: list[Row] = []
    for number in numbers:
        path = folder / f"{number}.jpg"
        path.write_bytes(
            small + b"%06d" % number + WORST.get(number, "fine").encode().rjust(8, b"_")
        )
        rows.append(
            {"url": f"{number}.jpg", "supply": "file", "supply_path": str(path), "host": ""}
        )
    return run(part_for(folder, rows, {}), folder)


@pytest.mark.usefixtures("hostile")
def test_hostile_images_are_dropped_and_the_others_are_unchanged(
    tmp_path: Path,
) -> None:
    rows, receipt = _fetch(tmp_path / "with", list(range(1000)))
    assert receipt.rows_out == 995
    assert {
        int(str(row["url"]).partition(".")[0]): row["detail"] for row in rows if row["reason"]
    } == {
        100: "SIGSEGV",
        300: "SIGABRT",
        500: "exit 5",
        700: "out of memory",
        900: "asleep",
    }
    good = [number for number in range(1000) if number not in WORST]
    without, _ = _fetch(tmp_path / "without", good)
    names = ("url", "sha256", "bytes", "format", "width", "height", "phash", "pdq", "colours")
    kept = [{name: row[name] for name in names} for row in rows if not row["reason"]]
    assert kept == [{name: row[name] for name in names} for row in without]
    assert pq.read_metadata(tmp_path / "with/out/facts.parquet").num_rows == 1000


KILLED_BY_PAGES = """
import os
from wenlan_data.sandbox import worker

real = worker.HANDLERS[worker.INLINE_IMAGES]

def hostile_extract(options, data):
    if b"segv" in data: os.kill(os.getpid(), 11)
    return real(options, data)

worker.HANDLERS[worker.INLINE_IMAGES] = hostile_extract
worker.main()
"""


def test_a_page_that_kills_its_parser_loses_its_inline_images_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "hostile.py"
    script.write_text(KILLED_BY_PAGES)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    inside = base64.b64encode(make_image(3)).decode()
    html = f'<img src="data:image/jpeg;base64,{inside}">'
    [one] = data_uri_images(html)
    rows: list[Row] = []
    with PayloadWriter(tmp_path / "pages.warc") as warc:
        for page in (html, html + "<!-- segv -->", "<p>no image"):
            at = warc.size_bytes
            headers = (("Content-Type", "text/html"),)
            body = page.encode()
            warc.response(
                "http://a.cn/", body, status="200 OK", headers=headers, sha256="", ip="", date=EPOCH
            )
            rows.append(
                {"url": one.name, "supply": "inline", "supply_path": str(tmp_path / "pages.warc")}
            )
            rows[-1] |= {"supply_offset": at, "host": ""}
    found, _ = run(part_for(tmp_path, rows, {}), tmp_path)
    sandbox.close_all()
    assert [(row["reason"], row["detail"]) for row in found] == [
        ("", ""),
        ("decoder_crash", "SIGSEGV"),
        ("missing_file", "not inside its page any more"),
    ]
