"""Whole builds in which large copies of images are gone and smaller ones are there."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.builds.corpus_runs import COMMAND, build, captions, content, drops, sources_file
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

COUNT = 60


def _sources(folder: Path, site: Site) -> Path:
    """Every third image has no large copy; of those, every fifth has no copy at all."""
    lines = []
    for number in range(COUNT):
        urls = [site.url(f"/{size}/{number}.jpg") for size in ("large", "medium", "small")]
        if number % 3:
            site.responses[f"/large/{number}.jpg"] = CannedResponse(make_image(number))
        elif number % 2:
            site.responses[f"/large/{number}.jpg"] = CannedResponse(b"<html>gone</html>" * 200)
        if number % 15:
            site.responses[f"/small/{number}.jpg"] = CannedResponse(make_image(number, width=200))
        lines.append(json.dumps({"urls": urls, "text": make_caption(number)}))
    (folder / "copies.jsonl").write_text("\n".join(lines), "utf-8")
    source = {"kind": "image_copies", "path": "copies.jsonl"}
    return sources_file(folder / "sources.yaml", site, [source])


def _words(sources: Path, out: Path, workers: int) -> list[str]:
    words = ["--sources", str(sources), "--out", str(out), "--workers", str(workers)]
    words += ["--plugins", "tests.builds.image_copies"]
    return [*words, "--set", "shard.max_samples=40"]


def test_the_copy_that_is_there_becomes_the_sample(tmp_path: Path, site: Site) -> None:
    sources = _sources(tmp_path, site)
    build(*_words(sources, tmp_path / "one", 1))
    gone = COUNT // 15
    urls = captions(tmp_path / "one")
    assert len(urls) == COUNT - gone
    assert urls[make_caption(1)] == site.url("/large/1.jpg")
    assert urls[make_caption(3)] == site.url("/small/3.jpg")
    assert Counter(site.log).most_common(1)[0][1] == 1, "nothing is requested twice"
    assert not any(path.startswith("/small/1.") for path in site.log)
    lost = [row for row in drops(tmp_path / "one") if row["step"] == "fetch"]
    assert len(lost) == gone
    assert {(row["url"], row["reason"]) for row in lost} >= {
        (site.url("/large/0.jpg"), "http_status"),
        (site.url("/large/15.jpg"), "not_image"),
    }

    build(*_words(sources, tmp_path / "three", 3))
    assert content(tmp_path / "three") == content(tmp_path / "one")

    requested = len(site.log)
    build("--from", tmp_path / "one", "--out", tmp_path / "again", "--set", "shard.max_samples=40")
    assert len(site.log) == requested, "a replay requests nothing"
    assert captions(tmp_path / "again") == urls

    # Known URLs are not requested again, nor are their fallback URLs.
    build(*_words(sources, tmp_path / "one", 1))
    assert len(site.log) == requested
    assert captions(tmp_path / "one") == urls


def test_a_build_killed_while_it_fetches_gives_the_same_bytes(tmp_path: Path, site: Site) -> None:
    sources = _sources(tmp_path, site)
    build(*_words(sources, tmp_path / "golden", 2))
    golden, requests = content(tmp_path / "golden"), len(site.log)
    for share in (0.6, 0.95):
        out = tmp_path / f"corpus{share}"
        site.log.clear()
        with subprocess.Popen(
            [*COMMAND, "build", *_words(sources, out, 2)],
            start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            deadline = time.monotonic() + 60
            while len(site.log) < share * requests and time.monotonic() < deadline:
                time.sleep(0.0005)
            os.killpg(process.pid, signal.SIGKILL)
        build(*_words(sources, out, 2))
        assert content(out) == golden
