"""The pinned floor of text cleaning on hand-labelled captions, which lie beside the repository
where at hand.
"""

import json
from pathlib import Path
from typing import TypedDict

import pytest

from wenlan_data.clean.chain import apply_rules
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Drop

LABELLED = Path(__file__).parents[3] / "shared" / "data" / "text" / "captions_noisy.jsonl"


class Line(TypedDict):
    id: str
    text: str
    keep: bool
    reason: str | None
    clean: str | None


LabelledResults = list[tuple[Line, str | Drop]]


@pytest.fixture(scope="module")
def results() -> LabelledResults:
    if not LABELLED.is_file():
        pytest.skip(
            "../shared/data/text/captions_noisy.jsonl is not there: the labelled captions were not checked"
        )
    lines: list[Line] = [
        json.loads(line) for line in LABELLED.read_text("utf-8").split("\n") if line
    ]
    rules = [spec.load() for spec in load_recipe("wenlan").text.rules]
    return [(line, apply_rules(rules, line["text"])) for line in lines]


def _share(right: list[bool]) -> float:
    return sum(right) / len(right)


def test_at_least_97_percent_of_keep_or_drop_is_right(results: LabelledResults) -> None:
    assert _share([line["keep"] == isinstance(result, str) for line, result in results]) >= 0.97


def test_at_least_98_percent_of_good_captions_are_kept(results: LabelledResults) -> None:
    assert _share([isinstance(result, str) for line, result in results if line["keep"]]) >= 0.98


def test_at_least_90_percent_of_the_drops_have_the_labelled_reason(
    results: LabelledResults,
) -> None:
    reasons = [(line["reason"], result) for line, result in results if not line["keep"]]
    assert (
        _share([isinstance(result, Drop) and result.reason == reason for reason, result in reasons])
        >= 0.9
    )


def test_at_least_97_percent_of_clean_texts_are_met(results: LabelledResults) -> None:
    assert (
        _share([result == line["clean"] for line, result in results if line["clean"] is not None])
        >= 0.97
    )
