"""kill -9 of the whole process group at seeded random moments, then the same command again."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds.corpus_runs import COMMAND, build, content, photographs, sources_file, table
from wenlan_data.plan import STEPS
from wenlan_data.testing import CannedResponse, Site, make_image

# No page is crawled, and no benchmark is given, so that nothing is read for `dedupe.against`.
NAMES = [step.name for step in STEPS if step.name not in {"crawl", "against"}] + ["publish"]


def _site_and_sources(folder: Path, site: Site) -> Path:
    rows = photographs(site, range(240))
    for number in range(0, 240, 5):  # these are re-encoded
        site.responses[f"/{number}.jpg"] = CannedResponse(make_image(number, kind="PNG"))
    for number in range(12):
        site.responses[f"/copy{number}.jpg"] = CannedResponse(make_image(number * 7, quality=60))
        rows.append((site.url(f"/copy{number}.jpg"), f"又一张照片里的小桥{number}"))
    rows.append((site.url("/missing.jpg"), "已经不在的图片说明"))
    table(folder / "a.parquet", rows, row_group_size=32)
    return sources_file(folder / "sources.yaml", site, [{"kind": "table", "path": "a.parquet"}])


def _words(sources: Path, out: Path, executor: str) -> list[str]:
    return [
        "--sources",
        str(sources),
        "--out",
        str(out),
        "--workers",
        "2",
        "--executor",
        executor,
        "--set",
        "shard.max_samples=50",
    ]


def _parts(out: Path) -> dict[str, int]:
    """Returns the number of committed parts of each step."""
    generation = out / ".work" / "generations" / "000000"
    return {name: len(list((generation / name).glob("[0-9]*"))) for name in NAMES[:-1]}


def _running_step(out: Path, golden: dict[str, int]) -> str:
    now = _parts(out)
    return next((name for name in NAMES[:-1] if now[name] < golden[name]), "publish")


def _kill_in(
    step: str, sources: Path, out: Path, executor: str, golden: dict[str, int], dice: random.Random
) -> str:
    """Starts a build and kills its process group a random time after the start of `step`.

    Returns the step that was running.
    """
    with subprocess.Popen(
        [*COMMAND, "build", *_words(sources, out, executor)],
        start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        plan = out / ".work" / "generations" / "000000" / "plan.json"
        while process.poll() is None and not (plan.exists() and _running_step(out, golden) == step):
            time.sleep(0.0005)
        # Some steps take milliseconds, others seconds.
        time.sleep(
            dice.uniform(
                0, 0.004 if step in {"slice", "near", "dedupe", "drops", "publish"} else 0.3
            )
        )
        hit = _running_step(out, golden)
        os.killpg(process.pid, signal.SIGKILL)
    return hit


def _remaining_processes(out: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if str(out) in words:
                found.append(words)
    return found


@pytest.mark.parametrize(
    ("executor", "moments"),
    [("local", 7), pytest.param("ray", 20, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_a_killed_build_gives_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, site: Site, executor: str, moments: int
) -> None:
    sources = _site_and_sources(tmp_path, site)
    build(*_words(sources, tmp_path / "golden", executor))
    golden, parts = content(tmp_path / "golden"), _parts(tmp_path / "golden")
    dice = random.Random(20210311)
    hits: list[str] = []
    for moment in range(moments):
        out = tmp_path / f"corpus{moment}"
        missed = [name for name in NAMES[:-1] if name not in hits]
        target = missed[0] if missed else NAMES[moment % len(NAMES)]
        hits.append(_kill_in(target, sources, out, executor, parts, dice))
        build(*_words(sources, out, executor))
        assert content(out) == golden, f"killed in {hits[-1]}"
        assert not list((out / ".work" / "attempts").iterdir())
    print(f"steps hit: {hits}")
    if executor == "ray":
        assert set(hits) >= set(NAMES[:-1]), hits
        deadline = time.monotonic() + 60
        while _remaining_processes(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert _remaining_processes(tmp_path) == []
