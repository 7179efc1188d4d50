"""Outputs and their work folders: which belong together, copies, moves and planted links."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builds.corpus_runs import (
    build_here,
    captions,
    content,
    photographs,
    refused_here,
    run_here,
    sources_file,
    table,
)
from wenlan_data.errors import UsageError
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

HTML = {"Content-Type": "text/html; charset=utf-8"}


def _photos(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.jpg").write_bytes(make_image(number))
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return folder


def _snapshot(folder: Path) -> dict[str, str]:
    """Returns path to digest of every file, and the targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _refused(words: Sequence[object], code: int, *parts: str) -> None:
    message = refused_here(code, *words)
    assert all(part in message for part in parts), message


def test_an_output_is_built_with_one_work_folder_only(tmp_path: Path) -> None:
    first, second = _photos(tmp_path / "a", range(3)), _photos(tmp_path / "b", range(3, 6))
    build_here("--sources", f"folder:{first}", "--out", tmp_path / "x", "--work", tmp_path / "wx")
    build_here("--sources", f"folder:{second}", "--out", tmp_path / "y", "--work", tmp_path / "wy")
    before = {name: _snapshot(tmp_path / name) for name in ("x", "y", "wx", "wy")}
    for out, work in (("x", "wy"), ("x", "new"), ("y", "wx"), ("new", "wx")):
        words = [
            "--sources",
            f"folder:{second}",
            "--out",
            tmp_path / out,
            "--work",
            tmp_path / work,
        ]
        _refused(["build", "--executor", "local", *words], 2, str(tmp_path / work))
    for out, work in (("x", "wy"), ("y", "wx")):
        for words in (
            ["gc", tmp_path / out, "--work", tmp_path / work],
            [
                "build",
                "--from",
                tmp_path / out,
                "--from-work",
                tmp_path / work,
                "--out",
                tmp_path / "z",
            ],
        ):
            _refused(words, 2, str(tmp_path / work))
    assert before == {name: _snapshot(tmp_path / name) for name in before}
    assert not (tmp_path / "z").exists()
    # A copy of the work folder from before the last generation lacks what it published.
    shutil.copytree(tmp_path / "wx", tmp_path / "old")
    _photos(first, range(6, 8))
    words = ["--sources", f"folder:{first}", "--out", tmp_path / "x"]
    assert build_here(*words, "--work", tmp_path / "wx")["samples"] == 5
    _refused(
        ["build", "--executor", "local", *words, "--work", tmp_path / "old"],
        2,
        "does not hold generation 1",
    )


@pytest.mark.parametrize("are_dropped", [False, True])
def test_copies_that_have_grown_apart_do_not_exchange_their_work_folders(
    tmp_path: Path, are_dropped: bool
) -> None:
    folders: dict[str, Path] = {}
    for number, name in enumerate("abcd"):
        folders[name] = _photos(tmp_path / f"photos-{name}", range(4 * number, 4 * number + 2))
        # Of one length, so that both copies drop as many rows, into tables of one size.
        for path in folders[name].glob("*.txt") if are_dropped and name in "bc" else ():
            path.write_text(f"no Chinese {path.stem:>4}", "utf-8")

    def grow(name: str, out: str, work: str) -> None:
        words = ["--out", tmp_path / out, "--work", tmp_path / work]
        build_here("--sources", f"folder:{folders[name]}", *words)

    grow("a", "one", "w1")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.copytree(tmp_path / "w1", tmp_path / "w2")
    grow("b", "one", "w1")
    grow("d", "one", "w1")
    grow("c", "two", "w2")
    grow("d", "two", "w2")
    out, work = tmp_path / "one", tmp_path / "w2"
    before = _snapshot(work)
    for words in (
        ["build", "--sources", f"folder:{folders['b']}", "--out", out, "--work", work],
        ["build", "--from", out, "--from-work", work, "--out", tmp_path / "new"],
        ["gc", out, "--work", work],
    ):
        _refused(words, 2, f"does not hold generation 1 of {out}")
    assert _snapshot(work) == before
    grow("b", "one", "w1")


