"""kill -9 of the near and dedupe steps at moments spread over their whole length, then the same
again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dedupe.generations import tables

# Each on Ray costs two starts of it: KILLS_ON_RAY=20 goes through as many as without.
MOMENTS = {"local": 20, "ray": int(os.environ.get("KILLS_ON_RAY", "8"))}

SCRIPT = """
import sys
from pathlib import Path
from wenlan_data.dedupe import near_step
from wenlan_data.dedupe.step import DedupeDetails, DedupePart
from wenlan_data.protocols import NoDetails
from wenlan_data.recipe import DedupeRules, ShardRules
from wenlan_data.run.scheduler import Job, Scheduler
from wenlan_data.run.ledger import Ledger

work, source, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
near_step.SHARE_CODES = 5000
candidates, raw, fetch_results = (
    tuple(map(str, sorted(source.glob(f"{name}-*.parquet"))))
    for name in ("candidates", "raw", "fetch_results")
)
with Ledger(work) as ledger:
    if sys.argv[4] == "ray":
        from wenlan_data.run.executors.ray import RayExecutor
        executor = RayExecutor(workers, None)
    else:
        from wenlan_data.run.executors.local import LocalExecutor
        executor = LocalExecutor(workers)
    print("at work", flush=True)
    parts = near_step.near_parts(fetch_results, 20_000, (), radius_bits=4, verify=True)
    run = lambda step, details, parts: Scheduler(executor, ledger, 0, step, details).run(
        [Job(number=n, make=lambda _before, part=part: part) for n, part in enumerate(parts)], lambda *_: None)
    run("near", NoDetails, parts)
    files = near_step.NearFiles(tuple(str(ledger.part(0, "near", n)) for n in range(len(parts))))
    run("dedupe", DedupeDetails, [DedupePart(generation=0, candidates=candidates, raw=raw,
        fetch_results=fetch_results, near=files, caption_order=("caption",),
        rules=DedupeRules(max_site_pages=5, min_site_share=0.5), max_same_text=10, shard=ShardRules(),
        first_shard=0)])
    print("done", flush=True)
    executor.close()
"""


def command(work: Path, source: Path, workers: int, executor: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(work), str(source), str(workers), executor]


def killed(words: list[str], wait_s: float) -> None:
    """Run, and kill its process group so long after it began to work."""
    with subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        time.sleep(wait_s)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def result(work: Path) -> dict[str, bytes]:
    part = work / "generations" / "000000" / "dedupe" / "00000"
    return {
        str(path.relative_to(part)): path.read_bytes() for path in part.rglob("*") if path.is_file()
    }


def seconds_at_work(words: list[str]) -> float:
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        started = time.monotonic()
        assert process.stdout.readline() == "done\n"
        return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("executor", "moments"), MOMENTS.items())
def test_a_dedupe_killed_at_many_moments_gives_the_same_decisions_on_any_number_of_workers(
    tmp_path: Path, executor: str, moments: int
) -> None:
    tables(tmp_path / "in", 0, 20_000)
    subprocess.run(
        command(tmp_path / "golden", tmp_path / "in", 1, "local"),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    golden = result(tmp_path / "golden")
    assert (
        np.load(tmp_path / "golden/generations/000000/dedupe/00000/index/phash.npy").size == 19_000
    )
    # The shorter of two: the first may have waited for a cold disk or a busy machine.
    whole_s = min(
        seconds_at_work(command(tmp_path / name, tmp_path / "in", 2, executor))
        for name in ("one", "two")
    )
    assert result(tmp_path / "one") == result(tmp_path / "two") == golden
    dice, cut_short, between = random.Random(6), 0, 0
    for moment in range(moments):
        work, workers = tmp_path / f"w{moment}", [1, 2, 4][moment % 3]
        words = command(work, tmp_path / "in", workers, executor)
        killed(words, whole_s * 0.8 * (moment + dice.random()) / moments)
        cut_short += not result(work)
        between += (work / "generations/000000/near/00000").exists() and not result(work)
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        assert result(work) == golden
    print(
        f"{cut_short} of {moments} killed at work, {between} of them with near committed and dedupe not"
    )
    assert cut_short >= moments // 4
