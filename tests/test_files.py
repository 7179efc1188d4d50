"""Writers follow no link that somebody planted, and readers of files never wait."""

import io
import os
import resource
import shutil
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bounds import bounded
from tests.shard.make_golden import GOLDEN
from wenlan_data.cli.shards import shards
from wenlan_data.demo.run import MARKER, run_demo
from wenlan_data.errors import DamageError, UsageError
from wenlan_data.files import (
    PARTIAL,
    atomic_path,
    inner_folder,
    open_lock,
    open_regular,
    read_bounded,
    write_atomic,
    write_new,
    write_synced,
)
from wenlan_data.report.card import CARD
from wenlan_data.report.croissant import CROISSANT
from wenlan_data.report.html import PAGE, THUMBS
from wenlan_data.report.page_html import write_html
from wenlan_data.report.write_all import write_descriptions
from wenlan_data.run.publish import FolderStore
from wenlan_data.shard.manifest import load_manifest, save_manifest
from wenlan_data.train.run_log import RunLog, read_log
from wenlan_data.web.blocklists import Blocklists

PRECIOUS = b"precious"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_bytes(PRECIOUS)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "corpus"))


def _html(corpus: Path, out: Path) -> None:
    result = CliRunner().invoke(
        shards, ["html", str(corpus), "--out", str(out)], standalone_mode=False
    )
    if result.exception:
        raise result.exception


def _many_images(path: Path) -> Path:
    """A tar whose page needs files beside it."""
    from wenlan_data.testing import make_image

    with tarfile.open(path, "w") as out:
        for number in range(210):
            data = make_image(number, width=16, height=16)
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path, victim: Path) -> None:
    for write in (write_atomic, lambda path, data: write_html(path, data.decode())):
        (tmp_path / "out").unlink(missing_ok=True)
        (tmp_path / "out").symlink_to(tmp_path / "nothing")
        write(tmp_path / "out", b"new")
        assert not (tmp_path / "out").is_symlink()
    (tmp_path / "out").unlink()
    (tmp_path / "out").symlink_to(victim)
    write_atomic(tmp_path / "out", b"new")
    assert (tmp_path / "out").read_bytes() == b"new"
    assert victim.read_bytes() == PRECIOUS


def test_new_files_are_not_written_through_links(tmp_path: Path, victim: Path) -> None:
    for target in (victim, tmp_path / "nothing"):
        (tmp_path / "out").unlink(missing_ok=True)
        (tmp_path / "out").symlink_to(target)
        for write in (write_new, write_synced):
            with pytest.raises(FileExistsError):
                write(tmp_path / "out", b"new")
    assert victim.read_bytes() == PRECIOUS
    assert not (tmp_path / "nothing").exists()


def test_the_name_of_a_partial_file_cannot_be_foreseen(tmp_path: Path, victim: Path) -> None:
    for name in (f".out{PARTIAL}", f".out.{os.getpid()}{PARTIAL}"):
        (tmp_path / name).symlink_to(victim)
    names = set()
    for _ in range(5):
        with atomic_path(tmp_path / "out") as partial:
            assert partial.is_file()
            names.add(partial.name)
            partial.write_bytes(b"new")
    assert len(names) == 5
    assert all(name.startswith(".out.") and name.endswith(PARTIAL) for name in names)
    assert victim.read_bytes() == PRECIOUS


def test_a_new_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python would cut compiled modules too, and keep them.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="out"):
            write_new(tmp_path / "out", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())
    write_new(tmp_path / "out", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"new"}


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(PRECIOUS)
    with pytest.raises(ValueError, match="stop"), atomic_path(tmp_path / "out"):
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_bytes() == PRECIOUS


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    {"pipe": os.mkfifo, "device": lambda one: one.symlink_to("/dev/zero"), "folder": Path.mkdir}[
        kind
    ](path)
    for read in (open_regular, lambda one: read_bounded(one, 9), open_lock):
        with bounded(seconds=10), pytest.raises(OSError, match="a"):
            read(path)


