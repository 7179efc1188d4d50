"""A build that is killed at any call that changes a file, or whose call fails once, is resumed to
the bytes of an undisturbed one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builds.corpus_runs import photographs, sources_file, table
from tests.thorough import amount
from wenlan_data.testing import CannedResponse, Site, make_image

_STRIDE = amount(24, 1)
"""Every how many points the slow tests try."""


def _words(folder: Path, site: Site) -> list[str]:
    rows = photographs(site, range(10))
    site.responses["/3.jpg"] = CannedResponse(make_image(3, kind="PNG"))
    rows.append((site.url("/missing.jpg"), "已经不在的图片说明"))
    table(folder / "a.parquet", rows, row_group_size=6)
    sources = sources_file(folder / "s.yaml", site, [{"kind": "table", "path": "a.parquet"}])
    return [
        "build", "--sources", str(sources), "--out", "{out}", "--workers", "1",
        "--executor", "local",
        "--set", "shard.max_samples=6",
    ]  # fmt: skip


def _outcomes(
    folder: Path, words: list[str], points: list[int], fault: str, golden: str
) -> list[dict[str, object]]:
    request = {
        "words": words, "folder": str(folder), "golden": golden, "points": points, "fault": fault,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.builds.crash_points"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        timeout=3000,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _golden(folder: Path, words: list[str]) -> tuple[str, int]:
    """Returns the corpus of an undisturbed build, and the number of its points."""
    (outcome,) = _outcomes(folder, words, [0], "kill", "")
    assert outcome["first"] == 0, outcome
    return str(folder / "kill-0"), int(str(outcome["calls"]))


def _sound(outcome: dict[str, object]) -> bool:
    return outcome["again"] == 0 and bool(outcome["equal"]) and not outcome["attempts"]


def test_a_build_killed_at_sampled_calls_resumes_to_the_same_bytes(
    tmp_path: Path, site: Site
) -> None:
    words = _words(tmp_path, site)
    golden, calls = _golden(tmp_path, words)
    assert calls > 100, calls
    points = list(range(7, calls, max(1, calls // 6)))
    for outcome in _outcomes(tmp_path, words, points, "kill", golden):
        assert outcome["first"] == -9, outcome
        assert _sound(outcome), outcome


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_build_killed_at_any_call_resumes_to_the_same_bytes(tmp_path: Path, site: Site) -> None:
    words = _words(tmp_path, site)
    golden, calls = _golden(tmp_path, words)
    outcomes = _outcomes(tmp_path, words, list(range(1, calls + 1, _STRIDE)), "kill", golden)
    assert [one for one in outcomes if not _sound(one)] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "EMFILE"])
def test_a_call_that_fails_once_loses_nothing(tmp_path: Path, site: Site, fault: str) -> None:
    words = _words(tmp_path, site)
    golden, calls = _golden(tmp_path, words)
    # Another phase for each fault, so that together they try more points.
    start = 1 + ["EIO", "ENOSPC", "EMFILE"].index(fault) * _STRIDE // 3
    points = list(range(start, calls + 1, _STRIDE))
    outcomes = _outcomes(tmp_path, words, points, fault, golden)
    assert [one for one in outcomes if not _sound(one)] == []
    allowed = {0, 1, 3}
    assert [one for one in outcomes if one["first"] not in allowed] == []
    assert [one for one in outcomes if "Traceback" in str(one["message"])] == []
