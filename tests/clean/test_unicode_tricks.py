"""The table of Unicode tricks (T17) and of text that means to be executed (T18), each with its
exact outcome.
"""

import json
from pathlib import Path

import pytest

from wenlan_data.clean.chain import apply_rules, apply_with_remarks
from wenlan_data.clean.rules.fold import Fold
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Drop

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "unicode_tricks.jsonl").read_text("utf-8").splitlines()
]
FOLDED = [row for row in ROWS if row["threat"] == "T17"]
INERT = [row for row in ROWS if row["threat"] == "T18"]
DEFAULT = tuple(spec.load() for spec in load_recipe("wenlan").text.rules)


def test_the_table_has_at_least_200_rows() -> None:
    assert len({row["text"] for row in ROWS}) == len(ROWS) >= 200


@pytest.mark.parametrize(
    "row", FOLDED, ids=[f"{place}-{row['what']}" for place, row in enumerate(FOLDED)]
)
def test_tricks_are_folded_to_exactly_this(row: dict[str, str]) -> None:
    assert Fold()(row["text"]) == row["out"]


@pytest.mark.parametrize(
    "row", FOLDED, ids=[f"{place}-{row['what']}" for place, row in enumerate(FOLDED)]
)
def test_what_is_gone_was_counted(row: dict[str, str]) -> None:
    fold = Fold()
    counted = sum(remark.count for remark in fold.remarks(row["text"], fold(row["text"])))
    is_removal = row["what"].startswith(
        ("bidi", "zero width", "tag", "variation", "control", "private")
    )
    assert counted >= 1 if is_removal else counted >= 0


@pytest.mark.parametrize("row", INERT, ids=[row["what"] for row in INERT])
def test_text_that_means_to_be_executed_is_text_and_flagged(row: dict[str, object]) -> None:
    result, remarks = apply_with_remarks(DEFAULT, str(row["text"]))
    assert (result.reason if isinstance(result, Drop) else result) == (row["reason"] or row["out"])
    if isinstance(result, str):
        assert [remark.value for remark in remarks if remark.kind == "flag"] == row["flags"]
    assert apply_rules(DEFAULT, str(row["text"])) == result
