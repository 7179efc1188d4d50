"""A generation with nothing new, stopped before each of its changes of the file system."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.builds.corpus_runs import build_here, content, table
from wenlan_data.testing import make_caption, make_image
from wenlan_data.web.warc import PayloadWriter

_WRITES = os.O_WRONLY | os.O_RDWR
_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}


class _StopError(BaseException):
    """As Ctrl-C: nothing catches it."""


class _Changes:
    """Counts changes below a folder while it is set; stops before the one numbered `stop`."""

    folder = ""
    count = stop = 0


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if not _Changes.folder:
        return
    path = arguments[0] if arguments else None
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
        return
    if event != "open" and event not in _EVENTS:
        return
    if isinstance(path, str | os.PathLike) and str(path).startswith(_Changes.folder):
        _Changes.count += 1
        if _Changes.count == _Changes.stop:
            raise _StopError(f"{event} {path}")


@contextmanager
def _stopped(folder: Path, stop: int) -> Iterator[None]:
    if _audit not in _HOOKS:
        sys.addaudithook(_audit)
        _HOOKS.append(_audit)
    _Changes.folder, _Changes.count, _Changes.stop = f"{folder}/.work/", 0, stop
    try:
        yield
    finally:
        _Changes.folder = ""


_HOOKS: list[object] = []
"""An audit hook cannot be removed, so it is added once."""


def _warc(path: Path, page: str, images: Sequence[int]) -> Path:
    with PayloadWriter(path) as warc:
        for url, payload, kind in [
            ("http://a.cn/", page.encode(), "text/html; charset=utf-8"),
            *((f"http://a.cn/{one}.jpg", make_image(one), "image/jpeg") for one in images),
        ]:
            warc.response(
                url,
                payload,
                status="200 OK",
                headers=[("Content-Type", kind)],
                sha256=hashlib.sha256(payload).hexdigest(),
                ip="",
                date=datetime(2024, 1, 1, tzinfo=UTC),
            )
    return path


def test_a_generation_with_nothing_new_may_be_stopped_at_any_step(tmp_path: Path) -> None:
    page = f'<img src="/1.jpg" alt="{make_caption(1)}">'
    # The same page in both, and in the second images that a later table names.
    old, new = (
        _warc(tmp_path / "old.warc", page, [1]),
        _warc(tmp_path / "new.warc", page, [1, 2, 3]),
    )
    prepared = tmp_path / "prepared"
    assert build_here("--sources", f"warc:{old}", "--out", prepared)["samples"] == 1
    words = ["--sources", f"warc:{new}", "--workers", "1", "--out"]
    rows = [(f"http://a.cn/{one}.jpg", make_caption(one)) for one in (2, 3)]
    late = ["--sources", f"table:{table(tmp_path / 'a.parquet', rows)}", "--contact", "a@b.cn"]
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(prepared, undisturbed)
    with _stopped(undisturbed, 0):
        assert build_here(*words, undisturbed)["generations"] == []
        total = _Changes.count
    kept = _indexes(undisturbed)
    assert len(kept) == 1
    # Without its index the images would be requested from a.cn.
    assert build_here(*late, "--out", undisturbed)["samples"] == 3
    for number in range(1, total + 1):
        out = tmp_path / f"stopped-{number}"
        shutil.copytree(prepared, out)
        with _stopped(out, number), pytest.raises(_StopError):
            build_here(*words, out)
        assert build_here(*words, out)["generations"] == []
        assert _indexes(out) == kept
        assert not (out / ".work/generations/000001").exists()
        if number % 10 == total % 10:
            assert build_here(*late, "--out", out)["samples"] == 3
            assert content(out) == content(undisturbed)
    print(f"{total} steps")


def _indexes(out: Path) -> list[str]:
    return [path.name for path in sorted((out / ".work" / "indexes").iterdir())]
