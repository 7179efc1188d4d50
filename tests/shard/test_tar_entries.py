"""Tars of every common writer are read as `tarfile` reads them; hostile ones end at once, with the
byte at which they break."""

import base64
import io
import os
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from webdataset.writer import TarWriter

from tests.bounds import bounded
from tests.mutations import mutations
from tests.shard.make_golden import GOLDEN
from tests.shard.tar_blocks import (
    END,
    block,
    data,
    extension,
    member,
    pax,
    record,
    write_sparse,
)
from wenlan_data.errors import DamageError, UsageError, WenlanError
from wenlan_data.report.tar_reader import read_tar_data
from wenlan_data.shard.index import build_offsets
from wenlan_data.shard.reader import read_tar, scan
from wenlan_data.shard.summary import summarise
from wenlan_data.shard.tar_entries import CorruptTarError, EntryKind, tar_entries
from wenlan_data.shard.verify import verify

NAMES = ("a.jpg", "n" * 98 + ".txt", "文/" * 60 + "图片.json", "d" * 90 + "/" + "e" * 140 + ".txt")
BSDTAR_PAX = (
    "eNrtmV9Og0AQxnnuKfYEOLP/Bh767mOvsLFEULENrgk38AYe0XO41ETNpiDGLE3t/EJC4OMBsvm+mR02rr+u3Lbqrl"
    "x+t7/NUgAAVmsxnAPxGQAVCjQKpLLGKCXCDZKUiT5bgOcn77rwKt1u56ee+0mPP+5MkKW48U1brZFKU6DEgvKSENFC"
    "sVIgXCxKUx5EOajtuJox50A618/3P4CK/I9kdCaA/Z+cumGnXjKbz/r/9vqS4pjhf0WR/w2gtlz/lwCtFnvn63Wi5f"
    "/jkfver472KMZ89ChBdFNiOyqy+QPp13BO/ZeR/5Escf1fgp5twPX/UP8fmsf7IW6T9P9ENLH/lxT1/zokANf/k+3/"
    "LU3U1m9iOyqysc6EdK6f7//hIpr/aRP6f7nEcOLC/f+V/7Xrtsny/5fzX62t5vw/Wf6Pz3+LPGzXB5FKnv/+B9K5fr"
    "7/j+X/8P8HOf8ZhmGS8Q6oZ+/E"
)
"""A tar of `bsdtar --format=pax` 3.7.4: a long Chinese name, times in nanoseconds, a symbolic and
a hard link."""


def _tarfile_entries(path: Path) -> list[tuple[str, int, int, int, bool]]:
    with tarfile.open(path, "r:") as opened:
        return [
            (one.name, one.offset, one.offset_data, one.size, one.isreg() and one.sparse is None)
            for one in opened
        ]


def _entries(path: Path) -> list[tuple[str, int, int, int, bool]]:
    return [
        (one.name.rstrip("/"), one.offset, one.offset_data, one.size, one.is_plain)
        for one in tar_entries(path)
    ]


def _write_files(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes([number]) * (number * 700))
    (folder / "link.txt").symlink_to("a.jpg")
    os.link(folder / NAMES[1], folder / "hard.txt")
    os.mkfifo(folder / "pipe.txt")
    with (folder / "sparse.txt").open("wb") as file:
        for place in range(0, 1 << 20, 1 << 14):  # more pieces than one header holds
            os.pwrite(file.fileno(), b"x", place)


@pytest.mark.parametrize(
    ("kind", "sparse"),
    [
        *((kind, []) for kind in ("v7", "oldgnu", "gnu", "ustar", "posix")),
        *((kind, ["--sparse"]) for kind in ("oldgnu", "gnu", "posix")),
        *(("posix", ["--sparse", f"--sparse-version={one}"]) for one in ("0.0", "0.1", "1.0")),
    ],
)
def test_tars_of_gnu_tar(tmp_path: Path, kind: str, sparse: list[str]) -> None:
    (tmp_path / "in").mkdir()
    _write_files(tmp_path / "in")
    command = [
        "tar",
        "-C",
        str(tmp_path / "in"),
        f"--format={kind}",
        *sparse,
        "-cf",
        str(tmp_path / "a.tar"),
    ]
    # Long names and sparse files that a format cannot hold are left out with an error.
    subprocess.run([*command, "."], capture_output=True, check=False)
    found = _entries(tmp_path / "a.tar")
    assert [one for one in found if one[4]] == [
        one for one in _tarfile_entries(tmp_path / "a.tar") if one[4]
    ]
    assert len(found) == len(_tarfile_entries(tmp_path / "a.tar")) >= 5


