import json
from pathlib import Path

import pytest

from tests.conformance_source import check_source
from wenlan_data.errors import UsageError
from wenlan_data.records import Candidate, Drop, Text
from wenlan_data.sources.brivl import Brivl
from wenlan_data.testing import make_image

SHARED = Path(__file__).parents[3] / "shared" / "data" / "brivl-record"


def record(name: str, **more: object) -> str:
    sentences = [
        ["alt_text", "酒店"],
        ["sur_text", "\u00a0酒店在城里。它很大。"],
        ["easy", "酒店"],
        ["first", "酒店在城里"],
    ]
    return json.dumps(
        {"image_id": name, "sentences": sentences, "bbox": [[1, 2, 30, 40]], **more},
        ensure_ascii=False,
    )


def source(folder: Path, *lines: str) -> Brivl:
    (folder / "a.jpg").write_bytes(make_image(1))
    (folder / "records.jsonl").write_text("\n".join(lines), "utf-8")
    return Brivl(path=str(folder / "records.jsonl"))


def test_records_become_candidates_with_texts_and_boxes(tmp_path: Path) -> None:
    (found,) = check_source(source(tmp_path, record("../data/imgs/a.jpg")))
    assert isinstance(found, Candidate)
    assert found.origin is not None
    assert found.origin.path == str(tmp_path / "a.jpg")
    assert found.texts == (Text("alt", "酒店"), Text("surrounding", "酒店在城里。它很大。"))
    assert found.boxes == ((1, 2, 30, 40),)


def test_the_older_form_with_captions_and_without_boxes_is_read(tmp_path: Path) -> None:
    line = json.dumps({"image_id": "a.jpg", "captions": ["一只猫", "猫"]})
    (found,) = check_source(source(tmp_path, line))
    assert isinstance(found, Candidate)
    assert (found.texts, found.boxes) == ((Text("caption", "一只猫"), Text("caption", "猫")), ())


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"image_id": "a.jpg"}',
        record(""),
        record("a.jpg", sentences=[["a", "b", "c"]]),
        record("a.jpg", sentences=[[1, 2]]),
        record("a.jpg", bbox=[[1, 2, 3]]),
        record("a.jpg", bbox="all"),
        record("a.jpg", bbox=[[0, 0, 1, 1e9]]),
        record("a.jpg", bbox=[[0, 0, -1, True]]),
        record("a.jpg", bbox=[[0, 0, 1, 1]] * 1001),
    ],
)
def test_a_record_that_is_none_is_a_drop_in_its_place(line: str, tmp_path: Path) -> None:
    found = check_source(source(tmp_path, record("a.jpg"), line, record("a.jpg")))
    assert [type(one) for one in found] == [Candidate, Drop, Candidate]


def test_a_record_reaches_no_file_outside_its_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg"), "sub/../../secret.jpg"):
        (found,) = check_source(source(inner, record(name)))
        assert isinstance(found, Candidate)
        assert found.origin is not None
        assert Path(found.origin.path).parent == inner


def test_images_may_lie_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "imgs").mkdir(parents=True)
    (tmp_path / "pictures" / "imgs" / "b.jpg").write_bytes(make_image(2))
    (tmp_path / "records.jsonl").write_text(record("imgs/b.jpg"), "utf-8")
    (found,) = check_source(Brivl(path="records.jsonl", pictures="pictures", base=str(tmp_path)))
    assert isinstance(found, Candidate)
    assert found.url == "pictures/imgs/b.jpg"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_records_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text(content)
    with pytest.raises(UsageError, match="no line of JSON"):
        list(Brivl(path=str(tmp_path / "records.jsonl")).parts(source=0, max_rows=9))
    with pytest.raises(UsageError, match="no such file"):
        list(Brivl(path=str(tmp_path / "other.jsonl")).parts(source=0, max_rows=9))


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="BriVL's three records are not beside the repository"
)
def test_the_released_records_are_read_whole() -> None:
    found = check_source(Brivl(path=str(SHARED / "example.jsonl")))
    assert [len(one.boxes) for one in found if isinstance(one, Candidate)] == [100, 100, 100]
    assert [
        [len(text.text) for text in one.texts] for one in found if isinstance(one, Candidate)
    ] == [
        [7, 21],
        [4, 33],
        [13, 343],
    ]
    assert all(
        isinstance(one, Candidate) and one.origin and Path(one.origin.path).is_file()
        for one in found
    )
