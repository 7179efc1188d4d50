"""Compares the build of two checkouts of this repository: one table of photographs that nginx
serves on loopback, alternating runs.

    git clone . /tmp/old && git -C /tmp/old checkout COMMIT
    python -m benchmarks.build.checkouts /tmp/old . --images 16000 --runs 3

Prints one JSON line with medians and ratios (new / old) of wall clock, processor time and each
step.
"""

import argparse
import json
from pathlib import Path

from benchmarks.lib.checkouts import compare
from benchmarks.lib.nginx import serve
from benchmarks.lib.photos import make_photos, photo_name

STEPS = ("executor", "extract", "fetch", "dedupe", "shard")


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--executor", choices=("local", "ray"), default="local")
    parser.add_argument("--work", type=Path, default=Path("bench-out/build"))
    given = parser.parse_args()
    photos: Path = given.work / "photos"
    make_photos(photos, given.images, 2)
    with serve(photos, given.work / "nginx") as host:
        sources = _write_sources(given.work.resolve(), host, given.images)
        command = (
            f"wenlan-data build --sources {sources} --out {{out}} --executor {given.executor} "
            "--workers 2 --json"
        )
        values = ["samples", *(f"seconds.{step}" for step in STEPS)]
        sides = {"old": (given.old, command), "new": (given.new, command)}
        found = compare(sides, values, given.runs)
    print(json.dumps({"images": given.images, "executor": given.executor, **found}))


def _write_sources(work: Path, host: str, images: int) -> Path:
    rows = (
        f"http://{host}/{photo_name(number)},第{number}幅云彩的照片很好看\n"
        for number in range(images)
    )
    (work / "urls.csv").write_text("url,text\n" + "".join(rows), "utf-8")
    sources = work / "sources.yaml"
    sources.write_text(
        f"network: {{allow: ['{host}']}}\n"
        f"hosts: {{'{host}': {{min_gap_s: 0, max_connections: 16}}}}\n"
        "sources: [{kind: table, path: urls.csv}]\n",
        "utf-8",
    )
    return sources


if __name__ == "__main__":
    main()
