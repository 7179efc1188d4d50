"""`easy` and `first`, as BriVL's records have them."""

import json
from pathlib import Path

import pytest

from wenlan_data.clean.variants import easy, first, with_variants
from wenlan_data.records import Text

RECORDS = Path(__file__).parents[3] / "shared" / "data" / "brivl-record" / "example.jsonl"


def test_they_are_those_of_the_records_that_brivl_published() -> None:
    if not RECORDS.is_file():
        pytest.skip(
            "../shared/data/brivl-record/example.jsonl is not there: the published records were not compared"
        )
    records = [
        dict(json.loads(line)["sentences"])
        for line in RECORDS.read_text("utf-8").split("\n")
        if line
    ]
    assert len(records) == 3
    for record in records:
        assert (easy(record["sur_text"]), first(record["sur_text"])) == (
            record["easy"],
            record["first"],
        )


def test_they_follow_the_texts_and_come_from_the_first_surrounding_text() -> None:
    texts = (
        Text("alt", "灯塔"),
        Text("surrounding", "海边的灯塔。建于1905年。"),
        Text("surrounding", "另一段。"),
    )
    made = with_variants(texts, ("easy", "first"))
    assert made == (*texts, Text("easy", "海边的灯塔。建于1905年。"), Text("first", "海边的灯塔"))
    assert with_variants(texts, ()) == texts
    assert with_variants(texts[:1], ("easy", "first")) == texts[:1]


def test_a_text_without_a_sentence_has_no_first() -> None:
    assert with_variants((Text("surrounding", "。。。"),), ("first",)) == (
        Text("surrounding", "。。。"),
    )
    assert (easy("字" * 200), first("没有句号")) == ("字" * 128, "没有句号")


def test_they_have_the_relation_and_confidence_of_the_surrounding_text() -> None:
    texts = (Text("surrounding", "海边的灯塔。建于1905年。", "below", 0.4),)
    made = with_variants(texts, ("easy", "first"))[1:]
    assert [(one.type, one.relation, one.confidence) for one in made] == [
        ("easy", "below", 0.4),
        ("first", "below", 0.4),
    ]
