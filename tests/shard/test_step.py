from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.shard.make_golden import FETCHED_AT, PAIRS, shard_part, write_warc
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.recipe import Recipe
from wenlan_data.shard.format import decode_sample
from wenlan_data.shard.reader import read_tar
from wenlan_data.shard.step import ShardDetails, ShardPart
from wenlan_data.tables import METADATA


@pytest.fixture
def part(tmp_path: Path) -> ShardPart:
    return shard_part(tmp_path, 3, write_warc(tmp_path / "images.warc", PAIRS), Recipe(name="test"))


def _run(part: ShardPart, out: Path) -> ShardDetails:
    out.mkdir()
    return part(out).details


def test_running_it_twice_gives_the_same_files(part: ShardPart, tmp_path: Path) -> None:
    assert _run(part, tmp_path / "a") == _run(part, tmp_path / "b")
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {
        "wenlan-000003.tar",
        "wenlan-000003.offsets.parquet",
        "metadata.parquet",
        "drops.parquet",
    }
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_samples_hold_the_values_of_their_rows(part: ShardPart, tmp_path: Path) -> None:
    _run(part, tmp_path / "out")
    samples = [
        decode_sample(members, key)
        for key, members in read_tar(tmp_path / "out" / "wenlan-000003.tar")
    ]
    assert {sample.caption for sample in samples} == {pair.caption for pair in PAIRS}
    assert [sample.key for sample in samples] == sorted(sample.key for sample in samples)
    for sample in samples:
        assert len(sample.regions) == 37
        assert (sample.regions[-1].label, sample.regions[-1].box_xyxy) == ("image", (0, 0, 64, 48))
        assert "".join(sample.tokens) == sample.caption


def test_the_metadata_hold_the_json_and_when_it_was_fetched(
    part: ShardPart, tmp_path: Path
) -> None:
    _run(part, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "metadata.parquet")
    assert table.schema.equals(METADATA)
    rows = table.to_pylist()
    for row, (key, members) in zip(
        rows, read_tar(tmp_path / "out" / "wenlan-000003.tar"), strict=True
    ):
        sample = decode_sample(members, key)
        assert (row["key"], row["caption"], row["shard"]) == (
            key,
            sample.caption,
            "wenlan-000003.tar",
        )
        assert (row["tokens"], row["opt_out"]) == (list(sample.tokens), list(sample.opt_out))
        assert row["token_count"] == len(sample.tokens)
        assert row["caption_reason"].startswith(f"{sample.caption_type} ")
        assert (row["fetched_at"], row["ip"]) == (FETCHED_AT, "192.0.2.1")
        assert row["fetched_at"].isoformat()[:10].encode() not in b"".join(members.values())


def test_contact_data_in_author_licence_and_path_are_masked(tmp_path: Path) -> None:
    rows = write_warc(tmp_path / "images.warc", PAIRS[:2])
    stated = {"author": "https://张三\u202e13812345678", "licence": "CC BY 4.0 zhang@example.com"}
    path = {"url": "photos/张三13812345678.jpg", "final_url": "photos/张三13812345678.jpg"}
    rows = [rows[0] | stated | path, rows[1] | {"url": "https://example.org/13812345678.jpg"}]
    _run(shard_part(tmp_path, 3, rows, Recipe(name="test")), tmp_path / "out")
    samples = [
        decode_sample(members, key)
        for key, members in read_tar(tmp_path / "out" / "wenlan-000003.tar")
    ]
    assert (samples[0].author, samples[0].licence) == (
        "https://张三 [手机]",
        "CC BY 4.0 [邮箱]",
    )
    assert samples[0].image_url == "photos/张三[手机].jpg"
    assert samples[1].image_url == "https://example.org/13812345678.jpg"
    published = pq.read_table(tmp_path / "out" / "metadata.parquet").to_pylist()
    assert "13812345678" not in str(published[0])


def test_words_can_be_left_out(part: ShardPart, tmp_path: Path) -> None:
    _run(replace(part, tokens=False), tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "metadata.parquet").to_pylist()
    assert {(tuple(row["tokens"]), row["token_count"]) for row in rows} == {((), 0)}


def test_recorded_bytes_that_have_changed_are_named(part: ShardPart, tmp_path: Path) -> None:
    warc = tmp_path / "images.warc"
    data = bytearray(warc.read_bytes())
    data[-10] ^= 1
    warc.write_bytes(data)
    with pytest.raises(DamageError, match=r"images\.warc: the \d+ bytes at \d+"):
        _run(part, tmp_path / "out")


def test_a_recorded_file_that_is_missing_is_named(part: ShardPart, tmp_path: Path) -> None:
    (tmp_path / "images.warc").unlink()
    with pytest.raises(UsageError, match=r"images\.warc"):
        _run(part, tmp_path / "out")
