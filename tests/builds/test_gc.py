from pathlib import Path

import pytest

from tests.builds.corpus_runs import build, build_here, captions, command, content, run_here
from wenlan_data.testing import make_caption, make_image


def _photos(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(make_image(number))
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return folder


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_after_gc_a_corpus_can_still_grow_and_be_rebuilt(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "photos", range(8)), tmp_path / "corpus"
    words = ["--sources", f"folder:{photos}", "--out", out, "--executor", "local"]
    build(*words)
    before, size = content(out), _bytes(out / ".work")
    dry = command("gc", out, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert _bytes(out / ".work") == size
    assert command("gc", out).returncode == 0
    assert _bytes(out / ".work") < size
    assert content(out) == before

    build("--from", out, "--out", tmp_path / "again", "--executor", "local")
    assert content(tmp_path / "again") == before
    _photos(photos, range(8, 12))
    assert build(*words)["new_samples"] == 4
    assert len(captions(out)) == 12


def test_gc_takes_a_relative_path_that_leads_upwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = _photos(tmp_path / "photos", range(2))
    build_here("--sources", f"folder:{photos}", "--out", tmp_path / "corpus")
    (tmp_path / "corpus" / ".a.partial").touch()
    monkeypatch.chdir(photos)
    assert run_here("gc", "../corpus").exit_code == 0
    assert not (tmp_path / "corpus" / ".a.partial").exists()


def test_gc_removes_files_that_a_kill_left_half_written(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "photos", range(2)), tmp_path / "corpus"
    work = tmp_path / "work"
    build("--sources", f"folder:{photos}", "--out", out, "--work", work, "--executor", "local")
    partials = [
        out / ".manifest.json.partial",
        out / "shards" / ".wenlan-000001.tar.partial",
        work / ".limit.json.partial",
        work / "generations" / "000000" / ".plan.json.partial",
    ]
    for path in partials:
        path.write_bytes(b"{")
    # Hidden and half-written, but not ours: another program writes below a folder of its own.
    foreign = out / "notes" / "drafts" / ".letter.partial"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"x")
    done = command("gc", out, "--work", work)
    assert done.returncode == 0, done.stderr
    assert [path for path in partials if path.exists()] == []
    assert foreign.exists()


def test_without_the_recorded_images_from_names_the_missing_files(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "photos", range(3)), tmp_path / "corpus"
    build("--sources", f"folder:{photos}", "--out", out, "--executor", "local")
    assert command("gc", out, "--warcs").returncode == 0
    done = command("build", "--from", out, "--out", tmp_path / "again", "--executor", "local")
    assert done.returncode == 2
    assert "images.warc" in done.stderr.splitlines()[-1]


def test_gc_of_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    done = command("gc", tmp_path)
    assert done.returncode == 2
    assert "manifest.json" in done.stderr
