"""The caption chosen for each image of the recipe book: the authors' alt text, or a text around the
image.
"""

import json
from pathlib import Path

import pytest

from wenlan_data.dedupe.captions import choose
from wenlan_data.extract.candidate_tables import CandidateRow
from wenlan_data.extract.cleaner import TextCleaner
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Candidate, Text

TRUTH = Path(__file__).parents[3] / "shared" / "data" / "howtocook-site" / "TRUTH.json"


def _rows(page: dict[str, object]) -> list[tuple[CandidateRow, dict[str, str]]]:
    images = page.get("images") or []
    assert isinstance(images, list)
    rows = []
    for place, image in enumerate(images):
        texts = [
            ("alt", image["alt"]),
            ("surrounding", image["nearby"]),
            ("heading", image["heading"]),
        ]
        texts.append(("page_title", page["title"]))
        candidate = Candidate(
            url=f"http://howtocook.test/{page['path']}/{place}",
            texts=tuple(Text(kind, text) for kind, text in texts if text),
            page_url=f"http://howtocook.test/{page['path']}",
        )
        rows.append((CandidateRow(place, b"", candidate, candidate.url), image))
    return rows


def test_at_least_97_percent_of_captions_are_the_alt_text_or_else_a_text_around_it() -> None:
    if not TRUTH.is_file():
        pytest.skip(
            "../shared/data/howtocook-site/TRUTH.json is not there: the choice of captions was not checked"
        )
    text = load_recipe("wenlan").text
    cleaner = TextCleaner.of(text)
    right = []
    for page in json.loads(TRUTH.read_text("utf-8"))["pages"]:
        pairs = _rows(page)
        for (_, decision), (_, image) in zip(cleaner(row for row, _ in pairs), pairs, strict=True):
            caption, kind = choose(decision.candidate.texts, text.caption)
            alt = image.get("alt_hans", image["alt"])
            has_han = any("\u4e00" <= character <= "\u9fff" for character in alt)
            right.append(caption == alt if has_han else kind == "surrounding")
    assert len(right) == 151
    assert sum(right) >= 0.97 * len(right)
