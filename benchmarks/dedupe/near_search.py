"""Near-duplicate search over planted codes: time, memory and recall by size; then its peers in the
same time.

    python -m benchmarks.dedupe.near_search --codes 1000000 10000000 100000000 --peers

prints one JSON line a size and one a peer. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np

from tests.dedupe.hamming.near_pairs import near_pairs
from wenlan_data.npy import Codes, Indices

PLANTED_SHARE = 0.02
SEED = 20210311
FIRST_PEER_CODES = 1000
PEER_PACKAGES = (["daft", "numpy>=2", "scikit-learn", "tqdm"], ["--no-deps", "imagededup"])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--radius", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peers",
        action="store_true",
        help="also imagededup and Daft, in an environment of their own",
    )
    parser.add_argument("--work", type=Path, default=Path("bench-out"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.radius, given.threads)))
        return
    seconds = 0.0
    for count in given.codes:
        # A process of its own for each size, so that its peak of memory is its own.
        words = [
            "--one",
            str(count),
            "--radius",
            str(given.radius),
            "--threads",
            str(given.threads),
        ]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.dedupe.near_search", *words],
            capture_output=True,
            text=True,
        )
        print(done.stdout.strip() or done.stderr.strip(), flush=True)
        seconds = json.loads(done.stdout)["cpu_seconds"]
    if given.peers:
        given.work.mkdir(parents=True, exist_ok=True)
        for name in ("imagededup", "daft"):
            print(json.dumps(largest_in(name, given.work, given.radius, seconds)), flush=True)


def planted(count: int, radius: int) -> tuple[Codes, Indices, Codes]:
    """Uniform codes of which the last are near earlier ones; rows of the originals, and the 0 to
    `radius` bits flipped."""
    random = np.random.default_rng(SEED)
    codes = random.integers(0, 2**64, count, dtype=np.uint64)
    copies = int(count * PLANTED_SHARE)
    rows = random.permutation(count - copies)[:copies]
    bits = np.arange(copies) % (radius + 1)
    flipped = np.zeros(copies, np.uint64)
    for place in range(radius):
        # An odd step, so that the bits are different ones.
        bit = (rows * 7 + place * 13) % 64
        flipped |= np.where(place < bits, np.uint64(1) << bit.astype(np.uint64), np.uint64(0))
    codes[count - copies :] = codes[rows] ^ flipped
    return codes, rows, flipped


def measure(count: int, radius: int, threads: int) -> dict[str, object]:
    """Search once."""
    codes, rows, flipped = planted(count, radius)
    assert np.all(np.bitwise_count(flipped) == np.arange(len(flipped)) % (radius + 1))
    started = time.monotonic()
    used = time.process_time()
    pairs = near_pairs(codes, radius, threads=threads)
    seconds, used = time.monotonic() - started, time.process_time() - used
    wanted = rows.astype(np.int64) * count + np.arange(count - len(rows), count)
    got = pairs[:, 0] * count + pairs[:, 1]
    return {
        "codes": count,
        "radius_bits": radius,
        "threads": threads,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used, 2),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "planted": len(wanted),
        "planted_found": int(np.isin(wanted, got).sum()),
        "pairs": len(pairs),
    }


def largest_in(name: str, work: Path, radius: int, seconds: float) -> dict[str, object]:
    """The largest number of codes, doubled from `FIRST_PEER_CODES`, that a peer searches in that
    processor time."""
    python = peer_python(work)
    path = work / "codes.npy"
    codes, _, _ = planted(2_000_000, radius)
    np.save(path, np.random.default_rng(SEED).permutation(codes))
    best: dict[str, object] = {"peer": name, "cpu_seconds_given": seconds, "codes": 0}
    count = FIRST_PEER_CODES
    while count <= len(codes):
        words = [python, "benchmarks/dedupe/peers.py", name, str(path), str(count), str(radius)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=20 * seconds + 300)
        except subprocess.TimeoutExpired:
            break
        if done.returncode:
            return {
                **best,
                "stopped_by": done.stderr.strip().splitlines()[-1]
                if done.stderr
                else done.returncode,
            }
        result = json.loads(done.stdout.splitlines()[-1])
        if result["cpu_seconds"] > seconds:
            return {**best, "next": {"codes": count, **result}}
        best = {**best, "codes": count, **result}
        count *= 2
    return best


def peer_python(work: Path) -> str:
    """The interpreter of an environment with the peers, made once."""
    folder = (work / "dedupe-peers").absolute()
    if not folder.is_dir():
        venv.create(folder, with_pip=True)
        for packages in PEER_PACKAGES:
            subprocess.run(
                [str(folder / "bin" / "pip"), "install", "--quiet", *packages], check=True
            )
    return str(folder / "bin" / "python")


if __name__ == "__main__":
    main()
