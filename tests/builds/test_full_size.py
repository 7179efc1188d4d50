"""An image that passes the check at a fraction of its size, and kills its decoder when a detector
needs its pixels."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from tests.builds.corpus_runs import command, drops, manifest
from wenlan_data.shard.format import decode_sample
from wenlan_data.shard.reader import read_tar
from wenlan_data.testing import make_caption, make_image

COUNT = 10
CRASH_WIDTH_PX = 303
# The real sandbox process, except that it dies of an image of this width at full size.
CRASHING_WORKER = """
import os
import simplejpeg
from wenlan_data.sandbox import protocol, worker

real = worker.HANDLERS[protocol.PIXELS]

def hostile_pixels(options, data):
    if simplejpeg.decode_jpeg_header(data)[1] == CRASH_WIDTH_PX: os.kill(os.getpid(), 11)
    return real(options, data)

worker.HANDLERS[protocol.PIXELS] = hostile_pixels
worker.main()
"""
BUILD = """
import sys
from wenlan_data.sandbox import process
from wenlan_data.cli.main import main

process.WORKER_COMMAND = (sys.argv.pop(1),)
main()
"""
RECIPE: dict[str, object] = {"name": "mine", "detect": {"detector": "proposals", "width_px": 96}}


def images(at: Path, crashing: set[int], count: int = COUNT) -> Path:
    at.mkdir()
    for number in range(count):
        width = CRASH_WIDTH_PX if number in crashing else 300
        (at / f"{number}.jpg").write_bytes(make_image(number, width=width, height=200))
        (at / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return at


def build(at: Path, source: Path) -> Path:
    at.mkdir()
    (at / "worker.py").write_text(CRASHING_WORKER.replace("CRASH_WIDTH_PX", str(CRASH_WIDTH_PX)))
    (at / "recipe.yaml").write_text(yaml.safe_dump(RECIPE), "utf-8")
    words = [
        "--sources",
        f"folder:{source}",
        "--out",
        at / "corpus",
        "--recipe",
        at / "recipe.yaml",
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            BUILD,
            str(at / "worker.py"),
            "build",
            *map(str, words),
            "--executor",
            "local",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return at / "corpus"


def samples(corpus: Path) -> dict[str, bytes]:
    """Returns caption to JPEG."""
    found = [
        decode_sample(members, key)
        for path in (corpus / "shards").glob("*.tar")
        for key, members in read_tar(path)
    ]
    return {one.caption: one.jpeg for one in found}


def test_such_an_image_is_a_drop_and_the_others_are_as_without_it(tmp_path: Path) -> None:
    crashing = {3, 7}
    corpus = build(tmp_path / "with", images(tmp_path / "ten", crashing))
    without = images(tmp_path / "eight", set())
    for number in crashing:
        (without / f"{number}.jpg").unlink()
        (without / f"{number}.txt").unlink()
    assert samples(corpus) == samples(build(tmp_path / "without", without))
    assert len(samples(corpus)) == COUNT - len(crashing)
    rows = drops(corpus)
    assert [
        (Path(str(row["url"])).name, row["step"], row["reason"], row["detail"], row["retryable"])
        for row in rows
    ] == [
        (f"{number}.jpg", "shard", "decoder_crash", "SIGSEGV", False) for number in sorted(crashing)
    ]
    funnel = manifest(corpus)["funnel"]
    assert isinstance(funnel, dict)
    assert (funnel["candidates"], funnel["samples"], funnel["dropped"]) == (
        COUNT,
        8,
        {"shard": {"decoder_crash": 2}},
    )
    assert command("shards", "verify", corpus).returncode == 0


def test_a_shard_without_remaining_samples_is_a_valid_empty_tar(tmp_path: Path) -> None:
    corpus = build(tmp_path / "with", images(tmp_path / "two", {0, 1}, 2))
    assert samples(corpus) == {}
    assert len(drops(corpus)) == 2
    for verb in ("verify", "ls", "stat"):
        done = command("shards", verb, corpus)
        assert done.returncode == 0, (verb, done.stderr)
    assert json.loads(command("shards", "stat", corpus, "--json").stdout)["samples"] == 0
