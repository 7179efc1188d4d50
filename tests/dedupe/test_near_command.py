"""`wenlan-data shards near` on a corpus that was built."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.builds.corpus_runs import build, captions, command
from wenlan_data.testing import make_caption, make_image


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("near")
    (folder / "photos").mkdir()
    for number in range(6):
        (folder / "photos" / f"{number}.jpg").write_bytes(make_image(number))
        (folder / "photos" / f"{number}.txt").write_text(make_caption(number), "utf-8")
    build(
        "--sources",
        f"folder:{folder / 'photos'}",
        "--out",
        folder / "corpus",
        "--executor",
        "local",
    )
    return folder / "corpus"


def test_a_smaller_copy_of_a_sample_finds_it(corpus: Path, tmp_path: Path) -> None:
    Image.open(io.BytesIO(make_image(3))).resize((160, 120)).save(tmp_path / "small.png")
    done = command("shards", "near", corpus, tmp_path / "small.png", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["caption"] for row in rows] == [make_caption(3)]
    assert rows[0]["distance"] <= 4
    assert rows[0]["pdq_distance"] <= 31
    assert rows[0]["image_url"] == captions(corpus)[make_caption(3)]


def test_a_key_gives_distances_to_all_within_the_radius_nearest_first(corpus: Path) -> None:
    listed = command("shards", "near", corpus, str(first_key(corpus)), "--radius", 64, "--json")
    rows = json.loads(listed.stdout)
    assert len(rows) == 6
    assert (rows[0]["key"], rows[0]["distance"], rows[0]["pdq_distance"]) == (
        first_key(corpus),
        0,
        0,
    )
    assert [row["distance"] for row in rows] == sorted(row["distance"] for row in rows)
    assert first_key(corpus) in command("shards", "near", corpus, first_key(corpus)).stdout


@pytest.mark.parametrize("word", ["0" * 32, "nothing.jpg"])
def test_what_is_neither_a_file_nor_a_key_is_wrong_usage(corpus: Path, word: str) -> None:
    done = command("shards", "near", corpus, word)
    assert done.returncode == 2
    assert "neither a file nor the key" in done.stderr


def first_key(corpus: Path) -> str:
    lines = command("shards", "ls", "--samples", "--json", corpus).stdout.splitlines()
    return str(json.loads(lines[0])["key"])
