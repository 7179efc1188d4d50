"""The index of a shard: what it holds, and that no other file passes for it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.load.corpora import jpeg, write_tar
from tests.shard.make_golden import GOLDEN
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.shard.index import build_offsets, load_offsets
from wenlan_data.shard.index_source import IndexSource, find_sources, write_beside
from wenlan_data.shard.reader import read_corpus, scan
from wenlan_data.shard.sample_index import (
    IndexMismatchError,
    MemberColumns,
    SampleIndex,
    encode_index,
    open_sample_index,
)
from wenlan_data.shard.verify import verify

ID = bytes(range(32))


def _page(url: str) -> int:
    digest = hashlib.sha256(url.encode()).digest()[:8]
    return int.from_bytes(digest, "little", signed=True) if url else 0


def _open(path: Path, data: bytes, *, tar_bytes: int = 100_000, samples: int | None = None) -> int:
    """Opens an index and reads all of it; returns its samples."""
    path.write_bytes(data)
    index = open_sample_index(path, identity=ID, tar_bytes=tar_bytes, samples=samples)
    for row in range(index.samples):
        index.sample(row)
    return index.samples


def _columns(**changes: object) -> MemberColumns:
    numbers = np.arange(5, dtype=np.int64)
    columns = MemberColumns(
        keys=["猫".encode(), b"longer", b""],
        counts=np.array([2, 1, 2]),
        offset=512 + 2048 * numbers,
        size=100 * numbers,
        crc32c=numbers + (1 << 31),
        kind=np.array([0, 1, 0, 0, 2]),
        kinds=["jpg", "txt", "文.json"],
    )
    return replace(columns, **changes)  # type: ignore[arg-type]


PAGES = np.array([-5, 0, 1 << 62])


def _encode(columns: MemberColumns) -> bytes:
    return encode_index(columns, PAGES, tar_bytes=100_000, identity=ID)


def test_the_index_holds_what_the_tables_hold(tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(GOLDEN, tmp_path / "corpus"))
    pages = {sample.key: _page(sample.page_url) for sample in read_corpus(corpus)}
    assert 0 not in pages.values()
    for source in find_sources([corpus]):
        index, is_new = write_beside(source)
        assert is_new
        expected: dict[str, dict[str, tuple[int, int, int]]] = {}
        for one in load_offsets(Path(source.offsets)):
            members = expected.setdefault(one.key, {})
            members[one.member.removeprefix(f"{one.key}.")] = (one.offset, one.size, one.crc32c)
        found = [index.sample(row) for row in range(index.samples)]
        assert [(one.key, one.members) for one in found] == list(expected.items())
        assert [one.page for one in found] == [pages[key] for key in expected]
    assert verify(corpus) == []


def test_equal_tables_give_equal_bytes(tmp_path: Path) -> None:
    other = Path(shutil.copytree(GOLDEN, tmp_path / "elsewhere"))
    for one, two in zip(find_sources([GOLDEN]), find_sources([other]), strict=True):
        assert one.build() == two.build()


def test_samples_of_any_members_and_keys_are_held(tmp_path: Path) -> None:
    members = {"a/猫.jpg": jpeg(1), "a/猫.txt": b"x", "b.png": jpeg(2)}
    members |= {f"video.{number:04d}.jpg": b"%d" % number for number in range(300)}
    tar = write_tar(tmp_path / "a.tar", members)
    [source] = find_sources([tar])
    index, _ = write_beside(source)
    groups = list(scan(tar))
    checksums = iter(build_offsets(tar))
    assert [index.sample(row).key for row in range(index.samples)] == [one.key for one in groups]
    for row, group in enumerate(groups):
        found = index.sample(row)
        assert found.page == 0
        assert list(found.members) == list(group.members)
        for name, one in found.members.items():
            assert (one.offset, one.size) == (group.members[name].offset, group.members[name].size)
            assert one.crc32c == next(checksums).crc32c


def test_a_row_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.index").write_bytes(_encode(_columns()))
    index = open_sample_index(tmp_path / "a.index", identity=ID, tar_bytes=100_000, samples=3)
    for row in (-1, 3, 1 << 40):
        with pytest.raises(IndexError):
            index.sample(row)


def test_every_cut_and_every_flipped_bit_is_found(tmp_path: Path) -> None:
    whole = _encode(_columns())
    assert _open(tmp_path / "whole", whole, samples=3) == 3
    for at in range(len(whole)):
        with pytest.raises(IndexMismatchError, match="not the index of this shard"):
            _open(tmp_path / "cut", whole[:at])
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            with pytest.raises(IndexMismatchError):
                _open(tmp_path / "flipped", bytes(flipped))
    with pytest.raises(IndexMismatchError):
        _open(tmp_path / "long", whole + b"\0")


@pytest.mark.parametrize(
    "change",
    [
        {"offset": np.array([0, 512, 512, 512, 512])},
        {"offset": np.array([-(1 << 62), 512, 512, 512, 512])},
        {"offset": np.array([512, 512, 512, 512, 100_001])},
        {"offset": np.array([512, 512, 512, 512, (1 << 63) - 1])},
        {"size": np.array([0, 0, 0, 0, 100_000])},
        {"size": np.array([-1, 0, 0, 0, 0])},
        {"size": np.array([(1 << 63) - 1, 0, 0, 0, 0])},
        {"kind": np.array([0, 1, 0, 0, 3])},
        {"keys": [b"\xff", b"", b""]},
        {"counts": np.array([2, 1, 3])},
    ],
)
def test_hostile_records_are_refused_though_their_checksums_are_right(
    tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(IndexMismatchError, match=r"the record of sample \d is corrupt"):
        _open(tmp_path / "a.index", _encode(_columns(**change)))


def _forged(data: bytes, at: int, value: bytes) -> bytes:
    """Replaces bytes of the header, whose checksum is right again."""
    kinds = json.dumps(_columns().kinds, ensure_ascii=False).encode()
    header = bytearray(data[:72])
    header[at : at + len(value)] = value
    checksum = google_crc32c.extend(google_crc32c.value(bytes(header[:-4])), kinds)
    return bytes(header[:-4]) + int(checksum).to_bytes(4, "little") + data[72:]


@pytest.mark.parametrize(
    ("at", "value", "problem"),
    [
        (8, b"\2\0\0\0", "version"),
        (12, b"\xff" * 4, "bytes expected"),
        (16, b"\xff" * 4, "bytes expected"),
        (20, b"\xff" * 4, "bytes expected"),
        (24, b"\xff" * 4, "bytes expected"),
        (28, b"\xff" * 8, "other files"),
        (36, b"\xff" * 32, "other files"),
    ],
)
def test_hostile_headers_are_refused_though_their_checksum_is_right(
    tmp_path: Path, at: int, value: bytes, problem: str
) -> None:
    whole = _encode(_columns())
    assert _forged(whole, 8, b"\1") == whole
    with pytest.raises(IndexMismatchError, match=problem):
        _open(tmp_path / "a.index", _forged(whole, at, value))


def test_an_index_of_other_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexMismatchError, match="4 samples expected, 3 found"):
        _open(tmp_path / "a.index", _encode(_columns()), samples=4)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "corpus"))


def _indexed(corpus: Path) -> list[tuple[IndexSource, SampleIndex]]:
    return [(source, write_beside(source)[0]) for source in find_sources([corpus])]


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "a flipped bit": lambda path: path.write_bytes(
        path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])
    ),
    "another shard's": lambda path: shutil.copyfile(path.with_name("wenlan-000001.index"), path),
}


@pytest.mark.parametrize("case", CHANGES)
def test_verify_names_an_index_that_does_not_fit(corpus: Path, case: str) -> None:
    [(first, _), _] = _indexed(corpus)
    CHANGES[case](first.beside)
    [problem] = verify(corpus)
    assert problem.shard == "wenlan-000000.index"
    assert "run `shards index`, or delete it" in problem.problem


@pytest.mark.parametrize("case", [name for name in CHANGES if name != "a flipped bit"])
def test_an_index_that_does_not_fit_is_written_again(corpus: Path, case: str) -> None:
    [(first, _), _] = _indexed(corpus)
    whole = first.beside.read_bytes()
    CHANGES[case](first.beside)
    if case == "empty":
        first.beside.unlink()
    assert write_beside(first)[1]
    assert not write_beside(first)[1]
    assert first.beside.read_bytes() == whole
    assert verify(corpus) == []


def test_new_metadata_make_the_index_stale(corpus: Path) -> None:
    [(first, _), _] = _indexed(corpus)
    Path(first.metadata).unlink()
    [without, _] = find_sources([corpus])
    with pytest.raises(IndexMismatchError, match="other files"):
        without.open(first.beside)
    index, is_new = write_beside(without)
    assert is_new
    assert {index.sample(row).page for row in range(index.samples)} == {0}


def test_tables_that_are_not_those_of_the_manifest_are_refused(corpus: Path) -> None:
    for source in find_sources([corpus])[:1]:
        for path in (Path(source.offsets), Path(source.metadata)):
            kept = path.read_bytes()
            pq.write_table(pq.read_table(path), path, compression="none")
            with pytest.raises(DamageError, match=f"{path.name}: not the one in the manifest"):
                write_beside(source)
            path.write_bytes(kept)
        tar = Path(source.tar)
        tar.write_bytes(tar.read_bytes()[:-1])
        with pytest.raises(DamageError, match="bytes expected"):
            write_beside(source)
        tar.unlink()
        with pytest.raises(DamageError, match="this shard is missing"):
            write_beside(source)


def test_a_file_of_another_program_is_not_overwritten(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {"a.jpg": jpeg(1)})
    (tmp_path / "a.index").write_bytes(b"of another program")
    with pytest.raises(UsageError, match=r"a\.index: a file of another program"):
        write_beside(find_sources([tar])[0])
    assert (tmp_path / "a.index").read_bytes() == b"of another program"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path, corpus: Path) -> None:
    [(first, _), _] = _indexed(corpus)
    outside = first.beside.rename(tmp_path / "outside")
    outside.write_bytes(outside.read_bytes()[:-1])
    cut = outside.read_bytes()
    first.beside.symlink_to(outside)
    assert write_beside(first)[1]
    assert outside.read_bytes() == cut
    assert not first.beside.is_symlink()
