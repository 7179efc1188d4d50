"""Benchmarks that a corpus must not hold."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.builds.corpus_runs import build, captions, command, drops
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
