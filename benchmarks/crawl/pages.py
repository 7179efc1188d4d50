"""Crawls the Chinese pages of two Debian manuals from loopback, shows ten samples, and times the
extraction.

python -m benchmarks.crawl.pages [--seed 1] [--executor local] [--old /tmp/old --runs 5]

Needs Debian (`apt-get`, `dpkg-deb`): the packages debian-handbook and gimp-help-zh-cn are fetched
and unpacked once, in `bench-out/pages`. Nothing is installed. Prints one JSON line and writes
`samples.html`, ten samples to look at. With `--old`, another checkout of this repository, the speed
of the extraction is compared with its, on the pages of both manuals.
"""

import argparse
import cProfile
import html
import json
import pstats
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from benchmarks.crawl.extraction import (
    INCLUDES,
    candidates_of,
    compare_checkouts,
    measure,
    recorded_pages,
)
from wenlan_data.demo.server import serve
from wenlan_data.recipe import load_recipe
from wenlan_data.web.warc import WarcPayload

PACKAGES = {
    "debian-handbook": ("usr/share/doc/debian-handbook/html/zh-CN", "index.html"),
    "gimp-help-zh-cn": ("usr/share/gimp/3.0/help/zh_CN", "index.html"),
}
"""Package to the folder that is served, and the page where the crawl starts."""
COMMAND = [sys.executable, "-c", "from wenlan_data.cli.main import main; main()"]
ICON_NAMES = ("Common_Content/images/", "images/callouts/", "images/navigation/", "images/icons/")
PROFILE_LINES = 12


def fetch_site(package: str, folder: Path) -> Path:
    """Downloads and unpacks a package; returns the folder of its pages."""
    inner, _ = PACKAGES[package]
    target = folder / package
    if not (target / inner).is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        [archive] = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, target], check=True)
    return target / inner


def crawl(site: Path, start: str, out: Path, executor: str) -> dict[str, object]:
    """Crawls the folder, served from loopback, into a new `out`; returns the result of `build
    --json`.
    """
    shutil.rmtree(out, ignore_errors=True)
    with serve(site) as host:
        sources = {
            "network": {"allow": [host]},
            "hosts": {host: {"min_gap_s": 0}},
            "sources": [{"kind": "pages", "seeds": [f"http://{host}/{start}"]}],
        }
        path = out.with_suffix(".yaml")
        path.write_text(yaml.safe_dump(sources), "utf-8")
        words = ["build", "--sources", path, "--out", out, "--executor", executor, "--json"]
        done = subprocess.run(
            [*COMMAND, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
        )
    result: dict[str, object] = json.loads(done.stdout)
    return result


def extraction(pages: list[tuple[WarcPayload, str]]) -> dict[str, object]:
    """Measures the time of a page, from bytes to candidates, and profiles the functions."""
    speed = measure(pages)
    profile = cProfile.Profile()
    candidates = profile.runcall(lambda: sum(candidates_of(record) for record, _ in pages))
    rows = pstats.Stats(profile).get_stats_profile().func_profiles
    top = sorted(rows.items(), key=lambda pair: -pair[1].tottime)[:PROFILE_LINES]
    total_s = sum(one.tottime for one in rows.values())
    return {
        "pages": len(pages),
        "page_bytes": sum(len(record.payload) for record, _ in pages) // max(1, len(pages)),
        "candidates": candidates,
        **speed,
        "includes": INCLUDES,
        "profile": {name: f"{100 * one.tottime / total_s:.0f} %" for name, one in top},
    }


def samples_of(corpus: Path) -> list[dict[str, object]]:
    """Returns the metadata rows of the corpus."""
    return [
        row
        for path in sorted((corpus / "metadata").iterdir())
        for row in pq.read_table(path).to_pylist()
    ]


def write_samples(rows: list[dict[str, object]], sites: dict[str, Path], out: Path) -> None:
    """Writes a page with the images and captions of `rows`."""
    cells = []
    for row in rows:
        path = str(row["image_url"]).partition("://")[2].partition("/")[2]
        file = next(site / path for site in sites.values() if (site / path).is_file())
        texts = row["texts"]
        lines = "".join(f"<li>{one['type']}: {html.escape(one['text'])}</li>" for one in texts)  # type: ignore[attr-defined]
        caption = html.escape(str(row["caption"]))
        cells.append(
            f"<p><img src='{file.resolve()}' height=160> <b>{caption}</b> ({row['caption_type']})</p><ul>{lines}</ul>"
        )
    out.write_text(f"<!DOCTYPE html><meta charset=utf-8>{''.join(cells)}", "utf-8")


def main() -> None:
    """Runs everything and prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out/pages"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--executor", default="local", choices=["local", "ray"])
    parser.add_argument("--old", type=Path, help="another checkout, to compare the speed with")
    parser.add_argument("--runs", type=int, default=5, help="of each checkout, with --old")
    chosen = parser.parse_args()
    figures: dict[str, object] = {"recipe": load_recipe("wenlan").digest()[:12]}
    sites = {package: fetch_site(package, chosen.out) for package in PACKAGES}
    drawn: list[dict[str, object]] = []
    for package, site in sites.items():
        corpus = chosen.out / f"{package}-corpus"
        result = crawl(site, PACKAGES[package][1], corpus, chosen.executor)
        rows = samples_of(corpus)
        figures[package] = {
            "crawl": {
                name: result[name]
                for name in ("pages", "candidates", "samples", "dropped", "seconds")
            },
            "caption_types": Counter(row["caption_type"] for row in rows),
            "icons_among_samples": sum(
                any(name in str(row["image_url"]) for name in ICON_NAMES) for row in rows
            ),
            "extraction": extraction(recorded_pages(corpus)),
        }
        drawn += random.Random(chosen.seed).sample(rows, min(5, len(rows)))
    write_samples(drawn, sites, chosen.out / "samples.html")
    if chosen.old is not None:
        corpora = [chosen.out / f"{package}-corpus" for package in PACKAGES]
        figures["compared"] = compare_checkouts(chosen.old, corpora, chosen.runs)
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()
