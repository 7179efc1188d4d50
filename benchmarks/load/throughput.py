"""Measures samples per second of our loader, its peers and decoding alone.

All run alternately on the same shards and cores.

python -m benchmarks.load.throughput --photos FOLDER --runs 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.load.corpora import corpus_size, make_corpus, make_vocabulary
from benchmarks.load.energon import energon
from benchmarks.load.peers import PROGRAMS as PEERS
from benchmarks.load.peers import Case
from wenlan_data.load import Loader
from wenlan_data.load.bench import decode_rate

SIZES = {"512x384": (512, 384), "800x600": (800, 600)}
CEILING = "decode_only"
OURS = ("ours", "ours_without_boxes")
PROGRAMS = {**PEERS, "energon": energon}
ONE_RUN_S = 600
WARM_UP_BATCHES = 4
MIN_BATCHES = 40
"""Also on a slow machine: the number of prefetched batches differs between start and end."""


def main() -> None:
    """Prints one JSON line: medians by case and program, and the ratios."""
    options = _options()
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    make_vocabulary(folder)
    if options.one:
        print(json.dumps(_measure(options.one, _case(options), options.seconds)))
        return
    found: dict[str, dict[str, object]] = {}
    for size, (width, height) in SIZES.items():
        corpus = make_corpus(
            folder, options.photos, width=width, height=height, samples=options.samples
        )
        for size_px in options.px:
            found[f"{size}->{size_px}"] = {
                **corpus_size(corpus),
                **_compare(options, corpus, size_px),
            }
            print(f"{size}->{size_px}", json.dumps(found[f"{size}->{size_px}"]), file=sys.stderr)
    print(json.dumps({"cores": os.cpu_count(), "workers": options.workers, "cases": found}))


def _compare(options: argparse.Namespace, corpus: Path, size_px: int) -> dict[str, object]:
    rates: dict[str, list[list[float]]] = {}
    failed: dict[str, str] = {}
    for _ in range(options.runs):
        for name in (CEILING, *options.programs):
            if name in failed:
                continue
            rate = _in_process(options, name, corpus, size_px)
            if isinstance(rate, str):
                failed[name] = rate
            else:
                rates.setdefault(name, []).append(rate)
    wall, cpu = (
        {
            name: round(statistics.median(pair[at] for pair in found), 1)
            for name, found in rates.items()
        }
        for at in (0, 1)
    )
    return {"samples_per_s": wall, "samples_per_cpu_s": cpu, **_ratios(rates), "failed": failed}


def _ratios(rates: dict[str, list[list[float]]]) -> dict[str, object]:
    """Returns our rate over each by processor time, run by run, since load slows both alike."""
    cpu_rates = {name: [pair[1] for pair in found] for name, found in rates.items()}
    return {
        f"{our}_over_by_cpu": {
            name: round(
                statistics.median(
                    own / rate for own, rate in zip(cpu_rates[our], found, strict=False)
                ),
                2,
            )
            for name, found in cpu_rates.items()
        }
        for our in OURS
        if our in cpu_rates
    }


def _in_process(
    options: argparse.Namespace, name: str, corpus: Path, size_px: int
) -> list[float] | str:
    """Runs a program in a process of its own, so that caches and threads do not affect the next."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.load.throughput",
        "--one",
        name,
        "--corpus",
        str(corpus),
        "--px",
        str(size_px),
    ]
    command += [
        "--out",
        str(options.out),
        "--seconds",
        str(options.seconds),
        "--workers",
        str(options.workers),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ONE_RUN_S, check=True
        )
        rates: list[float] = json.loads(done.stdout.splitlines()[-1])
        return rates
    except subprocess.TimeoutExpired:
        return f"nothing after {ONE_RUN_S} s"
    except subprocess.CalledProcessError as error:
        return str((error.stderr.strip().splitlines() or ["no message"])[-1][:200])


def _measure(name: str, case: Case, seconds: float) -> list[float]:
    """Returns samples per second, and per second of processor time including child processes."""
    if name == CEILING:
        loader = Loader(
            case.corpus, batch_size=case.batch_size, size_px=case.size_px, workers=case.workers
        )
        alone = Loader(case.corpus, batch_size=case.batch_size, size_px=case.size_px, workers=0)
        wall, start, spent = (
            decode_rate(loader, seconds / 2),
            time.process_time(),
            time.perf_counter(),
        )
        rate = decode_rate(alone, seconds / 2)
        return [wall, rate * (time.perf_counter() - spent) / (time.process_time() - start)]
    batches = PROGRAMS[name](case)
    for _ in range(WARM_UP_BATCHES):
        next(batches)
    samples, taken, start, cpu = 0, 0, time.perf_counter(), _cpu_s(os.getpid())
    while (spent := time.perf_counter() - start) < seconds or taken < MIN_BATCHES:
        samples += next(batches)
        taken += 1
    return [samples / spent, samples / (_cpu_s(os.getpid()) - cpu)]


def _cpu_s(process: int) -> float:
    """Returns the processor time of a process and its descendants, in seconds."""
    stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return own + sum(_cpu_s(int(child)) for task in tasks for child in task.read_text().split())


def _case(options: argparse.Namespace) -> Case:
    return Case(
        corpus=options.corpus,
        vocabulary=options.out / "vocab.txt",
        work=options.out,
        size_px=options.px[0],
        batch_size=64,
        workers=options.workers,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--photos", type=Path, help="A folder of JPEGs; the default is synthetic images."
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out/loader"))
    parser.add_argument("--samples", type=int, default=12000)
    parser.add_argument("--px", type=int, nargs="+", default=[224, 384])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS))
    parser.add_argument("--one", choices=[CEILING, *PROGRAMS], help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    # `os._exit`, because some peers leave threads and workers behind.
    main()
    sys.stdout.flush()
    os._exit(0)
