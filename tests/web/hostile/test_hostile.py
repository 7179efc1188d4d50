"""Runs the whole hostile web, case by case and all at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.hostile.cases import Case, run_case
from tests.web.hostile.table import CASES, CLAIMED, MISSING
from tests.web.hostile.web import Web

MAX_PEAK_BYTES = 3 << 29


@pytest.mark.parametrize("case", CASES, ids=[f"hostile-{case.number}" for case in CASES])
def test_a_case_has_its_one_outcome(case: Case, tmp_path: Path) -> None:
    if case.own:
        assert case.own(tmp_path) == case.outcome
        return
    with Web() as web:
        canary = web.host({})
        run = run_case(case, web, tmp_path)
        assert run.outcomes == [case.outcome] * len(case.paths)
        if case.check:
            case.check(run)
        assert canary.connections == 0


def test_hostile_numbers_that_are_claimed_are_run_and_the_others_are_known() -> None:
    run = {case.number for case in CASES}
    assert run >= CLAIMED, f"claimed, not run: {sorted(CLAIMED - run)}"
    assert set(range(1, 147)) - run == MISSING, "list in MISSING the numbers that are not run yet"


def test_hostile_web_all_at_once_with_the_default_limits(tmp_path: Path) -> None:
    """Runs in a process of its own, so that the peak of memory is that of the worker.

    It exits with 0 if every outcome is that of the table.
    """
    script = Path(__file__).with_name("at_once.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    peak_bytes = int(done.stdout.split()[-1])
    assert peak_bytes < MAX_PEAK_BYTES
