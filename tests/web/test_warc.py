import gzip
import hashlib
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from wenlan_data.errors import DamageError, UsageError
from wenlan_data.web.warc import PayloadWriter, payload_at, record_at, records

DATE = datetime(2026, 11, 25, 12, 30, 1, 250_000, tzinfo=UTC)
BODIES = {
    "http://a.cn/一.jpg": b"\xff\xd8" + bytes(50_000),
    "http://a.cn/b": b"",
    "http://a.cn/c": b"c" * 10,
}


def _write(path: Path, *headers: tuple[str, str], bodies: dict[str, bytes] = BODIES) -> list[int]:
    with PayloadWriter(path) as writer:
        return [
            writer.response(
                url,
                body,
                status="200 OK",
                headers=[("Content-Type", "image/jpeg"), *headers],
                sha256=hashlib.sha256(body).hexdigest(),
                ip="192.0.2.1",
                date=DATE,
            )
            for url, body in bodies.items()
        ]


@pytest.mark.parametrize("copies", [1, 20])
def test_a_warc_gzipped_as_a_whole_is_refused_with_the_remedy(tmp_path: Path, copies: int) -> None:
    _write(
        tmp_path / "a.warc",
        bodies={f"http://a.cn/{n}": os.urandom(9_000) for n in range(3 * copies)},
    )
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress((tmp_path / "a.warc").read_bytes()))
    with pytest.raises(UsageError, match="gunzip it"):
        list(records(tmp_path / "a.warc.gz"))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    offsets = _write(path)
    found = list(records(path))
    assert {one.url: one.payload for one in found} == BODIES
    assert {(one.kind, one.status, one.content_type, one.ip, one.date) for one in found} == {
        ("response", 200, "image/jpeg", "192.0.2.1", DATE)
    }
    assert [record_at(path, one.offset) for one in found] == found
    with path.open("rb") as file:
        for offset, body in zip(offsets, BODIES.values(), strict=True):
            assert payload_at(file, offset, len(body), path) == body


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a.warc")
    _write(tmp_path / "b.warc")
    assert (tmp_path / "a.warc").read_bytes() == (tmp_path / "b.warc").read_bytes()


def test_warcio_reads_our_records_and_agrees_with_their_digests(tmp_path: Path) -> None:
    _write(tmp_path / "a.warc")
    with (tmp_path / "a.warc").open("rb") as file:
        read = [
            record.content_stream().read()
            for record in ArchiveIterator(file, check_digests="raise")
        ]
    assert read == list(BODIES.values())


def test_a_resource_keeps_type_and_time_of_its_file(tmp_path: Path) -> None:
    with PayloadWriter(tmp_path / "a.warc") as writer:
        offset = writer.resource(
            "file:a.png", b"png", content_type="image/png", sha256="0" * 64, date=DATE
        )
    [record] = records(tmp_path / "a.warc")
    assert (record.kind, record.content_type, record.payload, record.date) == (
        "resource",
        "image/png",
        b"png",
        DATE,
    )
    assert (tmp_path / "a.warc").read_bytes()[offset : offset + 3] == b"png"


def test_gzipped_records_are_found_at_their_compressed_offsets(tmp_path: Path) -> None:
    plain = tmp_path / "a.warc"
    _write(plain)
    data = plain.read_bytes()
    starts = [one.offset for one in records(plain)]
    members = [
        gzip.compress(data[a:b]) for a, b in zip(starts, [*starts[1:], len(data)], strict=True)
    ]
    zipped = tmp_path / "a.warc.gz"
    zipped.write_bytes(b"".join(members))
    found = list(records(zipped))
    assert [one.payload for one in found] == list(BODIES.values())
    assert [one.offset for one in found] == [0, len(members[0]), len(members[0]) + len(members[1])]
    assert [record_at(zipped, one.offset) for one in found] == found


@pytest.mark.parametrize(
    ("header", "encode"),
    [
        (("Content-Encoding", "gzip"), gzip.compress),
        (("Content-Encoding", "deflate"), zlib.compress),
        (("Content-Encoding", "gzip"), bytes),
    ],
)
def test_encoded_payloads_are_decoded_up_to_the_limit(
    tmp_path: Path, header: tuple[str, str], encode: type
) -> None:
    _write(tmp_path / "a.warc", header, bodies={"http://a.cn/": encode(b"<p>" + b"x" * 5_000_000)})
    [record] = records(tmp_path / "a.warc", max_bytes=6_000_000)
    assert record.payload[:5] == b"<p>xx"
    [record] = records(tmp_path / "a.warc", max_bytes=6_000_000)
    assert (len(record.payload), record.too_large) == (5_000_003, False)
    [record] = records(tmp_path / "a.warc", max_bytes=1000)
    assert len(record.payload) == 1000 or encode is not bytes


def test_a_payload_above_the_limit_is_cut_and_says_so(tmp_path: Path) -> None:
    _write(tmp_path / "a.warc")
    found = list(records(tmp_path / "a.warc", max_bytes=100))
    assert [(len(one.payload), one.too_large) for one in found] == [
        (100, True),
        (0, False),
        (10, False),
    ]


@pytest.mark.parametrize(
    "content", [b"<html>" * 100, gzip.compress(b"hello" * 100, mtime=0), b"\x1f\x8b broken"]
)
def test_what_is_no_warc_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.warc").write_bytes(content)
    with pytest.raises(DamageError, match=r"a\.warc: at byte 0: .*not an intact WARC"):
        list(records(tmp_path / "a.warc"))


@pytest.mark.parametrize("kept_bytes", [20, 200, 430, 1000, 50_000])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_warc_cut_inside_a_record_is_damage_at_its_offset(
    tmp_path: Path, kept_bytes: int, zipped: bool
) -> None:
    _write(tmp_path / "whole.warc", bodies={"http://a.cn/a": bytes(range(256)) * 300})
    data = (tmp_path / "whole.warc").read_bytes()
    whole = gzip.compress(data) if zipped else data
    kept = min(kept_bytes, len(whole) - 50)
    (tmp_path / "a.warc").write_bytes(whole + whole[:kept])
    with pytest.raises(DamageError, match=rf"a\.warc: at byte {len(whole)}: "):
        list(records(tmp_path / "a.warc"))


def test_an_offset_inside_a_record_is_damage(tmp_path: Path) -> None:
    _write(tmp_path / "a.warc")
    with pytest.raises(DamageError, match="at byte 7: "):
        record_at(tmp_path / "a.warc", 7)


def test_a_server_cannot_write_into_our_headers(tmp_path: Path) -> None:
    _write(
        tmp_path / "a.warc",
        ("X-Evil", "a\r\nWARC-Type: request"),
        bodies={"http://a.cn/\r\nX: y": b"1"},
    )
    [record] = records(tmp_path / "a.warc")
    assert (record.kind, record.payload) == ("response", b"1")
    assert "X" not in dict(record.headers)