@pytest.mark.skipif(not shutil.which("bsdtar"), reason="bsdtar is not installed")
@pytest.mark.parametrize("kind", ["ustar", "pax", "gnutar", "v7tar"])
def test_tars_of_bsdtar(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    _write_files(tmp_path / "in")
    command = [
        "bsdtar",
        "-C",
        str(tmp_path / "in"),
        "--format",
        kind,
        "-cf",
        str(tmp_path / "a.tar"),
        ".",
    ]
    subprocess.run(command, capture_output=True, check=False)
    expected = [one for one in _tarfile_entries(tmp_path / "a.tar") if one[4]]
    assert [one for one in _entries(tmp_path / "a.tar") if one[4]] == expected
    assert expected


def test_a_recorded_tar_of_bsdtar(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(zlib.decompress(base64.b64decode(BSDTAR_PAX)))
    assert _entries(tmp_path / "a.tar") == _tarfile_entries(tmp_path / "a.tar")
    kinds = [one.kind for one in tar_entries(tmp_path / "a.tar")]
    assert kinds.count(EntryKind.FILE) == 2
    assert EntryKind.SYMBOLIC_LINK in kinds


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mtime", [0, 1.5, -1, 1 << 40])
def test_tars_of_tarfile(tmp_path: Path, kind: int, mtime: float) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=kind) as out:
        for number, name in enumerate(NAMES):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid = number * 700, mtime, 1 << 30
            info.pax_headers = {"comment": "文" * 5000} if number == 1 else {}
            try:
                out.addfile(info, io.BytesIO(bytes(info.size)))
            except ValueError:  # too long for this format
                continue
    if kind != tarfile.USTAR_FORMAT:
        assert len(list(scan(tmp_path / "a.tar"))) == len(NAMES)
    assert _entries(tmp_path / "a.tar") == _tarfile_entries(tmp_path / "a.tar")


def test_tars_of_webdataset(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "a.tar")) as out:  # with a fractional time in a PAX header
        for number in range(3):
            out.write({"__key__": f"部/{number}", "jpg": bytes(900), "json": {"n": number}})
    assert _entries(tmp_path / "a.tar") == _tarfile_entries(tmp_path / "a.tar")
    assert [key for key, _ in read_tar(tmp_path / "a.tar")] == ["部/0", "部/1", "部/2"]


def test_a_global_header_of_git_and_the_sizes_of_large_files_are_understood(tmp_path: Path) -> None:
    whole = extension(b"g", record(b"comment", b"0" * 40)) + b"".join(
        [
            block(b"a.txt", b"\x80" + (3).to_bytes(11, "big")) + data(b"abc"),
            pax(b"size", b"4") + block(b"b.txt", 0) + data(b"abcd"),
            pax(b"path", "远.txt".encode()) + member(b"c.txt"),
            extension(b"L", b"l" * 300 + b".txt\0") + member(b"l"),
            pax(b"path", b"") + block(b"e.txt", b"          5 ") + data(b"abcde"),
            block(b"BZ.txt", 1, prefix=b"p") + data(b"x"),
            block(b"old.txt", 1, magic=b"", prefix=b"no prefix") + data(b"x"),
            block(b"gnu.txt", 1, magic=b"ustar  \0", prefix=b"00000000000\0") + data(b"x"),
        ]
    )
    (tmp_path / "a.tar").write_bytes(whole + END)
    found = {one.name: one.size for one in tar_entries(tmp_path / "a.tar")}
    assert found == {
        "a.txt": 3, "b.txt": 4, "远.txt": 1, "l" * 300 + ".txt": 1, "e.txt": 5, "p/BZ.txt": 1,
        "old.txt": 1, "gnu.txt": 1,
    }  # fmt: skip
    (tmp_path / "b.tar").write_bytes(member(b"BZ.txt") + END)
    assert [one.name for one in tar_entries(tmp_path / "b.tar")] == ["BZ.txt"]


