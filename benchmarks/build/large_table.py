"""Memory and time to the first shard for a large Parquet table whose links are nearly all dead."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.build.peers import COMMAND, environment, write_sources
from benchmarks.lib.memory import MemoryWatch
from benchmarks.lib.nginx import serve
from benchmarks.lib.photos import make_photos, photo_name

ROWS_A_GROUP = 100_000
STOP_TIMEOUT_S = 120


def measure_table(work: Path, rows: int, good: int, whole: bool) -> dict[str, object]:
    """Builds from a table of `rows` rows, of which the first `good` exist. Stops after the first
    shard unless `whole`.

    Bytes are the peak resident memory of the largest process.
    """
    make_photos(work / "photos", good)
    out = work / "large"
    shutil.rmtree(out, ignore_errors=True)
    with serve(work / "photos", work / "nginx-large") as host:
        table = _write_table(work / "large.parquet", host, rows, good)
        sources = write_sources(work, host, table)
        command = [
            *COMMAND,
            "build",
            "--sources",
            str(sources),
            "--out",
            str(out),
            "--workers",
            "2",
            "--json",
        ]
        started = time.monotonic()
        with (work / "large.log").open("wb") as log:
            build = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
        with MemoryWatch(build.pid) as watch:
            first_shard_s = _wait_for_shard(build, out, started)
            code = build.wait() if whole else _stop(build)
        seconds = time.monotonic() - started
    return {
        "rows": rows,
        "rows_that_exist": good,
        "seconds_to_first_shard": round(first_shard_s, 1),
        "peak_bytes_of_a_process": watch.largest_bytes(),
        "largest_process": watch.largest_name(),
        "seconds_until_stop": round(seconds, 1),
        "exit_code": code,
    }


def _wait_for_shard(build: subprocess.Popen[bytes], out: Path, started: float) -> float:
    while build.poll() is None:
        # A shard counts when the manifest names it, not when its file appears.
        if (out / "manifest.json").is_file():
            return time.monotonic() - started
        time.sleep(0.2)
    if not (out / "manifest.json").is_file():
        raise SystemExit("wenlan-data wrote no shard: see bench-out/large.log")
    return time.monotonic() - started


def _stop(build: subprocess.Popen[bytes]) -> int:
    build.send_signal(signal.SIGINT)
    try:
        return build.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.kill(build.pid, signal.SIGKILL)
        return build.wait()


def _write_table(path: Path, host: str, rows: int, good: int) -> Path:
    schema = pa.schema([("url", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, ROWS_A_GROUP):
            numbers = range(first, min(first + ROWS_A_GROUP, rows))
            urls = [
                f"http://{host}/{photo_name(n) if n < good else f'gone/{n}.jpg'}" for n in numbers
            ]
            texts = [f"第{n}张天空的照片，云彩颜色各不相同" for n in numbers]
            writer.write_table(pa.table({"url": urls, "text": texts}, schema))
    print(f"table of {rows} rows: {path.stat().st_size >> 20} MiB", file=sys.stderr)
    return path
