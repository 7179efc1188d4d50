"""Benchmarks that a corpus must not hold."""

import io
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.bounds import bounded
from tests.builds.corpus_runs import build, captions, command, drops
from tests.shard.make_golden import GOLDEN
from wenlan_data.dedupe.read_benchmarks import benchmark_parts
from wenlan_data.dedupe.search import find_near
from wenlan_data.errors import WenlanError
from wenlan_data.recipe import load_recipe
from wenlan_data.testing import make_caption, make_image


def folder_of(path: Path, numbers: range, quality: int = 85) -> Path:
    path.mkdir()
    for number in numbers:
        (path / f"{number}.jpg").write_bytes(make_image(number, quality=quality))
        (path / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return path


def made(photos: Path, out: Path, against: list[str], *more: str) -> list[dict[str, object]]:
    build("--sources", f"folder:{photos}", "--out", out, "--executor", "local", "--recipe", "wenlan",
          "--set", f"dedupe.against={json.dumps(against)}", *more)  # fmt: skip
    return drops(out)


def test_a_folder_a_table_and_a_corpus_are_kept_out_with_their_texts(tmp_path: Path) -> None:
    photos = folder_of(tmp_path / "photos", range(12))
    bench = tmp_path / "bench"
    bench.mkdir()
    Image.open(io.BytesIO(make_image(0))).resize((200, 150)).save(bench / "zero.png")
    (tmp_path / "table.csv").write_text(
        f"url,text\nbench/zero.png,别的\nhttp://x.example/1.jpg,{make_caption(1)}！\n", "utf-8"
    )
    build("--sources", f"folder:{folder_of(tmp_path / 'other', range(2, 4), quality=60)}", "--out", tmp_path / "corpus",
          "--executor", "local")  # fmt: skip
    rows = made(
        photos,
        tmp_path / "out",
        [str(bench), str(tmp_path / "table.csv"), str(tmp_path / "corpus")],
    )
    by_url = {Path(str(row["url"])).name: row for row in rows}
    assert set(by_url) == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}
    assert {row["reason"] for row in rows} == {"contamination"}
    assert str(by_url["0.jpg"]["detail"]).endswith("zero.png")
    assert by_url["1.jpg"]["detail"] == "http://x.example/1.jpg"
    assert len(captions(tmp_path / "out")) == 8
    # A later generation looks at what the first one read.
    folder_of(tmp_path / "photos" / "more", range(20, 22))
    (tmp_path / "photos" / "more" / "0.jpg").write_bytes(make_image(0, quality=40))
    (tmp_path / "photos" / "more" / "0.txt").write_text(make_caption(50), "utf-8")
    build("--sources", f"folder:{photos}", "--out", tmp_path / "out", "--executor", "local")
    later = [row for row in drops(tmp_path / "out") if "more" in str(row["url"])]
    assert [(row["reason"], Path(str(row["url"])).name) for row in later] == [
        ("contamination", "0.jpg")
    ]


def test_without_a_radius_equal_bytes_of_a_benchmark_are_kept_out_and_copies_are_not(
    tmp_path: Path,
) -> None:
    photos = folder_of(tmp_path / "photos", range(6))
    (tmp_path / "bench").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "bench" / name).write_bytes(make_image(0))
    (tmp_path / "bench" / "near.jpg").write_bytes(make_image(1, quality=40))
    rows = made(
        photos, tmp_path / "out", [str(tmp_path / "bench")], "--set", "dedupe.radius_bits=off"
    )
    assert [(Path(str(row["url"])).name, row["reason"]) for row in rows] == [
        ("0.jpg", "contamination")
    ]
    assert str(rows[0]["detail"]).endswith("a.jpg")


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_benchmark_that_is_none_is_reported_before_anything_is_made(
    name: str, tmp_path: Path
) -> None:
    photos = folder_of(tmp_path / "photos", range(2))
    (tmp_path / "empty").mkdir()
    done = command("build", "--sources", f"folder:{photos}", "--out", tmp_path / "out", "--recipe", "wenlan",
                   "--set", f"dedupe.against={json.dumps([str(tmp_path / name)])}")  # fmt: skip
    assert done.returncode == 2
    assert str(tmp_path / name) in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_table_of_a_stranger_names_no_file_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(make_image(3))
    (tmp_path / "large.bin").touch()
    os.truncate(tmp_path / "large.bin", 1 << 40)
    bench = tmp_path / "bench"
    (bench / "inner").mkdir(parents=True)
    (bench / "inner" / "own.jpg").write_bytes(make_image(1))
    (bench / "hole.jpg").touch()
    os.truncate(bench / "hole.jpg", 1 << 40)
    os.mkfifo(bench / "pipe.jpg")
    (bench / "zero.jpg").symlink_to("/dev/zero")
    (bench / "loop.jpg").symlink_to("loop.jpg")
    (bench / "link.jpg").symlink_to(tmp_path / "private.png")
    names = ["inner/own.jpg", "inner/../inner/own.jpg", "/dev/zero", "../private.png", "inner",
             str(tmp_path / "private.png"), "hole.jpg", "../large.bin", "pipe.jpg", "zero.jpg",
             "loop.jpg", "link.jpg", "gone.jpg", "x" * 5000, "a\0b"]  # fmt: skip
    lines = "".join(
        f"{json.dumps({'url': name, 'text': f'说明{n}'})}\n" for n, name in enumerate(names)
    )
    (bench / "table.jsonl").write_text(lines, "utf-8")
    recipe = load_recipe("wenlan", [f"dedupe.against={json.dumps([str(bench / 'table.jsonl')])}"])
    [part] = benchmark_parts(recipe)
    (tmp_path / "out").mkdir()
    with bounded(seconds=30, mib=300):
        receipt = part(tmp_path / "out")
    images = pq.read_table(tmp_path / "out" / "images.parquet").to_pylist()
    assert [row["name"] for row in images] == names[:2]
    assert receipt.rows_in == len(names)


@pytest.mark.parametrize("name", ["pipe.jpg", "hole.jpg", "zero.jpg"])
def test_what_is_searched_for_is_a_bounded_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "hole.jpg").touch()
    os.truncate(tmp_path / "hole.jpg", 1 << 40)
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with bounded(seconds=30, mib=300), pytest.raises(WenlanError, match=name):
        find_near(GOLDEN, str(tmp_path / name), 4)
