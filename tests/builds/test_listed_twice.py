"""A source is known by all of its settings: one file may be listed with several of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.builds.corpus_runs import build, captions, content, drops
from tests.builds.test_determinism import write_warc
from wenlan_data.testing import make_caption, make_image

ROWS = 8


def _sources(folder: Path, *sources: dict[str, object]) -> Path:
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": list(sources)}), "utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with two text columns, whose images a WARC holds."""
    rows = [
        {"url": f"http://a.cn/{n}.jpg", "zh": make_caption(n), "alt": make_caption(100 + n)}
        for n in range(ROWS)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "t.jsonl").write_text(lines, "utf-8")
    images = [(f"http://a.cn/{n}.jpg", "image/jpeg", make_image(n)) for n in range(ROWS)]
    write_warc(tmp_path / "images.warc", images)
    return tmp_path / "t.jsonl"


WARC: dict[str, object] = {"kind": "warc", "path": "images.warc"}


def _table(text: str, **more: object) -> dict[str, object]:
    return {"kind": "table", "path": "t.jsonl", "text": text, **more}


def test_a_file_with_two_text_columns_is_read_for_both_wherever_it_is_stopped(table: Path) -> None:
    folder = table.parent
    # Parts of a generation each, so that one is published before the other is read.
    sources = _sources(folder, WARC, _table("zh"), _table("alt"))
    words = [str(folder / "out"), str(ROWS), "9", str(sources)]
    subprocess.run([sys.executable, "-m", "tests.builds.killed_builds", *words], check=True)
    whole = content(folder / "out" / "whole")
    funnel = json.loads((folder / "out/whole/manifest.json").read_text("utf-8"))["funnel"]
    assert (funnel["candidates"], funnel["samples"]) == (2 * ROWS, ROWS)
    killed = sorted(path for path in (folder / "out").iterdir() if path.name != "whole")
    assert len(killed) > 3
    for out in killed:
        assert content(out) == whole, out.name


def test_what_is_listed_twice_with_the_same_settings_is_read_once(table: Path) -> None:
    folder = table.parent
    sources = _sources(folder, WARC, _table("zh"), _table("zh", url="url"), _table("zh"))
    built = build("--sources", sources, "--out", folder / "out", "--executor", "local")
    # `url: url` is written out where the other guesses it: the rows are read again.
    assert (built["candidates"], built["samples"]) == (2 * ROWS, ROWS)


def test_changed_settings_are_read_again_and_unchanged_ones_are_not(table: Path) -> None:
    folder, out = table.parent, table.parent / "out"
    words = ["--out", out, "--executor", "local"]
    build("--sources", _sources(folder, WARC, _table("zh")), *words)
    before = content(out)
    again = build("--sources", _sources(folder, _table("zh"), WARC), *words)
    assert (again["generations"], content(out)) == ([], before)
    written_out = build("--sources", _sources(folder, WARC, _table("zh", page_url="")), *words)
    assert (written_out["generations"], content(out)) == ([], before)

    changed = build("--sources", _sources(folder, WARC, _table("alt")), *words)
    assert (changed["candidates"], changed["known"], changed["new_samples"]) == (ROWS, 0, 0)
    assert len(captions(out)) == ROWS
    assert [row["reason"] for row in drops(out)] == ["duplicate"] * ROWS
    guessed = build("--sources", _sources(folder, WARC, _table("alt", url="url")), *words)
    assert (guessed["candidates"], guessed["generations"]) == (0, [])
