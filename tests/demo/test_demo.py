"""The demo is built once; each page and picture must become what `demo.expected` says."""

import importlib.util
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from wenlan_data.cli.demo import demo
from wenlan_data.demo.captions import PICTURES
from wenlan_data.demo.expected import DROPS, PAGES, SAMPLES
from wenlan_data.demo.material import page_names, photo_paths
from wenlan_data.demo.rows import FOLDER, IN_FOLDER
from wenlan_data.errors import UsageError

pytest.importorskip("skimage", reason="the extra [demo] is not installed")
pytest.importorskip("sklearn", reason="the extra [demo] is not installed")


@pytest.fixture(scope="module")
def demo_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo ran twice, so that what it makes anew is tested as well."""
    out = tmp_path_factory.mktemp("demo") / "out"
    for _ in range(2):
        done = CliRunner().invoke(
            demo, ["--out", str(out), "--executor", "local"], catch_exceptions=False
        )
        assert done.exit_code == 0
    assert "shards verify" in done.output
    return out


def _rows(folder: Path) -> list[dict[str, object]]:
    return [
        row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def _end_of(url: object) -> str:
    """The address without its random port; of a picture inside a page what does not hang on the encoder."""
    text = str(url).partition(";sha256=")[0]
    return urlsplit(text).path.lstrip("/") if text.startswith("http://") else text


def test_every_picture_becomes_a_sample_with_the_caption_that_is_written_down(
    demo_out: Path,
) -> None:
    rows = _rows(demo_out / "corpus" / "metadata")
    found = {_end_of(row["image_url"]): (row["caption"], row["caption_type"]) for row in rows}
    folder = {f"photos/{name}.jpg": (PICTURES[name].caption, "caption") for name in IN_FOLDER}
    assert found == SAMPLES | folder


def test_every_other_picture_is_a_drop_row_with_the_reason_that_is_written_down(
    demo_out: Path,
) -> None:
    rows = _rows(demo_out / "corpus" / "drops")
    assert sorted(
        (_end_of(row["page_url"]), _end_of(row["url"]), row["reason"]) for row in rows
    ) == sorted(DROPS)


def test_every_page_is_asked_for_once_and_accounted_for(demo_out: Path) -> None:
    manifest = json.loads((demo_out / "corpus" / "manifest.json").read_text("utf-8"))
    assert manifest["funnel"]["pages"] == PAGES
    assert len(page_names()) == PAGES["read"] + PAGES["robots"]


def test_licence_and_author_are_those_that_the_pages_state(demo_out: Path) -> None:
    rows = {_end_of(row["image_url"]): row for row in _rows(demo_out / "corpus" / "metadata")}
    by = "https://creativecommons.org/licenses/by/2.0/"
    assert (rows["photos/tower-roof.jpg"]["licence"], rows["photos/tower-roof.jpg"]["author"]) == (
        by,
        "danielbuechele",
    )
    assert (rows["photos/dahlia.jpg"]["licence"], rows["photos/dahlia.jpg"]["author"]) == (
        by,
        "vultilion",
    )
    assert rows["photos/optic-disc.jpg"]["author"] == "眼科中心"
    assert rows["photos/brick.jpg"]["licence"] == ""


def test_the_metadata_tell_how_each_caption_was_written_and_why_it_was_chosen(
    demo_out: Path,
) -> None:
    rows = _rows(demo_out / "corpus" / "metadata")
    assert {row["script"] for row in rows} >= {"hans", "hant"}
    assert all(str(row["caption_reason"]).startswith(str(row["caption_type"])) for row in rows)
    assert all(row["token_count"] == len(list(row["tokens"])) > 0 for row in rows)  # type: ignore[call-overload]


def test_a_picture_turned_by_exif_is_stored_upright(demo_out: Path) -> None:
    sizes = {
        _end_of(row["image_url"]): (row["width"], row["height"])
        for row in _rows(demo_out / "corpus" / "metadata")
    }
    x1, y1, x2, y2 = PICTURES["headlight"].box or (0, 0, 0, 0)
    assert sizes["photos/headlight.jpg"] == (x2 - x1, y2 - y1)
    assert sizes["photos/retina.jpg"] == (1024, 1024)
    assert sizes["photos/rocket.jpg"] == (640, 427)


def test_what_other_pages_say_of_a_picture_is_kept_with_it(demo_out: Path) -> None:
    texts = {
        _end_of(row["image_url"]): row["texts"] for row in _rows(demo_out / "corpus" / "metadata")
    }
    assert {"type": "alt", "text": "旧站首页上的佛香阁"} in list(texts["photos/tower.jpg"])  # type: ignore[call-overload]


def test_a_folder_that_no_demo_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose this")
    with pytest.raises(UsageError, match="no demo wrote"):
        CliRunner().invoke(demo, ["--out", str(tmp_path)], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_files_that_the_demo_did_not_make_survive_its_next_run(
    demo_out: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo_out, out)
    (out / "notes.txt").write_text("mine")
    done = CliRunner().invoke(
        demo, ["--out", str(out), "--executor", "local"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert (out / "notes.txt").read_text() == "mine"


def test_without_the_photographs_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    with pytest.raises(UsageError, match=r"pip install 'wenlan-data\[demo\]'"):
        photo_paths()


def test_the_demo_has_about_25_pages_and_each_picture_its_own_caption() -> None:
    assert 20 <= len(page_names()) <= 30
    captions = [picture.caption for picture in PICTURES.values()]
    assert len(set(captions)) == len(captions)
    assert len(FOLDER) == len(IN_FOLDER) + 3