def test_a_name_in_another_encoding_is_text_that_a_table_takes(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(member("猫狗.txt".encode("gbk")) + END)
    [location] = build_offsets(tmp_path / "a.tar")
    assert location.key == "è\\xb9\\xb7"


def test_checksums_of_signed_bytes_are_right_as_well(tmp_path: Path) -> None:
    header = bytearray(block("图.txt".encode()))
    signed = sum(byte - 256 * (byte > 127) for byte in header[:148] + b" " * 8 + header[156:])
    header[148:156] = b"%06o\0 " % signed
    (tmp_path / "a.tar").write_bytes(bytes(header) + END)
    assert [one.name for one in tar_entries(tmp_path / "a.tar")] == ["图.txt"]


READERS: tuple[Callable[[Path], object], ...] = (
    lambda path: list(read_tar(path)),
    build_offsets,
    lambda path: summarise([path]).as_json(),
)
"""Those that read the bytes of members."""
MIB = bytes(1 << 20)
LONG_PAX = record(b"comment", b"x" * (1 << 19))
# Bytes of a tar without its end, and what the message holds.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "octal minus": (block(size=b"-0000000001\0"), "is no octal number"),
    "octal plus": (block(size=b"+0000000001\0"), "is no octal number"),
    "octal underscore": (block(size=b"0000_000001\0"), "is no octal number"),
    "octal eight": (block(size=b"00000000008\0"), "is no octal number"),
    "octal prefix": (block(size=b"0o000000001\0"), "is no octal number"),
    "octal too large": (block(size=b"77777777777\0"), "cut short: its data end at"),
    "one byte too large": (block(size=1025), "cut short: its data end at"),
    "base 256 minus": (block(size=b"\xff" * 12), "negative"),
    "base 256 minus one block": (block(size=(-512).to_bytes(12, "big", signed=True)), "negative"),
    "base 256 too large": (block(size=b"\x80" + b"\xff" * 11), "cut short"),
    "base 256 overflow": (block(size=b"\x80\0\0\0\x7f" + b"\xff" * 7), "cut short"),
    "base 256 other bits": (block(size=b"\xc0" + bytes(11)), "negative"),
    "pax size of a loop": (pax(b"size", b"-1536") + member(b"a.txt"), "no number of bytes"),
    "pax size plus": (pax(b"size", b"+1") + member(b"a.txt"), "no number of bytes"),
    "pax size fraction": (pax(b"size", b"1.5") + member(b"a.txt"), "no number of bytes"),
    "pax size exponent": (pax(b"size", b"1e3") + member(b"a.txt"), "no number of bytes"),
    "pax size other digits": (pax(b"size", "١".encode()) + member(b"a.txt"), "no number of bytes"),
    "pax size digits": (pax(b"size", b"9" * 900_000) + member(b"a.txt"), "no number of bytes"),
    "pax size zeros": (pax(b"size", b"0" * 900_000) + member(b"a.txt"), "no number of bytes"),
    "pax size overflow": (pax(b"size", b"%d" % (1 << 64)) + member(b"a.txt"), "cut short"),
    "pax size too large": (pax(b"size", b"99999") + member(b"a.txt"), "cut short"),
    "pax size of an extension": (
        pax(b"size", b"99999") + extension(b"L", b"a") + member(b"a.txt"),
        "cut short",
    ),
    "pax length 0": (extension(b"x", b"0 a=b\n") + member(b"a.txt"), "wrong length"),
    "pax length too short": (extension(b"x", b"3 a=b\n") + member(b"a.txt"), "wrong length"),
    "pax length too long": (extension(b"x", b"99 a=b\n") + member(b"a.txt"), "wrong length"),
    "pax length minus": (extension(b"x", b"-6 a=b\n") + member(b"a.txt"), "wrong length"),
    "pax length digits": (
        extension(b"x", b"9" * 900_000 + b" a=b\n") + member(b"a.txt"),
        "wrong length",
    ),
    "pax length zeros": (
        extension(b"x", b"0" * 900_000 + b"6 a=b\n") + member(b"a.txt"),
        "wrong length",
    ),
    "pax length alone": (extension(b"x", b"6") + member(b"a.txt"), "wrong length"),
    "pax no line feed": (extension(b"x", b"6 a=bc") + member(b"a.txt"), "wrong length"),
    "pax no equals sign": (extension(b"x", b"6 abc\n") + member(b"a.txt"), "no keyword"),
    "pax no keyword": (extension(b"x", b"6 =abc\n"[1:]) + member(b"a.txt"), "wrong length"),
    "pax empty keyword": (extension(b"x", b"5 =b\n") + member(b"a.txt"), "no keyword"),
    "chain": (pax(b"comment", b"x") * 2000 + member(b"a.txt"), "extension headers of one entry"),
    "chain of long names": (
        extension(b"L", b"a.txt") * 2000 + member(b"a.txt"),
        "extension headers of one entry",
    ),
    "chain of global headers": (
        extension(b"g", record(b"comment", b"x")) * 2000 + member(b"a.txt"),
        "extension headers of one entry",
    ),
    "extension too large": (
        extension(b"x", record(b"comment", b"x" * (1 << 21))) + member(b"a.txt"),
        "an extension header of",
    ),
    "long name too large": (extension(b"L", MIB + MIB) + member(b"a.txt"), "an extension header"),
    "long link too large": (extension(b"K", MIB + MIB) + member(b"a.txt"), "an extension header"),
    "extension beyond the end": (block(b"p", 1 << 19, b"x"), "cut short"),
    "extension of no size": (block(b"p", b"x", b"x"), "is no octal number"),
    "extension alone": (pax(b"comment", b"x"), "an extension header without an entry"),
    "extensions in all": (
        b"".join(extension(b"x", LONG_PAX) + member(b"%d.txt" % number) for number in range(40)),
        "more extension headers than",
    ),
    "global path": (
        extension(b"g", record(b"path", b"b.txt")) + member(b"a.txt"),
        "a global PAX header sets path",
    ),
    "global size": (
        extension(b"g", record(b"size", b"9")) + member(b"a.txt"),
        "a global PAX header sets size",
    ),
    "global sparse": (
        extension(b"g", record(b"GNU.sparse.map", b"0,1")) + member(b"a.txt"),
        "a global PAX header sets GNU.sparse.map",
    ),
    "name of a megabyte": (pax(b"path", b"a" * 1_000_000) + member(b"a.txt"), "a name of"),
    "long name of a megabyte": (extension(b"L", b"a" * 1_000_000) + member(b"a"), "a name of"),
    "sparse map without end": (
        block(b"a.txt", 0, b"S", rest={482: b"\1"})
        + (bytes(504) + b"\1" + bytes(7)) * 10_000,
        "cut short",
    ),
    "checksum": (block(checksum=b"0000000\0"), "its checksum is wrong"),
    "checksum in base 256": (block(checksum=b"\x80" + bytes(7)), "its checksum is wrong"),
    "checksum of letters": (block(checksum=b"abcdef\0 "), "is no octal number"),
    "no header": (b"\xff" * 512, "negative"),
    "hidden members": (member(b"a.txt") + END + member(b"b.txt"), "hidden"),
    "hidden behind one block": (member(b"a.txt") + bytes(512) + member(b"b.txt"), "hidden"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_tar_ends_at_once_with_its_byte(tmp_path: Path, case: str) -> None:
    content, message = HOSTILE[case]
    path = tmp_path / "a.tar"
    path.write_bytes(content + END)
    with bounded(seconds=20, mib=100):
        with pytest.raises(CorruptTarError, match=r"a\.tar: byte \d+: ") as raised:
            list(scan(path))
        assert message in str(raised.value)
        assert len(str(raised.value)) < 1000
        assert 0 <= raised.value.offset <= path.stat().st_size
        problems = [one.problem for one in verify(path) if message in one.problem]
        assert len(problems) == 1
        for read in READERS:
            with pytest.raises(DamageError, match=r"a\.tar"):
                read(path)


def test_extension_data_of_gigabytes_are_not_read(tmp_path: Path) -> None:
    for kind in (b"x", b"L"):
        header = block(b"p", 2_500_000_000, kind)
        path = write_sparse(tmp_path / "a.tar", 2_600_000_000, {0: header})
        with bounded(mib=100), pytest.raises(CorruptTarError, match="an extension header of"):
            list(scan(path))


def test_the_largest_members_are_not_read_and_their_sample_is_named(tmp_path: Path) -> None:
    size = 300 << 20
    path = write_sparse(tmp_path / "a.tar", 2 * size, {0: block(b"a.jpg", size)})
    with bounded(mib=100):
        assert [one.key for one in scan(path)] == ["a"]
        for read in READERS:
            with pytest.raises(DamageError, match="exceed the limit"):
                read(path)
        assert verify(path) == []
        assert read_tar_data([path], "a").statistics.samples == 1


def test_a_sample_of_many_large_members_is_not_read(tmp_path: Path) -> None:
    size = 100 << 20
    pieces = {at * (size + 512): block(b"a.%d" % at, size) for at in range(20)}
    path = write_sparse(tmp_path / "a.tar", 20 * (size + 512) + 1024, pieces)
    with bounded(mib=200), pytest.raises(DamageError, match="'a': 2097152000 bytes exceed"):
        list(read_tar(path))


def test_a_sample_of_very_many_members_is_refused(tmp_path: Path) -> None:
    members = (block(b"a.%d" % number) for number in range(5000))
    (tmp_path / "a.tar").write_bytes(b"".join(members) + END)
    with pytest.raises(DamageError, match="more than 4096 members of one sample"):
        list(scan(tmp_path / "a.tar"))
    [problem] = verify(tmp_path / "a.tar")
    assert problem.problem == "more than 4096 members of one sample"


def test_memory_does_not_grow_with_the_members(tmp_path: Path) -> None:
    with (tmp_path / "a.tar").open("wb") as file:
        for number in range(30_000):
            file.write(block(b"%d.txt" % number))
        file.write(END)
    with bounded(mib=10):
        assert sum(1 for _ in scan(tmp_path / "a.tar")) == 30_000
    with bounded(mib=40):
        assert verify(tmp_path / "a.tar") == []


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_pipe_or_device_is_refused_without_waiting(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "a.tar")
    path = tmp_path / "a.tar" if place == "file" else tmp_path
    with bounded(seconds=20), pytest.raises(UsageError, match=r"a\.tar"):
        verify(path)


JSON_CASES = {
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 100_000,
    "deep in utf-16": ("[" * 100_000).encode("utf-16"),
    "deep behind a quote": b'{"\xe2\x88\x80": "' + b'\\"' * 100_000 + b'", "b": ' + b"[" * 900,
    "unterminated text": b'"' + b'\\"' * 2_000_000,
    "digits": b"9" * 1_000_000,
    "negative digits": b'{"a": -' + b"1" * 5000 + b"}",
    "invalid utf-8": b'{"a": "\xff\xfe"}',
    "no value": b"",
}


@pytest.mark.parametrize("case", JSON_CASES)
def test_hostile_json_is_one_problem(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(member(b"a.json", JSON_CASES[case]) + END)
    with bounded(seconds=20, mib=300):
        [problem] = verify(path)
        assert problem.member == "a.json"
        assert "not valid JSON" in problem.problem
        assert len(problem.problem) < 300
        assert summarise([path]).samples == 1
        assert read_tar_data([path], "a").statistics.samples == 1


def test_json_beyond_the_limit_is_a_problem_and_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(member(b"a.json", b"[" + b'{"":0},' * (6 << 20) + b"0]") + END)
    with bounded(mib=200):
        [problem] = verify(path)
        assert "of JSON, more than" in problem.problem
        assert summarise([path]).samples == 1


def test_the_largest_json_stays_within_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(member(b"a.json", b"[" + b'{"":0},' * ((16 << 20) // 7 - 1) + b"0]") + END)
    with bounded(mib=1000):
        assert verify(path) == []


@pytest.mark.parametrize(
    "fields",
    [
        b'{"regions": [{"box": [0,0,1,1], "score": %s}]}' % (b"1" + b"0" * 400),
        b'{"regions": [{"box": [0,0,1,1], "score": 1e400}]}',
        b'{"regions": [{"box": [0,0,1,1], "score": NaN}]}',
        b'{"regions": [{"box": [0,0,-Infinity,1], "score": 1}]}',
        b'{"regions": [{"box": [0,0,%s,1], "score": 1}]}' % (b"9" * 4000),
        b'{"width": %s, "height": %s}' % (b"9" * 4000, b"9" * 4000),
        b'{"width": true, "height": -5, "source": 7}',
        b'{"texts": [{"type": "a", "text": "b", "confidence": %s}]}' % (b"9" * 400),
        b'{"texts": [{"type": "a", "text": "b", "confidence": NaN}]}',
        b'{"texts": {"type": 1}, "regions": 5, "tokens": []}',
        b'{"texts": [[[[]]]], "regions": [[0]], "image_url": {}}',
        b'{"image_url": "http://[", "page_url": "http://a:99999999/"}',
        b'{"source": "\\ud800", "licence": "\\u0000"}',
    ],
)
def test_hostile_fields_are_ignored_by_statistics_and_report(tmp_path: Path, fields: bytes) -> None:
    from wenlan_data.report.html import write_page

    path = tmp_path / "a.tar"
    path.write_bytes(member(b"a.json", fields) + member(b"a.txt", "猫".encode()) + END)
    with bounded(seconds=20, mib=300):
        assert verify(path) == []
        assert summarise([path]).as_json()["samples"] == 1
        write_page(read_tar_data([path], "a"), tmp_path / "out")


def test_distinct_names_do_not_fill_the_memory(tmp_path: Path) -> None:
    # A new source and type of 50 kB in each of 1,500 samples.
    with (tmp_path / "a.tar").open("wb") as file:
        for number in range(1500):
            word = b"%07d" % number + b"x" * 50_000
            fields = b'{"source": "%s", "texts": [{"type": "%s", "text": ""}]}' % (word, word)
            file.write(member(b"%d.json" % number, fields))
        file.write(END)
    with bounded(mib=30):
        assert summarise([tmp_path / "a.tar"]).samples == 1500
    with bounded(mib=120):
        assert read_tar_data([tmp_path / "a.tar"], "a").statistics.samples == 1500


def _samples(folder: Path) -> list[bytes]:
    """Small tars of every kind."""
    folder.mkdir()
    found = [next(iter(sorted((GOLDEN / "shards").glob("*.tar")))).read_bytes()]
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=kind) as opened:
            for name in ("a.jpg", "a.json", "文.txt", "d/" * 40 + "l" * 40 + ".txt"):
                info = tarfile.TarInfo(name)
                content = b'{"width": 3, "texts": [{"type": "a", "text": "b"}]}'
                info.size, info.mtime = len(content), 0 if kind == tarfile.USTAR_FORMAT else 1.5
                opened.addfile(info, io.BytesIO(content))
        found.append(out.getvalue()[:-8192])
    found.append(zlib.decompress(base64.b64decode(BSDTAR_PAX)))
    _write_files(folder)
    subprocess.run(
        ["tar", "-C", folder, "--sparse", "--format=oldgnu", "-cf", folder / "z.tar", "a.jpg",
         "sparse.txt", "link.txt"],
        check=True,
    )  # fmt: skip
    return [*found, (folder / "z.tar").read_bytes()]


def _report_data(path: Path) -> object:
    return read_tar_data([path], "a")


def run_tar_fuzz(folder: Path, count: int, seed: int = 0) -> int:
    """Reads mutated tars by every entry; returns how many were sound."""
    path, sound = folder / "mutated.tar", 0
    readers = (*READERS, verify, _report_data)
    for number, content in mutations(_samples(folder / "in"), count, seed):
        path.write_bytes(content)
        for read in readers:
            try:
                read(path)
                sound += 1
            except WenlanError:
                continue
            except BaseException as error:
                raise AssertionError(f"mutation {number}, seed {seed}") from error
    return sound


def test_mutated_tars_raise_errors_of_the_project_only(tmp_path: Path) -> None:
    with bounded(seconds=600, mib=200):
        sound = run_tar_fuzz(tmp_path, 1000)
    assert sound > 100  # the mutations do not only break the first header
