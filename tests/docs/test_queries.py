"""Runs the SQL of docs/report.md."""

import re
from dataclasses import asdict
from pathlib import Path

import duckdb
import pytest

from tests.report.corpora import key, write_corpus
from wenlan_data.records import Text
from wenlan_data.testing import make_caption

PAGE = Path(__file__).parents[2] / "docs" / "report.md"
QUERIES = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def in_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder holds a corpus with the name that the page uses."""
    samples = [
        {"caption": make_caption(number), "url": f"http://{number % 2}.test/{number}.jpg"}
        for number in range(3)
    ]
    copy = {
        "step": "dedupe",
        "reason": "near_duplicate",
        "duplicate_of": key(1),
        "phash_distance": 2,
        "pdq_distance": 9,
    }
    write_corpus(tmp_path / "corpus", samples, [copy, {}])
    monkeypatch.chdir(tmp_path)


def _rows(query: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        rows: list[tuple[object, ...]] = connection.execute(query).fetchall()
    return rows


def test_there_are_four_queries() -> None:
    assert len(QUERIES) == 4


@pytest.mark.usefixtures("in_user_folder")
def test_hosts_have_their_shares() -> None:
    assert _rows(QUERIES[0]) == [("0.test", 2, 66.7, 48.0), ("1.test", 1, 33.3, 48.0)]


@pytest.mark.usefixtures("in_user_folder")
def test_words_are_counted_by_caption() -> None:
    rows = _rows(QUERIES[1])
    assert rows[0] == ("旁边", 3, "caption")
    assert {word for word, _, _ in rows} >= {"窗台", "小猫", "火车", "山峰"}


@pytest.mark.usefixtures("in_user_folder")
def test_near_duplicates_are_joined_with_the_kept_sample() -> None:
    rows = _rows(QUERIES[2])
    assert rows == [
        (9, 2, make_caption(1), "已删除的图片", "http://1.test/1.jpg", "http://a.test/gone.jpg")
    ]


def test_captions_of_the_lowest_confidence_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [
        {
            "caption": make_caption(number),
            "caption_type": "figcaption",
            "texts": [
                asdict(Text("figcaption", make_caption(number), "below", confidence)),
                asdict(Text("surrounding", "别的字", "shared", 0.1)),
            ],
        }
        for number, confidence in enumerate((0.9, 0.55, 0.7))
    ]
    write_corpus(tmp_path / "corpus", samples)
    monkeypatch.chdir(tmp_path)
    assert [row[:3] for row in _rows(QUERIES[3])] == [
        (0.55, "below", make_caption(1)),
        (0.7, "below", make_caption(2)),
        (0.9, "below", make_caption(0)),
    ]
