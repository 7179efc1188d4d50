import subprocess
import sys
from pathlib import Path

import pytest

from wenlan_data.errors import DamageError, UsageError
from wenlan_data.extract.step import ExtractDetails
from wenlan_data.part_files import FileChecksum, checked
from wenlan_data.protocols import Receipt
from wenlan_data.run.executors.local import run_part
from wenlan_data.run.ledger import Ledger

RECEIPT = Receipt(rows_in=3, rows_out=2, drops={"too_small": 1}, details=ExtractDetails(known=4))


def _attempt(ledger: Ledger, text: str) -> Path:
    attempt = ledger.attempt()
    attempt.mkdir()
    (attempt / "data").write_text(text)
    return attempt


def test_a_part_is_there_once_it_is_committed(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        assert ledger.receipt(0, "fetch", 7, ExtractDetails) is None
        ledger.commit(_attempt(ledger, "images"), RECEIPT, 0, "fetch", 7)
        assert ledger.receipt(0, "fetch", 7, ExtractDetails) == RECEIPT
        assert (ledger.part(0, "fetch", 7) / "data").read_text() == "images"


def test_a_late_writer_cannot_replace_what_is_committed(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        first, late = _attempt(ledger, "first"), _attempt(ledger, "late")
        ledger.commit(first, RECEIPT, 0, "fetch", 0)
        with pytest.raises(OSError, match="not empty"):
            ledger.commit(late, RECEIPT, 0, "fetch", 0)
        assert (ledger.part(0, "fetch", 0) / "data").read_text() == "first"


def test_attempts_of_a_killed_build_are_removed_after_the_next_start(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ledger:
        pass
    stray = _attempt(ledger, "half")
    assert stray.exists()
    with Ledger(tmp_path):
        assert not stray.exists()


def test_attempts_that_its_workers_began_late_are_removed_when_the_next_build_ends(
    tmp_path: Path,
) -> None:
    with Ledger(tmp_path) as ledger:
        stray = _attempt(ledger, "late")
    assert not stray.exists()


def test_a_second_build_on_one_output_is_refused(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from wenlan_data.run.ledger import Ledger\n"
        f"with Ledger(Path({str(tmp_path)!r})): pass"
    )
    with Ledger(tmp_path):
        second = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
    assert "another build (process" in second.stderr
    with Ledger(tmp_path), pytest.raises(UsageError, match="another build"), Ledger(tmp_path):
        pass


def test_a_corrupt_receipt_is_named(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.commit(_attempt(ledger, ""), RECEIPT, 0, "fetch", 0)
        (ledger.part(0, "fetch", 0) / "receipt.json").write_text("{")
        with pytest.raises(DamageError, match=r"receipt\.json"):
            ledger.receipt(0, "fetch", 0, ExtractDetails)


def test_a_part_that_lost_its_receipt_is_named_before_it_runs_again(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        folder = ledger.commit(_attempt(ledger, ""), RECEIPT, 0, "fetch", 0)
        (folder / "receipt.json").unlink()
        with pytest.raises(DamageError, match=f"receipt.json: is missing: .*remove {folder}"):
            ledger.receipt(0, "fetch", 0, ExtractDetails)


def test_a_work_folder_that_a_node_does_not_see_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot see this folder: every node must reach"):
        run_part(lambda _: RECEIPT, tmp_path / "unseen" / "attempts" / "1")
    # The node has a folder of its own under that path: nothing arrives here.
    with Ledger(tmp_path) as ledger, pytest.raises(UsageError, match="every node must reach"):
        ledger.commit(ledger.attempt(), RECEIPT, 0, "fetch", 0)


def test_a_receipt_states_the_files_of_its_part(tmp_path: Path) -> None:
    def part(out: Path) -> Receipt[ExtractDetails]:
        (out / "index").mkdir()
        (out / "index" / "a.npy").write_bytes(b"123456789")
        (out / "images.warc").write_bytes(b"12345")
        return RECEIPT

    with Ledger(tmp_path) as ledger:
        attempt = ledger.attempt()
        folder = ledger.commit(attempt, run_part(part, attempt), 0, "dedupe", 0)
        found = ledger.receipt(0, "dedupe", 0, ExtractDetails)
        assert found is not None
        # The check value of CRC-32C; a WARC's images have digests of their own.
        assert found.files == {
            "images.warc": FileChecksum(5, ""),
            "index/a.npy": FileChecksum(9, "e3069283"),
        }
        assert checked(folder / "index" / "a.npy") == folder / "index" / "a.npy"
        (folder / "index" / "a.npy").write_bytes(b"123456780")
        (folder / "images.warc").write_bytes(b"1234")
        for name in found.files:
            with pytest.raises(DamageError, match=name):
                checked(folder / name)
