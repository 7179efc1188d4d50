import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.shard.make_golden import make_corpus
from wenlan_data.cli.main import cli
from wenlan_data.errors import UsageError
from wenlan_data.records import Text
from wenlan_data.tables import DROPS

LINES = (
    "雨后的<b>黄山</b>云海（图/视觉中国）\n\nIMG_1234.JPG\n電話13812345678\n台灣的\x1b[31m夜市\n"
)


def _run(*words: str, given: str | bytes = LINES, color: bool = False) -> str:
    done = CliRunner().invoke(
        cli, ["text", "try", *words], input=given, catch_exceptions=False, color=color
    )
    assert done.exit_code == 0
    return done.stdout


def _records(*words: str, given: str | bytes = LINES) -> list[dict[str, object]]:
    return [json.loads(line) for line in _run(*words, "--json", given=given).splitlines()]


def test_json_prints_one_record_per_line_in_order() -> None:
    first, *rest, last = _records("wenlan")
    assert first == {"text": "雨后的黄山云海", "script": "hans", "flags": ["html"]}
    assert [one["reason"] for one in rest] == ["empty", "file_name", "contact_info"]
    assert [one["rule"] for one in rest] == ["visible", "file_name", "contact_info"]
    assert last == {"text": "台湾的夜市", "script": "hant", "flags": []}


def test_only_a_line_feed_ends_a_line() -> None:
    given = "春日\u2028里的\x0b油菜\u2029花\r\n最后一行的灯塔".encode()
    assert [one["text"] for one in _records("wenlan", given=given)] == [
        "春日 里的 油菜 花",
        "最后一行的灯塔",
    ]


def test_bytes_that_are_not_utf8_are_read_as_a_text() -> None:
    assert len(_records("wenlan", given=b"\xff\xfe\n\xe5\xb1\n")) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("故宫\n".encode() + "角楼\n".encode("gbk"), "1 lines are not UTF-8, the first is line 2"),
        (b"", "the standard input is empty"),
    ],
)
def test_input_that_is_not_utf8_or_empty_is_reported(given: bytes, message: str) -> None:
    done = CliRunner().invoke(
        cli, ["text", "try", "wenlan", "--json"], input=given, catch_exceptions=False
    )
    assert done.exit_code == 0
    assert message in done.stderr
    assert len(done.stdout.splitlines()) == given.count(b"\n")


def test_lines_may_be_json() -> None:
    given = '"红色的\\n灯笼"\n{"text": "<br>", "id": 3}\n'
    assert [
        (one["text"], one.get("reason")) for one in _records("wenlan", "--jsonl", given=given)
    ] == [
        ("红色的 灯笼", None),
        ("<br>", "markup"),
    ]


@pytest.mark.parametrize("given", ["{\n", "3\n", '{"words": "x"}\n'])
def test_lines_without_the_expected_json_are_named(given: str) -> None:
    with pytest.raises(UsageError, match="line 1 of the input"):
        _run("wenlan", "--jsonl", given=given)


def test_changes_are_shown_in_colour_and_texts_never_act_on_the_terminal() -> None:
    plain, coloured = _run("wenlan"), _run("wenlan", color=True)
    assert "markup         雨后的[<b>]黄山[</b>]云海（图/视觉中国）" in plain
    assert "boilerplate    雨后的黄山云海[（图/视觉中国）]" in plain
    assert "contact_info (mobile)" in plain
    assert "\x1b" not in plain
    assert "\x1b[31m[<b>]\x1b[0m" in coloured
    assert "\x1b[31m夜市" not in coloured


def test_overrides_of_the_recipe_apply() -> None:
    masked = _records("wenlan", "--set", "text.rules=[{rule: contact_info, action: mask}]")
    assert masked[3]["text"] == "電話[手机]"


def test_a_recipe_must_be_given() -> None:
    with pytest.raises(UsageError, match="name a recipe"):
        _run()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    make_corpus(tmp_path)
    empty = {
        "key": "",
        "page_url": "",
        "source": "table:golden.csv",
        "detail": "",
        "retryable": False,
    }
    row = {
        **empty,
        "step": "clean",
        "url": "https://example.org/x.jpg",
        "reason": "contact_info",
        "duplicate_of": "",
    }
    row |= {
        "phash_distance": -1,
        "pdq_distance": -1,
        "texts": [asdict(Text("alt", "電話13812345678", "below", 0.4))],
    }
    pq.write_table(pa.Table.from_pylist([row], schema=DROPS), tmp_path / "drops" / "000000.parquet")
    return tmp_path


def test_a_drop_of_a_corpus_is_explained(corpus: Path) -> None:
    shown = _run("wenlan", "--explain", str(corpus), "--drop", "https://example.org/x.jpg")
    assert "contact_info" in shown
    assert "simplify       [電話]{电话}13812345678" in shown
    value = json.loads(
        _run("wenlan", "--explain", str(corpus), "--drop", "https://example.org/x.jpg", "--json")
    )
    assert value["drop"]["reason"] == "contact_info"
    assert value["texts"][0]["changes"][-1] == {"rule": "contact_info", "reason": "contact_info"}


def test_an_explained_text_has_its_relation_and_the_confidence_is_checked_first(
    corpus: Path,
) -> None:
    words = ("--explain", str(corpus), "--drop", "https://example.org/x.jpg")
    lowest = ("--set", "text.min_confidence=0.5")
    assert "alt (below 0.40): 電話13812345678" in _run("wenlan", *words)
    assert "min_confidence low_confidence (below 0.40)" in _run("wenlan", *words, *lowest)
    text = json.loads(_run("wenlan", *words, *lowest, "--json"))["texts"][0]
    assert (text["relation"], text["confidence"]) == ("below", 0.4)
    assert (text["reason"], text["rule"]) == ("low_confidence", "min_confidence")


def test_explain_without_a_recipe_uses_the_recipe_of_the_corpus(corpus: Path) -> None:
    value = json.loads(
        _run("--explain", str(corpus), "--drop", "https://example.org/x.jpg", "--json")
    )
    assert value["texts"][0]["text"] == "電話13812345678"  # the golden corpus has no text rules


@pytest.mark.parametrize("words", [("--drop", "https://example.org/none.jpg"), ()])
def test_a_missing_or_unnamed_row_is_an_error(corpus: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="drops"):
        _run("--explain", str(corpus), *words)


def test_a_row_without_a_corpus_is_an_error() -> None:
    with pytest.raises(UsageError, match="--explain CORPUS"):
        _run("wenlan", "--drop", "x")
