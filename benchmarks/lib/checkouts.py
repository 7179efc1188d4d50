"""Compares two checkouts of this repository: runs a command in each, alternately, and prints the
medians and their ratio as one JSON line.

    git clone . /tmp/old && git -C /tmp/old checkout COMMIT
    python -m benchmarks.lib.checkouts /tmp/old . --runs 8 \\
        --command 'wenlan-data build --sources folder:/tmp/photos --out {out} --executor local'
    python -m benchmarks.lib.checkouts /tmp/old . --runs 8 --value requests.requests_per_s \\
        --old-command 'python -m benchmarks.crawl --queued --images 300' \\
        --command 'python -m benchmarks.crawl.throughput --queued --images 300'

Both use the Python and the libraries that run this script. Commands run inside each checkout, so
inputs have absolute paths; `{out}` is a new path in each run. `--value` names a number in the last
line that the command prints, which is JSON.
"""

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path


def main() -> None:
    """Prints one JSON line: for each figure the median of either checkout, the ratio new / old, and
    all runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--command", required=True)
    parser.add_argument("--old-command", help="where the old checkout has another command")
    parser.add_argument("--value", action="append", default=[], help="keys joined by dots")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    sides = {
        "old": (given.old, given.old_command or given.command),
        "new": (given.new, given.command),
    }
    print(json.dumps(compare(sides, given.value, given.runs)))


def compare(
    sides: Mapping[str, tuple[Path, str]], values: Sequence[str], runs: int
) -> dict[str, object]:
    """Runs the command of each side (`old`, `new`: checkout and command) `runs` times, alternately.

    Returns for `wall_s`, `cpu_s` and each of `values` the medians, their ratio and all runs.
    """
    found: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
    for number in range(runs):
        # In turn first, so that neither always runs on the warmer machine.
        for side in ("old", "new") if number % 2 == 0 else ("new", "old"):
            checkout, command = sides[side]
            found[side].append(_measure(checkout.resolve(), command, values))
            print(side, found[side][-1], file=sys.stderr)
    return {name: _compared(found, name) for name in found["new"][0]}


def _measure(checkout: Path, command: str, values: Sequence[str]) -> dict[str, float]:
    """Runs the command once.

    Returns `wall_s`, `cpu_s` (of its processes, without those that it left running) and the named
    values.
    """
    with tempfile.TemporaryDirectory() as out:
        words = [word.replace("{out}", str(Path(out, "out"))) for word in shlex.split(command)]
        start = {"python": [sys.executable], "wenlan-data": [sys.executable, "-m", "wenlan_data"]}
        before, started = _children_cpu_s(), time.monotonic()
        done = subprocess.run(
            [*start.get(words[0], words[:1]), *words[1:]],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        wall_s = time.monotonic() - started
        found = {"wall_s": round(wall_s, 3), "cpu_s": round(_children_cpu_s() - before, 3)}
    if values:
        printed = json.loads(done.stdout.splitlines()[-1])
        for name in values:
            found[name] = float(reduce(lambda value, key: value[key], name.split("."), printed))
    return found


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _compared(runs: dict[str, list[dict[str, float]]], name: str) -> dict[str, object]:
    series = {side: [run[name] for run in runs[side]] for side in ("old", "new")}
    old, new = (statistics.median(series[side]) for side in ("old", "new"))
    paired = [b / a for a, b in zip(series["old"], series["new"], strict=True) if a]
    return {
        "old": round(old, 3),
        "new": round(new, 3),
        "ratio": round(new / old, 3) if old else None,
        "median_of_paired_ratios": round(statistics.median(paired), 3) if paired else None,
        "runs": series,
    }


if __name__ == "__main__":
    main()
