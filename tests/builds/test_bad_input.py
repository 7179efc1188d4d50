"""Every user error ends in one line with its cause and remedy, and the right exit code."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.builds.corpus_runs import COMMAND, build, command, photographs, sources_file, table
from wenlan_data.testing import Site, make_caption, make_image


def _refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--sources", "table:none.parquet"], 2, "none.parquet"),
        (["--sources", "parrot:none"], 2, "parrot"),
        (["pages:http://127.0.0.1:8085/", "--contact", "a@b.cn"], 2, "network.allow"),
        (["pages:nowhere", "--contact", "a@b.cn"], 2, "nowhere"),
        (["pages:http://a.cn:8085/", "--contact", "a@b.cn"], 2, "network.allow"),
        (["pages:http://localhost/", "--contact", "a@b.cn"], 2, "network.allow"),
        (["http://a.cn/"], 2, "write pages:http://a.cn/ to crawl"),
        (["--sources", "none.yaml"], 2, "none.yaml"),
        (["--sources", "warc:cc/*.warc.gz"], 2, "cc/*.warc.gz"),
        ([], 2, "--sources"),
        (["--sources", "folder:."], 2, "."),
        (["--sources", "folder:.", "--recipe", "parrot"], 4, "wenlan"),
    ],
)
def test_a_wrong_word_is_named(tmp_path: Path, words: list[str], code: int, named: str) -> None:
    done = subprocess.run(
        [*COMMAND, "build", *words, "--out", "corpus"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    _refused(done, code, named)
    assert not (tmp_path / "corpus" / "manifest.json").exists()


def test_a_table_without_the_column_names_those_it_has(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image_address,words\nhttp://a.test/1.jpg,一只猫\n", "utf-8")
    (tmp_path / "s.yaml").write_text("sources: [{kind: table, path: t.csv, url: link}]", "utf-8")
    _refused(
        command("build", "--sources", tmp_path / "s.yaml", "--out", tmp_path / "c"),
        2,
        "link",
        "image_address",
    )


def test_a_wrong_key_of_a_recipe_is_named_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: mine\nimage: {min_side: 3}\n", "utf-8")
    done = command(
        "build",
        "--sources",
        f"folder:{tmp_path}",
        "--recipe",
        tmp_path / "r.yaml",
        "--out",
        tmp_path / "c",
    )
    _refused(done, 4, "image.min_side")


def test_an_output_with_other_files_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("x")
    _refused(command("build", "--sources", f"folder:{tmp_path}", "--out", out), 2, "mine", "--out")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def _folder(path: Path, count: int = 5) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"{number}.jpg").write_bytes(make_image(number))
        (path / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return path


def test_a_full_disk_ends_with_exit_3_and_the_same_command_resumes(tmp_path: Path) -> None:
    photos, out = _folder(tmp_path / "photos"), tmp_path / "corpus"
    words = f"build --sources folder:{photos} --out {out} --executor local --workers 1"
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000)); "
        "from wenlan_data.__main__ import run; run()"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", code, *words.split()], capture_output=True, text=True, check=False,
        # Python would cut its own compiled modules as well, for all commands that follow.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "no room to write" in done.stderr.splitlines()[-1]
    assert not (out / "manifest.json").exists()
    assert build(*words.split()[1:])["samples"] == 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_named(tmp_path: Path) -> None:
    photos = _folder(tmp_path / "photos")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    _refused(command("build", "--sources", f"folder:{photos}", "--out", locked / "c"), 2, "locked")


def test_two_builds_at_once_on_one_output_are_refused(tmp_path: Path, site: Site) -> None:
    table(tmp_path / "a.parquet", photographs(site, range(40)))
    sources = sources_file(tmp_path / "s.yaml", site, [{"kind": "table", "path": "a.parquet"}])
    words = [
        "build",
        "--sources",
        str(sources),
        "--out",
        str(tmp_path / "c"),
        "--executor",
        "local",
    ]
    with subprocess.Popen(
        [*COMMAND, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as first:
        while not (tmp_path / "c" / ".work" / "build.json").exists():
            assert first.poll() is None
            time.sleep(0.005)
        second = command(*words)
        _refused(second, 2, "another build")
        first.communicate()
    assert first.returncode == 0


def test_a_dry_run_creates_and_requests_nothing(tmp_path: Path, site: Site) -> None:
    rows = photographs(site, range(40))
    table(
        tmp_path / "a.parquet",
        [*rows, rows[0], ("no address", make_caption(41)), ("ftp://a.cn/1.jpg", make_caption(42))],
    )
    sources = sources_file(tmp_path / "s.yaml", site, [{"kind": "table", "path": "a.parquet"}])
    done = command("build", "--sources", sources, "--out", tmp_path / "c", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "candidates: 43, of which URLs to fetch: 40\n" in done.stdout
    assert f"  {site.host}: 40 URLs x 0.0 s = 0 s\nparallel tasks: " in done.stdout
    assert "\nno request was sent" in done.stdout
    assert site.log == []
    assert not (tmp_path / "c").exists()


def test_a_plan_with_a_politeness_that_is_not_valid_is_corrupt(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "corpus"
    photos.mkdir()
    (photos / "1.jpg").write_bytes(make_image(1))
    (photos / "1.txt").write_text(make_caption(1), "utf-8")
    words = ["--sources", f"folder:{photos}", "--out", out]
    build(*words, "--executor", "local")
    # As if the build had been stopped before it published.
    (out / "manifest.json").unlink()
    path = out / ".work" / "generations" / "000000" / "plan.json"
    plan = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(plan | {"politeness": {"limits": {"max_wait_s": "long"}}}), "utf-8")
    _refused(command("build", *words, "--executor", "local"), 1, "plan.json", "restore the file")
    assert (path.parent / "fetch").is_dir()