def test_a_path_that_no_file_can_have_is_an_error_of_the_file() -> None:
    with pytest.raises(OSError, match="NUL"):
        read_bounded(Path("a\0b"), 9)
    with pytest.raises(UsageError, match="NUL"):
        Blocklists(urls="a\0b").load()


def test_a_file_beyond_its_limit_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    assert read_bounded(tmp_path / "a", 3) == b"123"
    with pytest.raises(DamageError, match="larger than 2 bytes"):
        read_bounded(tmp_path / "a", 2)
    # With holes, which take no disk.
    os.truncate(tmp_path / "a", 4 << 30)
    with bounded(mib=100), pytest.raises(DamageError, match="larger than"):
        read_bounded(tmp_path / "a", 1 << 31)


def test_a_folder_that_leads_out_is_refused_and_one_inside_is_used(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (root / "a").symlink_to("inside")
    (root / "b").symlink_to("..")
    (root / "c").symlink_to(tmp_path / "nothing")
    assert inner_folder(root, "a").samefile(root / "inside")
    for name in ("b", "c"):
        with pytest.raises((UsageError, FileExistsError)):
            inner_folder(root, name)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", [PAGE, f".{PAGE}{PARTIAL}"])
def test_the_page_is_not_written_through_a_link(
    corpus: Path, tmp_path: Path, victim: Path, name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(victim)
    if name == PAGE:  # another file is no page of this package
        with pytest.raises(UsageError, match="did not write it"):
            _html(corpus, tmp_path / "out")
    else:
        _html(corpus, tmp_path / "out")
    assert victim.read_bytes() == PRECIOUS


def test_thumbnails_are_not_written_or_removed_through_links(tmp_path: Path, victim: Path) -> None:
    tar = _many_images(tmp_path / "a.tar")
    _html(tar, tmp_path / "sound")
    thumbs = sorted((tmp_path / "sound" / THUMBS).iterdir())
    assert thumbs
    # A link in the place of each thumbnail.
    (tmp_path / "one" / THUMBS).mkdir(parents=True)
    for path in thumbs:
        (tmp_path / "one" / THUMBS / path.name).symlink_to(victim)
    _html(tar, tmp_path / "one")
    assert victim.read_bytes() == PRECIOUS
    assert not any(path.is_symlink() for path in (tmp_path / "one" / THUMBS).iterdir())
    # The folder of the thumbnails leads to a folder with files of such names.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / f"{'0' * 24}.jpg").write_bytes(PRECIOUS)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / THUMBS).symlink_to(tmp_path / "other")
    with pytest.raises(UsageError, match="leads out of"):
        _html(tar, tmp_path / "two")
    assert [path.name for path in (tmp_path / "other").iterdir()] == [f"{'0' * 24}.jpg"]


def test_descriptions_are_not_written_through_links(
    corpus: Path, tmp_path: Path, victim: Path
) -> None:
    for name in (CARD, CROISSANT):
        (corpus / name).unlink(missing_ok=True)
        (corpus / name).symlink_to(tmp_path / "nothing")
        (corpus / f".{name}{PARTIAL}").symlink_to(victim)
    write_descriptions(corpus, corpus / ".work")
    assert not (tmp_path / "nothing").exists()
    assert victim.read_bytes() == PRECIOUS
    assert not (corpus / CARD).is_symlink()
    shutil.rmtree(corpus / "report")
    (tmp_path / "elsewhere").mkdir()
    (corpus / "report").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads out of"):
        write_descriptions(corpus, corpus / ".work")
    assert not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", [PAGE, CARD])
def test_a_pipe_in_the_place_of_a_description_is_not_waited_for(corpus: Path, name: str) -> None:
    path = corpus / ("report" if name == PAGE else "") / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with bounded(seconds=60):
        write_descriptions(corpus, corpus / ".work")
    assert path.is_file()


def test_a_manifest_is_not_written_through_links(
    corpus: Path, tmp_path: Path, victim: Path
) -> None:
    manifest = load_manifest(corpus)
    (corpus / "manifest.json").unlink()
    (corpus / "manifest.json").symlink_to(victim)
    (corpus / f".manifest.json{PARTIAL}").symlink_to(victim)
    save_manifest(corpus, manifest)
    assert load_manifest(corpus) == manifest
    assert victim.read_bytes() == PRECIOUS


def test_shards_are_not_published_through_links(corpus: Path, tmp_path: Path, victim: Path) -> None:
    store = FolderStore(corpus)
    (tmp_path / "new").write_bytes(b"new")
    for name in ("a.tar", f".a.tar{PARTIAL}"):
        (corpus / "shards" / name).symlink_to(victim)
    store.publish(tmp_path / "new", "shards/a.tar")
    assert victim.read_bytes() == PRECIOUS
    assert (corpus / "shards" / "a.tar").read_bytes() == b"new"
    shutil.move(corpus / "shards", tmp_path / "elsewhere")
    (corpus / "shards").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads out of"):
        store.publish(tmp_path / "new", "shards/b.tar")


def test_members_are_not_extracted_through_links(tmp_path: Path, victim: Path) -> None:
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as out:
        out.addfile(tarfile.TarInfo("a.txt"))
    (tmp_path / "out").mkdir()
    for target in (victim, tmp_path / "nothing"):
        (tmp_path / "out" / "a.txt").unlink(missing_ok=True)
        (tmp_path / "out" / "a.txt").symlink_to(target)
        result = CliRunner().invoke(
            shards,
            ["extract", str(tar), "--limit", "1", "--out", str(tmp_path / "out")],
            standalone_mode=False,
        )
        assert isinstance(result.exception, UsageError)
    assert victim.read_bytes() == PRECIOUS
    assert not (tmp_path / "nothing").exists()


def test_the_log_of_a_run_is_not_written_through_links(tmp_path: Path, victim: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").symlink_to(victim)
    with RunLog(run, is_main=True, step=0, max_steps=1):
        pass
    assert victim.read_bytes() == PRECIOUS
    shutil.rmtree(run / "tensorboard")
    (tmp_path / "elsewhere").mkdir()
    (run / "tensorboard").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads out of"):
        RunLog(run, is_main=True, step=0, max_steps=1)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_hostile_log_of_a_run_is_read(tmp_path: Path) -> None:
    lines = [
        b"[" * 100_000,
        b"[]",
        b"7",
        b"\xff",
        b'{"step": 1}',
        b'{"kind": "validation", "step": 1, "metrics": {}}',
        b'{"step": ' + b"9" * 5000 + b"}",
    ]
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    assert list(read_log(tmp_path)) == [{"kind": "validation", "step": 1, "metrics": {}}]


def test_an_endless_line_in_the_log_of_a_run_takes_no_memory(tmp_path: Path) -> None:
    entry = b'{"kind": "validation", "step": 1, "metrics": {}}\n'
    with (tmp_path / "log.jsonl").open("wb") as file:
        file.write(entry)
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + entry)
    with bounded(mib=200):
        assert len(list(read_log(tmp_path))) == 2
        with RunLog(tmp_path, is_main=True, step=1, max_steps=1):
            pass
    assert (tmp_path / "log.jsonl").read_bytes() == entry * 2


def test_the_marker_of_a_demo_is_not_written_through_a_link(tmp_path: Path, victim: Path) -> None:
    out = tmp_path / "out"
    (out / "site").mkdir(parents=True)
    (out / "site").rmdir()
    (out / MARKER).symlink_to(victim)
    (tmp_path / "elsewhere").mkdir()
    (out / "site").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        run_demo(out, 1, "local")
    assert victim.read_bytes() == PRECIOUS
    assert not any((tmp_path / "elsewhere").iterdir())
