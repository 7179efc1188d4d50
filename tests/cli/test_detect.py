import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.shared import MODEL, needs_model
from wenlan_data.testing import make_image


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from wenlan_data.cli.main import main; main()",
        "detect",
        *map(str, words),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_has_a_row_for_each_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_image(1))
    (tmp_path / "b.png").write_bytes(make_image(2, width=30, height=40, kind="PNG"))
    done = run(tmp_path / "a.jpg", tmp_path / "b.png", "--set", "cells=2", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["width"], row["height"], len(row["regions"])) for row in rows] == [
        (320, 240, 5),
        (30, 40, 5),
    ]
    assert rows[0]["regions"][-1] == {"box": [0, 0, 320, 240], "label": "image", "score": 1.0}
    assert not list(tmp_path.glob("*.regions.jpg"))


def test_a_drawing_lies_beside_its_image_and_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_image(1))
    done = run(tmp_path / "a.jpg", "--max-side-px", 200)
    assert done.stdout == f"{tmp_path / 'a.regions.jpg'}: 36 regions and the whole image\n"
    with Image.open(tmp_path / "a.regions.jpg") as drawn:
        assert drawn.size == (200, 150)
    again = run(tmp_path / "a.jpg")
    assert (again.returncode, "this file exists" in again.stderr) == (2, True)


@needs_model
def test_a_detector_with_its_weights(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    out = io.BytesIO()
    Image.fromarray(pytest.importorskip("skimage.data").coffee()).save(out, "PNG")
    (tmp_path / "coffee.png").write_bytes(out.getvalue())
    done = run(
        tmp_path / "coffee.png",
        "--detector",
        "yolox",
        "--weights",
        MODEL,
        "--set",
        "language=zh",
        "--json",
    )
    assert [one["label"] for one in json.loads(done.stdout)["regions"]] == ["杯子", "餐桌", "image"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["--detector", "nothing"],
            4,
            "--detector nothing: 'nothing' is not known here: choose one of boxes, ",
        ),
        (["--set", "cells"], 4, "write it as key=value"),
        (["--set", "cells=99"], 4, "cells"),
        (["--device", "cuda"], 4, "grid runs on the processor alone"),
        (["--detector", "yolox", "--weights", "none.onnx"], 4, "there is no such file"),
        (["--detector", "boxes"], 4, "come from a source"),
        (["--set", "cells=0"], 4, "--detector grid: cells: "),
    ],
)
def test_errors_take_one_line(words: list[str], code: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_image(1))
    done = run(tmp_path / "a.jpg", *words)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@needs_model
def test_labels_are_printed_and_a_folder_is_made_for_drawings(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    Image.fromarray(pytest.importorskip("skimage.data").coffee()).save(tmp_path / "coffee.png")
    words = [
        "--detector",
        "yolox",
        "--weights",
        MODEL,
        "--set",
        "language=zh",
        "--out",
        tmp_path / "new" / "drawn",
    ]
    done = run(tmp_path / "coffee.png", *words)
    drawn = tmp_path / "new" / "drawn" / "coffee.regions.jpg"
    assert done.stdout == f"{drawn}: 2 regions and the whole image (1 杯子 0.89, 2 餐桌 0.75)\n"
    assert drawn.is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("page.jpg", "no usable image (not an image, whatever its name says: html): give a JPEG"),
        ("empty.jpg", "no usable image (a response without a body): give a JPEG"),
        ("cut.jpg", "no usable image ("),
        ("folder", "is a folder: name the images in it"),
        ("none.jpg", "no such file: check the path"),
    ],
)
def test_a_file_that_is_no_image_is_reported(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_bytes(b"<html>")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(make_image(1)[:3000])
    (tmp_path / "folder").mkdir()
    done = run(tmp_path / name)
    assert done.returncode == 2
    assert f"{tmp_path / name}: {message}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_file_is_reported_before_anything_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_image(1))
    done = run(tmp_path / "a.jpg", tmp_path / "none.jpg")
    assert (done.returncode, "none.jpg: no such file" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_file_is_no_folder_for_drawings(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_image(1))
    done = run(tmp_path / "a.jpg", "--out", tmp_path / "a.jpg")
    assert (done.returncode, "is a file: name a folder" in done.stderr) == (2, True)


def test_a_closed_pipe_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_image(1))
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "wenlan_data", "detect", str(tmp_path / "a.jpg"), "--json"]
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
