import os
from pathlib import Path

import pytest

from tests.conformance_source import check_source
from wenlan_data.errors import UsageError
from wenlan_data.records import Candidate, Drop, Origin, Text
from wenlan_data.sources.folder import Folder


def _write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _urls(rows: list[Candidate | Drop]) -> list[str]:
    return [row.url for row in rows if isinstance(row, Candidate)]


def test_images_come_with_their_sidecars_sorted_and_named_as_the_operator_wrote(
    tmp_path: Path,
) -> None:
    _write(
        tmp_path / "photos",
        {
            "b.PNG": b"1",
            "b.txt": "湖边".encode(),
            "a/cat.jpg": b"2",
            "a/cat.txt": "一只猫\n".encode(),
            "a.gif": b"3",
        },
    )
    rows = check_source(Folder(path="photos/", base=str(tmp_path)), max_rows=2)
    assert _urls(rows) == ["photos/a/cat.jpg", "photos/a.gif", "photos/b.PNG"]
    assert rows[0] == Candidate(
        url="photos/a/cat.jpg",
        texts=(Text("caption", "一只猫"),),
        source="folder:photos/",
        origin=Origin(kind="file", path=str(tmp_path / "photos/a/cat.jpg")),
    )


def test_an_image_without_text_is_a_candidate_and_a_text_without_image_is_ignored(
    tmp_path: Path,
) -> None:
    root = _write(
        tmp_path, {"a.jpg": b"1", "b.txt": b"2", "notes.md": b"3", "c.webp": b"4", "c.txt": b" \n"}
    )
    rows = check_source(Folder(path=str(root)))
    assert [(row.url, row.texts) for row in rows if isinstance(row, Candidate)] == [
        (str(root / "a.jpg"), ()),
        (str(root / "c.webp"), ()),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_sidecars_are_read_in_the_encodings_of_chinese_files(tmp_path: Path, encoding: str) -> None:
    _write(tmp_path, {"a.jpg": b"1", "a.txt": "江南水乡的石桥".encode(encoding)})
    [row] = check_source(Folder(path=str(tmp_path)))
    assert isinstance(row, Candidate)
    assert row.texts == (Text("caption", "江南水乡的石桥"),)


def test_an_unreadable_sidecar_is_a_drop_in_its_place_that_names_it(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "p/a.jpg": b"1",
            "p/a.txt": b"\xff\xff\xff",
            "p/b.jpg": b"1",
            "p/b.txt": b"x" * (1 << 20) + b"x",
        },
    )
    rows = check_source(Folder(path="p", base=str(tmp_path)))
    assert [row.reason for row in rows if isinstance(row, Drop)] == ["bad_encoding", "bad_text"]
    assert [row.detail.partition(":")[0] for row in rows if isinstance(row, Drop)] == [
        "text of p/a.jpg",
        "text of p/b.jpg",
    ]


def test_links_out_of_the_folder_and_linked_folders_are_drops(tmp_path: Path) -> None:
    root = _write(tmp_path / "in", {"a.jpg": b"1", "sub/b.jpg": b"2"})
    _write(tmp_path / "out", {"secret.jpg": b"3", "secret.txt": b"word"})
    (root / "c.jpg").symlink_to(tmp_path / "out/secret.jpg")
    (root / "a.txt").symlink_to(tmp_path / "out/secret.txt")
    (root / "d.jpg").symlink_to(root / "a.jpg")
    (root / "loop").symlink_to(root)
    (root / "elsewhere").symlink_to(tmp_path / "out")
    rows = check_source(Folder(path="in", base=str(tmp_path)))
    assert _urls(rows) == ["in/d.jpg", "in/sub/b.jpg"]
    assert all(row.texts == () for row in rows if isinstance(row, Candidate))
    assert [(row.reason, row.detail) for row in rows if isinstance(row, Drop)] == [
        ("unreadable_text", "text of in/a.jpg: a link out of the folder"),
        ("not_a_file", "in/c.jpg: a link out of the folder"),
        ("not_a_file", "in/elsewhere: a link to a folder"),
        ("not_a_file", "in/loop: a link to a folder"),
    ]


def test_a_file_name_that_is_not_utf8_is_a_drop(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xc3\x28\xff.jpg")).write_bytes(b"1")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    [row] = check_source(Folder(path=str(tmp_path)))
    assert isinstance(row, Drop)
    assert row.reason == "bad_url"
    assert row.detail.isascii()


def test_a_missing_or_empty_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    _write(tmp_path, {"file.txt": b"1", "empty/readme.md": b"2"})
    for path, message in [
        ("none", r"none: there is no such folder: give a folder of images"),
        ("file.txt", r"file.txt: a file, no folder: give a folder of images, or table:FILE"),
        ("empty", r"empty: there is no image in this folder: files named .*\.jpg"),
    ]:
        with pytest.raises(UsageError, match=message):
            list(Folder(path=path, base=str(tmp_path)).parts(source=0, max_rows=10))
