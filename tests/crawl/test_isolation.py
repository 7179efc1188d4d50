"""A thousand pictures of which five do their worst to the decoder: five are lost, and nothing else is different."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.crawl.slice_rows import Row, part_for, run
from tests.image.test_apart import HOSTILE
from wenlan_data.image import apart
from wenlan_data.image.limits import MAX_WALL_S
from wenlan_data.protocols import Receipt
from wenlan_data.testing import picture

WORST = {100: "segv", 300: "abort", 500: "exit", 700: "leak", 900: "hang"}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A decoding process that does what the last bytes of a picture say."""
    script = tmp_path / "hostile.py"
    script.write_text(HOSTILE)
    apart.close_all()
    monkeypatch.setattr(apart, "CHILD", (str(script),))
    yield
    apart.close_all()


def _fetch(folder: Path, numbers: list[int]) -> tuple[list[Row], Receipt]:
    folder.mkdir()
    small = picture(1, width=100, height=100)
    rows: list[Row] = []
    for number in numbers:
        path = folder / f"{number}.jpg"
        path.write_bytes(small + b"%06d" % number + WORST.get(number, "fine").encode().rjust(8, b"_"))
        rows.append({"url": f"{number}.jpg", "supply": "file", "supply_path": str(path), "host": ""})
    return run(part_for(folder, rows, {}), folder)


@pytest.mark.usefixtures("hostile")
def test_hostile_pictures_are_quarantined_and_the_others_are_as_without_them(tmp_path: Path) -> None:
    rows, receipt = _fetch(tmp_path / "with", list(range(1000)))
    assert receipt.rows_out == 995
    assert {int(str(row["url"]).partition(".")[0]): row["detail"] for row in rows if row["reason"]} == {
        100: "SIGSEGV",
        300: "SIGABRT",
        500: "exit 5",
        700: "out of memory",
        900: f"{MAX_WALL_S:g} s",
    }
    good = [number for number in range(1000) if number not in WORST]
    without, _ = _fetch(tmp_path / "without", good)
    names = ("url", "sha256", "bytes", "format", "width", "height", "phash", "pdq", "colours")
    kept = [{name: row[name] for name in names} for row in rows if not row["reason"]]
    assert kept == [{name: row[name] for name in names} for row in without]
    assert pq.read_metadata(tmp_path / "with/out/facts.parquet").num_rows == 1000
