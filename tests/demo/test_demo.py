"""Builds the demo, and compares every page and image with `demo.expected`."""

import importlib.util
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.other_packages import COMMAND
from wenlan_data.cli.demo import demo
from wenlan_data.demo.captions import IMAGES
from wenlan_data.demo.expected import DROPS, PAGES, SAMPLES
from wenlan_data.demo.images import FOLDER, IN_FOLDER
from wenlan_data.demo.run import MARKER
from wenlan_data.demo.site import page_names, photo_paths
from wenlan_data.errors import UsageError

pytest.importorskip("skimage", reason="the extra [demo] is not installed")
pytest.importorskip("sklearn", reason="the extra [demo] is not installed")


@pytest.fixture(scope="module")
def demo_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo that ran twice, so that replacing an earlier demo is tested as well."""
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


def _without_host(url: object) -> str:
    """Returns a URL without its random port, and a data URI without the digest of its bytes."""
    text = str(url).partition(";sha256=")[0]
    return urlsplit(text).path.lstrip("/") if text.startswith("http://") else text


def test_every_expected_sample_is_there_with_its_caption(
    demo_out: Path,
) -> None:
    rows = _rows(demo_out / "corpus" / "metadata")
    found = {_without_host(row["image_url"]): (row["caption"], row["caption_type"]) for row in rows}
    folder = {f"photos/{name}.jpg": (IMAGES[name].caption, "caption") for name in IN_FOLDER}
    assert found == SAMPLES | folder


def test_every_other_image_is_dropped_for_the_expected_reason(
    demo_out: Path,
) -> None:
    rows = _rows(demo_out / "corpus" / "drops")
    assert sorted(
        (_without_host(row["page_url"]), _without_host(row["url"]), row["reason"]) for row in rows
    ) == sorted(DROPS)


def test_every_page_is_requested_once_and_counted(demo_out: Path) -> None:
    manifest = json.loads((demo_out / "corpus" / "manifest.json").read_text("utf-8"))
    assert manifest["funnel"]["pages"] == PAGES
    assert len(page_names()) == PAGES["read"] + PAGES["robots"]


def test_licence_and_author_are_as_the_pages_state_them(demo_out: Path) -> None:
    rows = {_without_host(row["image_url"]): row for row in _rows(demo_out / "corpus" / "metadata")}
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


def test_metadata_record_the_script_of_each_caption_and_why_it_was_chosen(
    demo_out: Path,
) -> None:
    rows = _rows(demo_out / "corpus" / "metadata")
    assert {row["script"] for row in rows} >= {"hans", "hant"}
    assert all(str(row["caption_reason"]).startswith(str(row["caption_type"])) for row in rows)
    assert all(row["token_count"] == len(list(row["tokens"])) > 0 for row in rows)  # type: ignore[call-overload]


def test_an_image_rotated_by_exif_is_stored_upright(demo_out: Path) -> None:
    sizes = {
        _without_host(row["image_url"]): (row["width"], row["height"])
        for row in _rows(demo_out / "corpus" / "metadata")
    }
    x1, y1, x2, y2 = IMAGES["headlight"].box or (0, 0, 0, 0)
    assert sizes["photos/headlight.jpg"] == (x2 - x1, y2 - y1)
    assert sizes["photos/retina.jpg"] == (1024, 1024)
    assert sizes["photos/rocket.jpg"] == (640, 427)


def test_texts_of_other_pages_are_kept_with_an_image(demo_out: Path) -> None:
    texts = {
        _without_host(row["image_url"]): cast("list[dict[str, object]]", row["texts"])
        for row in _rows(demo_out / "corpus" / "metadata")
    }
    found = {(text["type"], text["text"]) for text in texts["photos/tower.jpg"]}
    assert ("alt", "旧站首页上的佛香阁") in found


def test_a_folder_that_no_demo_wrote_is_not_changed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose this")
    with pytest.raises(UsageError, match="no demo wrote"):
        CliRunner().invoke(demo, ["--out", str(tmp_path)], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_demo_in_one_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [*COMMAND, "demo", "--out", str(out), "--executor", "local", "--workers", "1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
        while not (out / "sources.yaml").exists():
            assert first.poll() is None
            time.sleep(0.05)
        second = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (second.returncode, first.poll()) == (2, None)
        assert "another demo is running here" in second.stderr
        first.terminate()
        first.communicate()
    assert (out / "sources.yaml").exists()


def test_a_link_in_the_folder_of_a_demo_is_named(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    (elsewhere / "kept").mkdir(parents=True)
    out.mkdir()
    (out / MARKER).touch()
    (out / "site").mkdir()
    (out / "corpus").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="corpus: a link, which no demo writes: remove it"):
        CliRunner().invoke(demo, ["--out", str(out)], catch_exceptions=False)
    assert (out / "site").is_dir()
    assert (elsewhere / "kept").is_dir()


def test_files_that_the_demo_did_not_write_survive_its_next_run(
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


def test_without_the_photographs_the_error_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    with pytest.raises(UsageError, match=r"pip install 'wenlan-data\[demo\]'"):
        photo_paths()


def test_the_demo_has_about_25_pages_and_each_image_its_own_caption() -> None:
    assert 20 <= len(page_names()) <= 30
    captions = [image.caption for image in IMAGES.values()]
    assert len(set(captions)) == len(captions)
    assert len(FOLDER) == len(IN_FOLDER) + 3
