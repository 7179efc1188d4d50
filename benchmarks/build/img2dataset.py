"""Images per second of `wenlan-data build` and of img2dataset, from one server, on the same cores,
in alternating runs.

    python -m benchmarks.build.img2dataset                      # 20,000 images, 3 runs: about 20 minutes
    python -m benchmarks.build.img2dataset --images 500 --runs 1 --table-rows 0

Progress goes to stderr; stdout gets one JSON line. What each figure means is in
benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.build.large_table import measure_table
from benchmarks.build.peers import (
    MODES,
    PEER_SETTINGS,
    OurRun,
    find_img2dataset,
    img2dataset_version,
    run_img2dataset,
    run_wenlan,
)
from benchmarks.lib.nginx import serve
from benchmarks.lib.photos import make_photos, photo_name

LIBRARIES = (
    "ray",
    "pyarrow",
    "aiohttp",
    "pillow",
    "simplejpeg",
    "opencv-contrib-python-headless",
    "pdqhash",
)


def main() -> None:
    """Makes the images, runs both programs alternately, and prints one JSON line."""
    options = _options()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    work: Path = options.work
    make_photos(work / "photos", options.images, options.cores)
    result: dict[str, object] = {
        "images": options.images,
        "runs": options.runs,
        "cores": options.cores,
        "modes": _compare(options, work) if options.runs else {},
        "img2dataset_settings": PEER_SETTINGS,
        "versions": _versions(options.img2dataset, work),
    }
    if options.table_rows:
        result["table"] = measure_table(
            work, options.table_rows, options.table_good, options.whole_table
        )
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument(
        "--runs",
        type=int,
        default=3,
        help="of each program and mode; medians are reported; 0: table only",
    )
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument(
        "--cores", type=int, default=2, help="shared by the server and the program that is measured"
    )
    parser.add_argument(
        "--img2dataset",
        type=Path,
        help="its command; default: installed into bench-out/img2dataset",
    )
    parser.add_argument("--work", type=Path, default=Path("bench-out"))
    parser.add_argument(
        "--table-rows",
        type=int,
        default=0,
        help="also measure a table of this many rows, such as 5000000",
    )
    parser.add_argument(
        "--table-good",
        type=int,
        default=2000,
        help="rows at the beginning of the table whose images exist",
    )
    parser.add_argument(
        "--whole-table",
        action="store_true",
        help="build the whole table instead of stopping after the first shard",
    )
    return parser.parse_args()


def _compare(options: argparse.Namespace, work: Path) -> dict[str, object]:
    peer = find_img2dataset(options.img2dataset, work)
    modes: dict[str, object] = {}
    with serve(work / "photos", work / "nginx") as host:
        table = _write_table(work / "urls.parquet", host, options.images)
        for mode in options.modes:
            ours: list[OurRun] = []
            theirs: list[tuple[float, float]] = []
            for run in range(options.runs):
                ours.append(run_wenlan(work, table, host, mode, options.images, options.cores))
                theirs.append(run_img2dataset(peer, work, table, mode, options.images))
                _log(
                    f"{mode}, run {run}: wenlan-data {ours[-1].seconds:.1f} s, img2dataset {theirs[-1][0]:.1f} s"
                )
            modes[mode] = _figures(options.images, ours, theirs)
    return modes


def _figures(
    images: int, ours: list[OurRun], theirs: list[tuple[float, float]]
) -> dict[str, object]:
    whole_s = statistics.median(run.seconds for run in ours)
    without_start_s = statistics.median(run.seconds_without_start for run in ours)
    peer_s = statistics.median(seconds for seconds, _ in theirs)
    busy_s = statistics.median(run.processor_seconds for run in ours)
    peer_busy_s = statistics.median(busy for _, busy in theirs)
    return {
        "wenlan_images_per_s": round(images / whole_s, 1),
        "wenlan_images_per_s_without_ray_start": round(images / without_start_s, 1),
        "img2dataset_images_per_s": round(images / peer_s, 1),
        "wenlan_phase_seconds_of_last_run": dict(ours[-1].phase_seconds),
        "wenlan_processor_ms_per_image": round(1000 * busy_s / images, 2),
        "img2dataset_processor_ms_per_image": round(1000 * peer_busy_s / images, 2),
        "processor_ratio": round(peer_busy_s / busy_s, 2),
        "ratio": round(peer_s / whole_s, 2),
        "ratio_without_ray_start": round(peer_s / without_start_s, 2),
    }


def _write_table(path: Path, host: str, images: int) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    urls = [f"http://{host}/{photo_name(index)}" for index in range(images)]
    texts = [f"第{index}张天空的照片，云彩颜色各不相同" for index in range(images)]
    pq.write_table(pa.table({"url": urls, "text": texts}), path, row_group_size=2500)
    return path


def _versions(given: Path | None, work: Path) -> dict[str, str]:
    ours = {name: version(name) for name in LIBRARIES}
    return {
        "python": sys.version.split()[0],
        "img2dataset": img2dataset_version(given, work),
        **ours,
    }


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
