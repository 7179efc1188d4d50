"""Reading ahead: what is announced is in the page cache before it is read."""

import os
import time
from pathlib import Path

import pytest

from wenlan_data.load.byte_ranges import HAS_ADVICE, MappedFiles

SIZE = 64 << 20


def _is_cached(descriptor: int, offset: int) -> bool:
    try:
        return os.preadv(descriptor, [bytearray(4096)], offset, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False


@pytest.mark.skipif(not HAS_ADVICE or not hasattr(os, "RWF_NOWAIT"), reason="needs Linux")
def test_an_announced_range_is_read_from_the_disk_in_the_background(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(SIZE))
    offset, size = 40 << 20, 300_001
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            if _is_cached(descriptor, offset):
                pytest.skip("this file system keeps its files in memory")
        except OSError:
            pytest.skip("this file system cannot tell")
        MappedFiles().read_ahead(str(path), (offset, size))
        ends = time.monotonic() + 60
        while not (_is_cached(descriptor, offset) and _is_cached(descriptor, offset + size)):
            assert time.monotonic() < ends, "it was not read"
            time.sleep(0.01)
        assert not _is_cached(descriptor, 0), "other parts were not announced"
    finally:
        os.close(descriptor)


def test_what_cannot_be_announced_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(b"abc")
    reader = MappedFiles()
    for name, wanted in (("none", (0, 1)), ("empty", (0, 0)), ("short", (1, 3)), ("short", (3, 0))):
        reader.read_ahead(str(tmp_path / name), wanted)
    assert bytes(reader.read(str(tmp_path / "short"), [(1, 2)])[0]) == b"bc"
