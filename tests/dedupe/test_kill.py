"""kill -9 of the near and dedupe steps at moments spread over their whole length, then the same again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dedupe_generations import tables

SCRIPT = """
import sys
from pathlib import Path
from wenlan_data.dedupe import bands
from wenlan_data.dedupe.part import DedupePart
from wenlan_data.recipe import DedupeRules, ImageRules, ShardRules
from wenlan_data.run.jobs import Job, Jobs
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.local import LocalExecutor

work, source, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
bands.SHARE_CODES = 5000
candidates, facts = (tuple(map(str, sorted(source.glob(f"{name}-*.parquet")))) for name in ("candidates", "facts"))
with Ledger(work) as ledger:
    executor = LocalExecutor(workers)
    parts = bands.near_parts(facts, 20_000, (), radius_bits=4, verify=True)
    run = lambda step, parts: Jobs(executor, ledger, 0, step).run(
        [Job(number=n, make=lambda _before, part=part: part) for n, part in enumerate(parts)], lambda *_: None)
    run("near", parts)
    files = bands.NearFiles(tuple(str(ledger.part(0, "near", n)) for n in range(len(parts))))
    run("dedupe", [DedupePart(generation=0, candidates=candidates, facts=facts, near=files,
        caption_order=("caption",), rules=DedupeRules(), max_same_text=10, image=ImageRules(), shard=ShardRules(),
        first_shard=0)])
    executor.close()
"""


def command(work: Path, source: Path, workers: int) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(work), str(source), str(workers)]


def result(work: Path) -> dict[str, bytes]:
    part = work / "generations" / "000000" / "dedupe" / "00000"
    return {str(path.relative_to(part)): path.read_bytes() for path in part.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_dedupe_killed_at_twenty_moments_gives_the_same_verdicts_on_any_number_of_workers(tmp_path: Path) -> None:
    tables(tmp_path / "in", 0, 20_000)
    started = time.monotonic()
    subprocess.run(command(tmp_path / "golden", tmp_path / "in", 1), check=True)
    whole_s = time.monotonic() - started
    golden = result(tmp_path / "golden")
    assert np.load(tmp_path / "golden/generations/000000/dedupe/00000/index/phash.npy").size == 19_000
    dice, cut_short, between = random.Random(6), 0, 0
    for moment in range(20):
        work, workers = tmp_path / f"w{moment}", [1, 2, 4][moment % 3]
        with subprocess.Popen(command(work, tmp_path / "in", workers), start_new_session=True) as process:
            time.sleep(whole_s * (0.3 + 0.7 * (moment + dice.random()) / 20))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                cut_short += 1
        between += (work / "generations/000000/near/00000").exists() and not result(work)
        subprocess.run(command(work, tmp_path / "in", workers), check=True)
        assert result(work) == golden
    print(f"{cut_short} of 20 killed at work, {between} of them with near committed and dedupe not")
    assert cut_short >= 10
