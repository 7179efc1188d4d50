"""The demo is built once; every row of its table and folder must become what `demo.rows` says."""

import importlib.util
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from wenlan_data.cli.demo import demo
from wenlan_data.demo.captions import PICTURES
from wenlan_data.demo.material import photo_paths
from wenlan_data.demo.rows import FOLDER, SAMPLE, TABLE, TWIN, Row
from wenlan_data.errors import UsageError

pytest.importorskip("skimage", reason="the extra [demo] is not installed")
pytest.importorskip("sklearn", reason="the extra [demo] is not installed")


@pytest.fixture(scope="module")
def demo_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo ran twice, so that what it makes anew is tested as well."""
    out = tmp_path_factory.mktemp("demo") / "out"
    for _ in range(2):
        done = CliRunner().invoke(demo, ["--out", str(out), "--executor", "local"], catch_exceptions=False)
        assert done.exit_code == 0
    assert "shards verify" in done.output
    return out


def _rows(folder: Path) -> list[dict[str, object]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def _end_of(url: object) -> str:
    """The address without its random port or its folder; a whole one of another host as it stands."""
    text = str(url)
    if text.startswith("http://127.0.0.1:9/"):
        return text
    return text.split("/", 3)[3] if text.startswith("http://") else Path(text).name


def _expected_captions(rows: tuple[Row, ...]) -> dict[str, str]:
    return {row.path: row.caption or str(row.text) for row in rows if row.becomes == SAMPLE}


def test_every_good_row_becomes_a_sample_with_its_caption(demo_out: Path) -> None:
    found = {_end_of(row["image_url"]): row["caption"] for row in _rows(demo_out / "corpus" / "metadata")}
    twins = {row.path for row in TABLE if row.becomes == TWIN}
    assert len(twins & set(found)) == 1
    without_twins = {path: caption for path, caption in found.items() if path not in twins}
    assert without_twins == _expected_captions(TABLE) | _expected_captions(FOLDER)


def test_every_other_row_is_a_drop_row_with_the_expected_reason(demo_out: Path) -> None:
    rows = _rows(demo_out / "corpus" / "drops")
    twins = {row.path for row in TABLE if row.becomes == TWIN}
    dropped = [(_end_of(row["url"]), str(row["reason"])) for row in rows]
    assert [reason for path, reason in dropped if path in twins] == ["duplicate"]
    expected = [(row.path, row.becomes) for row in (*TABLE, *FOLDER) if row.becomes not in {SAMPLE, TWIN}]
    assert sorted(drop for drop in dropped if drop[0] not in twins) == sorted(expected)


def test_the_metadata_tell_how_each_caption_was_written_and_why_it_was_chosen(demo_out: Path) -> None:
    rows = _rows(demo_out / "corpus" / "metadata")
    assert {row["script"] for row in rows} == {"hans", "hant"}
    assert [row["flags"] for row in rows if row["flags"]] == [["html"]]
    assert {row["caption_reason"] for row in rows} == {"caption alone"}
    assert all(row["token_count"] == len(list(row["tokens"])) > 0 for row in rows)  # type: ignore[call-overload]


def test_a_picture_turned_by_exif_is_stored_upright(demo_out: Path) -> None:
    sizes = {
        _end_of(row["image_url"]): (row["width"], row["height"]) for row in _rows(demo_out / "corpus" / "metadata")
    }
    x1, y1, x2, y2 = PICTURES["headlight"].box or (0, 0, 0, 0)
    assert sizes["headlight.jpg"] == (x2 - x1, y2 - y1)
    assert sizes["retina.jpg"] == (1024, 1024)


def test_what_a_duplicate_says_is_kept_with_the_picture_that_stays(demo_out: Path) -> None:
    texts = {_end_of(row["image_url"]): row["texts"] for row in _rows(demo_out / "corpus" / "metadata")}
    assert {"type": "caption", "text": "花园里盛开的大丽花"} in list(texts["dahlia.jpg"])  # type: ignore[call-overload]


def test_a_folder_that_no_demo_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not lose this")
    with pytest.raises(UsageError, match="no demo wrote"):
        CliRunner().invoke(demo, ["--out", str(tmp_path)], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_files_that_the_demo_did_not_make_survive_its_next_run(demo_out: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(demo_out, out)
    (out / "notes.txt").write_text("mine")
    done = CliRunner().invoke(demo, ["--out", str(out), "--executor", "local"], catch_exceptions=False)
    assert done.exit_code == 0
    assert (out / "notes.txt").read_text() == "mine"


def test_without_the_photographs_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    with pytest.raises(UsageError, match=r"pip install 'wenlan-data\[demo\]'"):
        photo_paths()


def test_the_demo_has_about_sixty_rows_and_each_has_its_own_caption() -> None:
    assert 55 <= len(TABLE) <= 75
    captions = [picture.caption for picture in PICTURES.values()]
    assert len(set(captions)) == len(captions)