def test_an_output_begun_with_a_work_folder_is_kept_for_it_before_anything_is_published(
    tmp_path: Path,
) -> None:
    photos, out = _photos(tmp_path / "photos", range(3)), tmp_path / "corpus"
    words = ["--sources", f"folder:{photos}"]
    build_here(*words, "--out", out, "--work", tmp_path / "first")
    shutil.rmtree(out / "shards")
    (out / "manifest.json").unlink()
    _refused(
        ["build", "--executor", "local", *words, "--out", out, "--work", tmp_path / "second"],
        2,
        "--work",
    )
    _refused(
        [
            "build",
            "--executor",
            "local",
            *words,
            "--out",
            tmp_path / "other",
            "--work",
            tmp_path / "first",
        ],
        2,
    )
    assert build_here(*words, "--out", out, "--work", tmp_path / "first")["samples"] == 3


def test_a_folder_with_other_files_is_no_work_folder(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", range(2))
    words = ["--sources", f"folder:{photos}"]
    for number, name in enumerate(["attempts/thesis.txt", "lock", "notes.txt", "indexes/a"]):
        project = tmp_path / f"project-{number}"
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text("my notes")
        before = _snapshot(project)
        out = tmp_path / f"out-{number}"
        _refused(
            ["build", "--executor", "local", *words, "--out", out, "--work", project],
            2,
            f"{project}: is neither empty nor a work folder",
        )
        assert _snapshot(project) == before
        assert not out.exists()
    # What a build leaves that was killed at its start.
    work = tmp_path / "work"
    (work / "attempts").mkdir(parents=True)
    (work / "lock").write_text("4711")
    (work / ".build.json.0123456789abcdef.partial").write_text("{")
    assert build_here(*words, "--out", work / "corpus", "--work", work)["samples"] == 2


def test_errors_tell_a_lost_record_a_missing_and_a_foreign_work_folder_apart(
    tmp_path: Path,
) -> None:
    photos, out, other = _photos(tmp_path / "photos", range(2)), tmp_path / "a", tmp_path / "b"
    build_here("--sources", f"folder:{photos}", "--out", out)
    build_here("--sources", f"folder:{photos}", "--out", other)
    grow = ["build", "--executor", "local", "--sources", f"folder:{photos}", "--out", out]
    rebuild = ["build", "--from", out, "--out", tmp_path / "c"]
    foreign = other / ".work"
    _refused([*grow, "--work", foreign], 2, f"{foreign}: this work folder belongs to another")
    _refused([*rebuild, "--from-work", foreign], 2, "belongs to another", "by --from-work")
    _refused([*grow, "--work", tmp_path / "w"], 2, "w: the work folder of", "missing", "by --work")
    manifest = (out / "manifest.json").read_text("utf-8")
    (out / "manifest.json").write_text(manifest.replace('"dedupe": {', '"dedup": {', 1), "utf-8")
    _refused(rebuild, 4, f"the recipe of {out}:")
    (out / "manifest.json").write_text(manifest, "utf-8")
    record = out / ".work" / "build.json"
    record.unlink()
    for words in (grow, rebuild, ["gc", out]):
        _refused(words, 1, f"{record}: is missing: restore it")


def test_outputs_of_older_builds_are_adopted(tmp_path: Path) -> None:
    photos = _photos(tmp_path / "photos", range(3))
    words = ["--sources", f"folder:{photos}"]
    for out, work in (
        (tmp_path / "a", tmp_path / "wa"),
        (tmp_path / "b", tmp_path / "b" / ".work"),
    ):
        build_here(*words, "--out", out, "--work", work)
        (out / ".build-id").unlink()
        path = work / "build.json"
        record = json.loads(path.read_text("utf-8"))["value"]
        path.write_text(
            json.dumps({key: record[key] for key in ("recipe", "recipe_digest", "step_versions")})
        )
    _photos(photos, range(3, 6))
    # The ids are lost, but the wrong folder does not hold the shards that were published.
    shutil.copytree(tmp_path / "wa", tmp_path / "damaged")
    receipt = tmp_path / "damaged/generations/000000/shard/00000/receipt.json"
    value = json.loads(receipt.read_text("utf-8"))["value"]
    value["details"]["sha256"] = "0" * 64
    receipt.write_text(json.dumps(value))
    damaged = ["--out", tmp_path / "a", "--work", tmp_path / "damaged"]
    _refused(["build", "--executor", "local", *words, *damaged], 2, "does not hold generation 0")
    assert build_here(*words, "--out", tmp_path / "a", "--work", tmp_path / "wa")["samples"] == 6
    assert build_here(*words, "--out", tmp_path / "b")["samples"] == 6
    assert content(tmp_path / "a") == content(tmp_path / "b")
    id_of = json.loads((tmp_path / "wa/build.json").read_text("utf-8"))["value"]["id"]
    assert (tmp_path / "a" / ".build-id").read_text().strip() == id_of


_HOLD = """
import sys, time
from contextlib import suppress
from pathlib import Path
from wenlan_data.run.output_id import locked_output
with locked_output(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_builds_of_one_output_exclude_each_other_with_two_work_folders(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "photos", range(1)), tmp_path / "corpus"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(out), str(tmp_path / "first")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == "held\n"
        words = ["--sources", f"folder:{photos}", "--out", out]
        _refused(
            ["build", "--executor", "local", *words, "--work", tmp_path / "second"],
            2,
            "another build",
        )
        assert not (tmp_path / "second" / "generations").exists()
        holder.stdin.close()
    assert build_here(*words, "--work", tmp_path / "second")["samples"] == 1


def test_the_output_is_checked_again_once_it_is_locked(tmp_path: Path) -> None:
    from wenlan_data.errors import RecipeError
    from wenlan_data.run.options import BuildOptions
    from wenlan_data.run.preflight import prepare
    from wenlan_data.run.runner import build as run

    photos, out = _photos(tmp_path / "photos", range(2)), tmp_path / "corpus"
    options = BuildOptions(out=out, executor="local", workers=1)
    late = prepare(options, (f"folder:{photos}",), "wukong", (), "")
    # While this build loads the weights of its detector, another one takes the new output.
    run(prepare(options, (f"folder:{photos}",), "wenlan", (), ""))
    before = _snapshot(out)
    with pytest.raises(RecipeError, match="other settings"):
        run(late)
    assert _snapshot(out) == before


def _crawled(folder: Path, site: Site) -> list[object]:
    """Returns the words of a build of a crawl with an image inside a page, and of a table of which
    one image fails."""
    import base64

    inline = base64.b64encode(make_image(90)).decode()
    rows = photographs(site, range(6))
    site.responses["/index.html"] = CannedResponse(
        (
            f'<img src="/0.jpg" alt="{rows[0][1]}"><a href="/2.html">下一页</a>'
            f'<img src="data:image/jpeg;base64,{inline}" alt="{make_caption(90)}">'
        ).encode(),
        200,
        HTML,
    )
    site.responses["/2.html"] = CannedResponse(
        f'<img src="/1.jpg" alt="{rows[1][1]}">'.encode(), 200, HTML
    )
    site.responses["/5.jpg"] = CannedResponse(status=503)
    table(folder / "a.parquet", rows[2:])
    kinds: list[dict[str, object]] = [
        {"kind": "pages", "seeds": [site.url("/index.html")]},
        {"kind": "table", "path": str(folder / "a.parquet")},
    ]
    sources = sources_file(folder / "s.yaml", site, kinds)
    return ["--sources", sources]


def _to_absolute_paths(work: Path) -> None:
    """Rewrites the plans as older builds wrote them: paths absolute, no checksum."""
    for path in work.glob("generations/*/plan.json"):
        plan = json.loads(path.read_text("utf-8"))["value"]
        for entry in plan["entries"]:
            entry["part"]["path"] = str(work / entry["part"]["path"])
        plan["raws"] = [str(work / raw) for raw in plan["raws"]]
        path.write_text(json.dumps(plan), "utf-8")


@pytest.mark.parametrize("older", [False, True])
def test_a_copy_of_a_corpus_never_touches_the_original(
    tmp_path: Path, site: Site, older: bool
) -> None:
    original, copy = tmp_path / "original", tmp_path / "elsewhere" / "copy"
    words = _crawled(tmp_path, site)
    assert build_here(*words, "--out", original)["samples"] == 6
    if older:
        _to_absolute_paths(original / ".work")
    shutil.copytree(original, copy)
    before = _snapshot(original)

    site.responses["/5.jpg"] = CannedResponse(make_image(5))
    assert build_here("--out", copy, "--retry-failed")["samples"] == 7
    table(tmp_path / "b.parquet", photographs(site, range(7, 9)))
    more = ["--sources", f"table:{tmp_path / 'b.parquet'}"]
    assert build_here(*words, *more, "--out", copy)["samples"] == 9
    assert run_here("gc", copy).exception is None
    build_here("--from", copy, "--out", tmp_path / "again")
    assert set(captions(tmp_path / "again")) == set(captions(copy))
    assert run_here("gc", copy, "--warcs").exception is None
    assert list(copy.glob(".work/**/*.warc")) == []
    assert _snapshot(original) == before
    build_here("--from", original, "--out", tmp_path / "first")
    assert content(tmp_path / "first")["manifest"]["funnel"]["samples"] == 6  # type: ignore[index]


def test_a_moved_corpus_grows_and_a_build_resumes_where_it_was_moved_to(
    tmp_path: Path, site: Site
) -> None:
    words = _crawled(tmp_path, site)
    out, moved = tmp_path / "corpus", tmp_path / "moved"
    build_here(*words, "--out", out)
    golden = content(out)
    # As if it had been stopped after its pages were read, before their images were fetched.
    for name in ("manifest.json", "shards", "metadata", "drops", "report"):
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    generation = out / ".work" / "generations" / "000000"
    for step in ("fetch", "near", "dedupe", "shard", "drops"):
        shutil.rmtree(generation / step)
    out.rename(moved)
    assert build_here(*words, "--out", moved)["samples"] == 6
    assert content(moved) == golden
    site.responses["/5.jpg"] = CannedResponse(make_image(5))
    moved.rename(tmp_path / "third")
    third = ["--out", tmp_path / "third"]
    assert build_here(*third, "--retry-failed")["samples"] == 7
    assert build_here(*words, *third)["generations"] == []


@pytest.mark.parametrize("older", [False, True])
def test_a_stopped_rebuild_resumes_from_where_its_corpus_was_moved_to_and_from_no_other(
    tmp_path: Path, older: bool
) -> None:
    old, other, out = tmp_path / "old", tmp_path / "other", tmp_path / "out"
    build_here("--sources", f"folder:{_photos(tmp_path / 'a', range(3))}", "--out", old)
    build_here("--sources", f"folder:{_photos(tmp_path / 'b', range(3, 6))}", "--out", other)
    build_here("--from", old, "--out", out)
    golden = content(out)
    # As if it had been stopped after its first step.
    for name in ("manifest.json", "shards", "metadata", "drops", "report"):
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    generation = out / ".work" / "generations" / "000000"
    for step in ("slice", "fetch", "near", "dedupe", "shard", "drops"):
        shutil.rmtree(generation / step)
    path = generation / "plan.json"
    assert str(old / ".work") not in path.read_text("utf-8")
    if older:
        plan = json.loads(path.read_text("utf-8"))["value"]
        plan["raws"] = [str(old / ".work" / raw) for raw in plan["raws"]]
        plan["old_parts"] = [
            [str(old / ".work" / one) for one in pair] for pair in plan["old_parts"]
        ]
        path.write_text(json.dumps(plan), "utf-8")
    old.rename(tmp_path / "moved")
    before = _snapshot(generation)
    words = ["build", "--executor", "local", "--out", out]
    _refused([*words, "--from", other], 2, f"from another corpus than {other}", "the same --from")
    photos = ["--sources", f"folder:{tmp_path / 'a'}"]
    _refused([*words, *photos], 2, "a rebuild was started here")
    assert _snapshot(generation) == before
    build_here("--from", tmp_path / "moved", "--out", out)
    assert content(out) == golden


def _link_work(copy: Path, original: Path) -> None:
    shutil.rmtree(copy / ".work")
    (copy / ".work").symlink_to(original / ".work")


def _link_generations(copy: Path, original: Path) -> None:
    shutil.rmtree(copy / ".work" / "generations")
    (copy / ".work" / "generations").symlink_to(original / ".work" / "generations")


def _link_step(copy: Path, original: Path) -> None:
    inner = Path(".work/generations/000000/fetch")
    shutil.rmtree(copy / inner)
    (copy / inner).symlink_to(original / inner)


def _link_shards(copy: Path, original: Path) -> None:
    (original / "shards" / ".planted.partial").write_bytes(b"x")
    shutil.rmtree(copy / "shards")
    (copy / "shards").symlink_to(original / "shards")


@pytest.mark.parametrize("plant", [_link_work, _link_generations, _link_step, _link_shards])
def test_gc_removes_nothing_behind_a_link(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    photos = _photos(tmp_path / "photos", range(2))
    original, copy = tmp_path / "original", tmp_path / "copy"
    build_here("--sources", f"folder:{photos}", "--out", original)
    shutil.copytree(original, copy)
    plant(copy, original)
    before = _snapshot(original)
    _refused(["gc", copy, "--warcs"], 2, "link")
    assert _snapshot(original) == before


def test_a_planned_path_out_of_the_work_folder_is_not_removed(tmp_path: Path) -> None:
    from wenlan_data.run.gc import collect

    photos, out = _photos(tmp_path / "photos", range(2)), tmp_path / "corpus"
    build_here("--sources", f"folder:{photos}", "--out", out)
    victim = tmp_path / "precious.warc"
    victim.write_bytes(b"x")
    path = out / ".work/generations/000000/plan.json"
    plan = json.loads(path.read_text("utf-8"))["value"]
    for name in (str(victim), "../../precious.warc", "../" * 9 + str(victim)[1:]):
        plan["entries"][0] |= {"stamp": "crawl|x|000000|00000", "pages": {"read": 1}}
        plan["entries"][0]["part"]["path"] = name
        path.write_text(json.dumps(plan), "utf-8")
        with suppress(UsageError):
            collect(out, out / ".work", warcs=True, dry_run=False)
        assert victim.exists()


def test_links_in_a_work_folder_lead_no_write_or_removal_elsewhere(tmp_path: Path) -> None:
    photos, out = _photos(tmp_path / "photos", range(2)), tmp_path / "corpus"
    words = ["--sources", f"folder:{photos}", "--out", out]
    build_here(*words)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("x")
    shutil.rmtree(out / ".work" / "attempts")
    (out / ".work" / "attempts").symlink_to(outside)
    _photos(photos, range(2, 3))
    assert build_here(*words)["samples"] == 3
    assert [path.name for path in outside.iterdir()] == ["keep"]
    (out / ".work" / "lock").unlink()
    (out / ".work" / "lock").symlink_to(outside / "keep")
    refused_here(2, "build", "--executor", "local", *words)
    assert (outside / "keep").read_text() == "x"
