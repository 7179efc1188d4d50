import doctest
import io
import tarfile
from pathlib import Path

import pytest

import wenlan_data.shard.reader
from tests.shard.make_golden import GOLDEN
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.shard.find import find_sample
from wenlan_data.shard.index import build_offsets, load_offsets
from wenlan_data.shard.reader import read_corpus, read_members, read_tar, scan, shard_paths


def _tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_members_are_grouped_up_to_the_first_dot_of_the_last_part(tmp_path: Path) -> None:
    members = {
        "a.b/c.JPG": b"1",
        "a.b/c.seg.png": b"2",
        "a.b/d.txt": b"3",
        "README": b"4",
        "a.b/.hidden": b"5",
    }
    found = list(read_tar(_tar(tmp_path / "a.tar", members)))
    assert found == [("a.b/c", {"jpg": b"1", "seg.png": b"2"}), ("a.b/d", {"txt": b"3"})]


def test_folders_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (
            ("d.txt", tarfile.DIRTYPE),
            ("l.txt", tarfile.SYMTYPE),
            ("n.txt", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
    assert list(scan(tmp_path / "a.tar")) == []


def test_a_corrupt_header_is_corrupt_where_tarfile_ends_quietly(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar", {"a.txt": b"1", "b.txt": b"2", "c.txt": b"3"})
    data = bytearray(path.read_bytes())
    data[1024] ^= 1
    path.write_bytes(data)
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["a.txt"]
    with pytest.raises(DamageError, match=r"a\.tar: byte 1024"):
        list(read_tar(path))


@pytest.mark.parametrize("bytes_left", [0, 100, 512, 600, 1100, 1600, 2048])
def test_a_tar_that_is_cut_is_corrupt(tmp_path: Path, bytes_left: int) -> None:
    path = _tar(tmp_path / "a.tar", {"a.txt": b"1" * 300, "b.txt": b"2" * 300})
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(DamageError, match=r"a\.tar"):
        list(read_tar(path))


def test_a_compressed_tar_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="decompress"):
        list(scan(_tar(tmp_path / "a.tar", {"a.txt": b"1"}, "w:gz")))


@pytest.mark.parametrize("data", [b"x" * 2000, b"\xff\xd8\xff\xe0" * 600, b"PK\x03\x04" * 500])
def test_what_is_no_tar_is_corrupt(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(DamageError, match=r"a\.tar: byte 0"):
        list(scan(tmp_path / "a.tar"))


def test_a_member_that_is_there_twice_is_corrupt(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a.txt"))
    with pytest.raises(DamageError, match="twice"):
        list(scan(tmp_path / "a.tar"))


def test_one_sample_is_read_by_its_key_from_a_corpus_and_from_tars(tmp_path: Path) -> None:
    whole = dict(pair for path in shard_paths([GOLDEN]) for pair in read_tar(path))
    for tar in shard_paths([GOLDEN]):
        (tmp_path / tar.name).write_bytes(tar.read_bytes())
    for place in (GOLDEN, tmp_path):
        for key, members in whole.items():
            assert read_members(*find_sample([place], key)) == members


def test_a_key_that_is_nowhere_is_named() -> None:
    with pytest.raises(UsageError, match="ffff"):
        find_sample([GOLDEN], "ffff")


def test_offsets_built_from_a_tar_are_those_that_the_writer_recorded() -> None:
    for tar in shard_paths([GOLDEN]):
        assert build_offsets(tar) == load_offsets(tar.with_suffix(".offsets.parquet"))


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_holds_no_shard_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=name):
        shard_paths([tmp_path / name])


def test_samples_come_in_the_order_of_the_manifest() -> None:
    keys = [sample.key for sample in read_corpus(GOLDEN)]
    assert keys == sorted(keys)
    assert len(keys) == 5


def test_the_examples_of_the_docstrings_run() -> None:
    found = doctest.testmod(wenlan_data.shard.reader)
    assert found.attempted >= 4
    assert found.failed == 0
