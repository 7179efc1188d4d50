import hashlib
import tarfile
from dataclasses import replace
from pathlib import Path

import google_crc32c
import pytest

from wenlan_data.errors import UsageError
from wenlan_data.records import Region, Sample, Text
from wenlan_data.shard.format import encode_sample
from wenlan_data.shard.index import find_locations, load_offsets, save_offsets
from wenlan_data.shard.writer import write_shard


def _encoded(number: int, size: int = 700) -> tuple[str, dict[str, bytes]]:
    sample = _sample(number, size)
    return sample.key, encode_sample(sample)


def _sample(number: int, size: int = 700) -> Sample:
    return Sample(
        key=f"{number:032x}",
        jpeg=bytes([number]) * size,
        caption=f"第{number}张",
        texts=(Text("caption", f"第{number}张"),),
        regions=(Region(box_xyxy=(0, 0, 1, 1), label="image", score=1.0),),
        width=1,
        height=1,
        sha256="0" * 64,
        phash=number,
        pdq=bytes(32),
        image_url=f"https://example.org/{number}",
    )


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    samples = [_encoded(number) for number in range(5)]
    written = [write_shard(tmp_path / name, samples) for name in ("a.tar", "b.tar")]
    assert written[0] == written[1]
    data = (tmp_path / "a.tar").read_bytes()
    assert data == (tmp_path / "b.tar").read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (written[0].bytes, written[0].sha256)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 20_000])
def test_locations_are_where_tarfile_finds_the_members(tmp_path: Path, size: int) -> None:
    written = write_shard(tmp_path / "a.tar", [_encoded(number, size) for number in range(3)])
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
    assert [(one.name, one.offset_data, one.size) for one in members] == [
        (location.member, location.offset, location.size) for location in written.locations
    ]
    data = (tmp_path / "a.tar").read_bytes()
    for location in written.locations:
        assert (
            google_crc32c.value(data[location.offset : location.offset + location.size])
            == location.crc32c
        )


def test_a_header_has_neither_time_nor_owner(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [_encoded(1)])
    with tarfile.open(tmp_path / "a.tar") as tar:
        member = tar.getmembers()[0]
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (
        0,
        0,
        0,
        "wenlan",
        "wenlan",
    )


@pytest.mark.parametrize("keys", [(2, 1), (1, 1)])
def test_samples_out_of_order_are_refused(tmp_path: Path, keys: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="sort the samples"):
        write_shard(tmp_path / "a.tar", [_encoded(key) for key in keys])


def test_a_sample_without_one_of_its_members_is_refused(tmp_path: Path) -> None:
    key, members = _encoded(1)
    del members["txt"]
    with pytest.raises(ValueError, match="three members"):
        write_shard(tmp_path / "a.tar", [(key, members)])


def test_a_shard_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"a\.tar"):
        write_shard(tmp_path / "a.tar", [_encoded(1)])
    assert (tmp_path / "a.tar").read_bytes() == b"precious"


def test_an_empty_shard_is_a_tar(tmp_path: Path) -> None:
    written = write_shard(tmp_path / "a.tar", [])
    assert (written.samples, written.bytes) == (0, 10240)
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getmembers() == []


def test_offsets_survive_their_table_and_find_one_sample(tmp_path: Path) -> None:
    samples = [_encoded(number) for number in range(4)]
    written = write_shard(tmp_path / "a.tar", samples)
    for name in ("a.offsets.parquet", "b.offsets.parquet"):
        save_offsets(tmp_path / name, written.locations)
    assert (tmp_path / "a.offsets.parquet").read_bytes() == (
        tmp_path / "b.offsets.parquet"
    ).read_bytes()
    assert load_offsets(tmp_path / "a.offsets.parquet") == list(written.locations)
    locations = find_locations(tmp_path / "a.offsets.parquet", samples[2][0])
    data = (tmp_path / "a.tar").read_bytes()
    found = {
        location.member.partition(".")[2]: data[location.offset : location.offset + location.size]
        for location in locations
    }
    assert found == samples[2][1]
    assert find_locations(tmp_path / "a.offsets.parquet", "f" * 32) == []


def test_a_caption_of_another_type_is_written(tmp_path: Path) -> None:
    write_shard(
        tmp_path / "a.tar",
        [(_sample(1).key, encode_sample(replace(_sample(1), caption_type="alt")))],
    )
    assert b'"caption_type":"alt"' in (tmp_path / "a.tar").read_bytes()
