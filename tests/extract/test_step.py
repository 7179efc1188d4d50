import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wenlan_data import plugins
from wenlan_data.errors import DamageError
from wenlan_data.extract.candidate_tables import CandidateRow, raw_batch, read_raw
from wenlan_data.extract.step import ExtractDetails, ExtractPart, ReextractPart, RetryPart
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import RuleSpec, TextRules
from wenlan_data.records import Candidate, Drop, Text
from wenlan_data.seen_ids import ids_array, save_ids
from wenlan_data.source_config import SourceSpec
from wenlan_data.tables import CANDIDATES, IMAGE_INDEX, RAW, WORK_DROPS

FILES = {"raw": RAW, "candidates": CANDIDATES, "drops": WORK_DROPS, "images": IMAGE_INDEX}


@dataclass(frozen=True)
class TestStep:
    """A rule of another module, found because the operator names the module."""

    __test__ = False

    def __call__(self, text: str) -> str | Drop:
        """Rejects ASCII and short texts; appends 。 to the others."""
        if text.isascii():
            return Drop("no_han")
        return Drop("too_short") if len(text) < 2 else f"{text}。"


plugins.use_modules(["tests.extract.test_step"])
TEXT = TextRules(rules=(RuleSpec(rule="test_step"),))


def _jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _part(
    path: Path, kind: str = "table", *, known: tuple[str, ...] = (), limit: int | None = None
) -> ExtractPart:
    spec = SourceSpec.model_validate({"kind": kind, "path": path.name, "base": str(path.parent)})
    [part] = spec.load().parts(source=0, max_rows=1000)
    return ExtractPart(part_number=3, source=spec, part=part, text=TEXT, known=known, limit=limit)


def _run(
    part: ExtractPart | ReextractPart | RetryPart, out: Path
) -> tuple[Receipt[ExtractDetails], dict[str, list[dict[str, object]]]]:
    out.mkdir()
    receipt = part(out)
    assert sorted(path.stem for path in out.iterdir()) == sorted(FILES)
    tables = {name: pq.read_table(out / f"{name}.parquet") for name in FILES}
    for name, schema in FILES.items():
        assert tables[name].schema.equals(schema), name
    assert (
        receipt.rows_in == tables["raw"].num_rows == receipt.rows_out + sum(receipt.drops.values())
    )
    assert receipt.rows_out == tables["candidates"].num_rows
    assert receipt.bytes_out == sum(path.stat().st_size for path in out.iterdir())
    json.dumps(asdict(receipt))
    return receipt, {name: table.to_pylist() for name, table in tables.items()}


ROWS: list[object] = [
    {"url": "http://a.cn/1.jpg", "text": "一只猫"},
    {"url": "HTTP://A.cn:80/1.jpg#x", "text": "一只猫"},
    {"url": "http://a.cn/2.jpg", "text": "a cat"},
    {"url": "", "text": "湖边"},
    {"url": "", "text": "山边"},
    {"url": "ftp://a.cn/3.jpg", "text": "石桥"},
    {"url": "http://a.cn/4.jpg"},
    {"url": "http://a.cn/5.jpg", "text": ["x", "江南水乡"]},
    {"url": "http://a.cn/6.jpg", "text": "\ud800"},
]


def _given(text: str) -> dict[str, object]:
    return {"type": "caption", "text": text, "relation": "given", "confidence": 1.0}


def test_every_row_is_a_candidate_a_drop_or_known(tmp_path: Path) -> None:
    receipt, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS)), tmp_path / "out")
    assert receipt.drops == {
        "bad_encoding": 1,
        "bad_url": 2,
        "no_han": 1,
        "no_text": 1,
        "scheme": 1,
    }
    assert receipt.details == ExtractDetails(rejected_texts={"no_han": 1})
    assert [(row["url"], row["texts"]) for row in tables["candidates"]] == [
        ("http://a.cn/1.jpg", [_given("一只猫。")]),
        ("HTTP://A.cn:80/1.jpg#x", [_given("一只猫。")]),
        ("http://a.cn/5.jpg", [_given("江南水乡。")]),
    ]
    assert [(row["step"], row["reason"], row["url"]) for row in tables["drops"]] == [
        ("clean", "no_han", "http://a.cn/2.jpg"),
        ("extract", "bad_url", ""),
        ("extract", "bad_url", ""),
        ("extract", "scheme", "ftp://a.cn/3.jpg"),
        ("clean", "no_text", "http://a.cn/4.jpg"),
        ("extract", "bad_encoding", ""),
    ]
    assert [row["ordinal"] for row in tables["raw"]] == [(3 << 32) + n for n in range(9)]
    assert len({row["candidate_id"] for row in tables["raw"]}) == 8
    assert tables["raw"][7]["texts"] == [_given("x"), _given("江南水乡")]
    assert tables["drops"][0]["texts"] == [_given("a cat")]
    assert {(row["source"], row["key"], row["pdq_distance"]) for row in tables["drops"]} == {
        ("table:t.jsonl", "", -1)
    }


def test_extracting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    part = _part(_jsonl(tmp_path / "t.jsonl", ROWS))
    first, _ = _run(part, tmp_path / "a")
    second, _ = _run(part, tmp_path / "b")
    assert first == second
    for name in FILES:
        assert (tmp_path / f"a/{name}.parquet").read_bytes() == (
            tmp_path / f"b/{name}.parquet"
        ).read_bytes()


def test_known_candidates_are_skipped_silently_and_a_new_text_is_new(tmp_path: Path) -> None:
    _, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS)), tmp_path / "a")
    save_ids(tmp_path / "ids.npy", ids_array(bytes(row["candidate_id"]) for row in tables["raw"]))  # type: ignore[call-overload]
    known = (str(tmp_path / "ids.npy"),)
    again, _ = _run(_part(tmp_path / "t.jsonl", known=known), tmp_path / "b")
    assert (again.rows_in, again.details.known, again.drops) == (0, 9, {})
    more = _jsonl(
        tmp_path / "more.jsonl", [*ROWS[:2], {"url": "http://a.cn/1.jpg", "text": "一只狗"}]
    )
    grown, tables = _run(_part(more, known=known), tmp_path / "c")
    assert (grown.rows_in, grown.rows_out, grown.details.known) == (1, 1, 2)
    assert tables["raw"][0]["ordinal"] == (3 << 32) + 2


def test_a_limit_counts_rows_of_the_part(tmp_path: Path) -> None:
    receipt, _ = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS), limit=3), tmp_path / "out")
    assert receipt.rows_in == 3


def test_the_best_type_names_the_reason_of_a_candidate_without_texts(tmp_path: Path) -> None:
    part = _part(_jsonl(tmp_path / "t.jsonl", [{"url": "http://a.cn/1.jpg", "text": ["字", "x"]}]))
    receipt, _ = _run(part, tmp_path / "a")
    assert receipt.drops == {"too_short": 1}
    receipt, _ = _run(
        replace(part, text=TEXT.model_copy(update={"caption": ("alt",)})), tmp_path / "b"
    )
    assert receipt.drops == {"too_short": 1}


def test_files_are_known_by_their_path_and_need_no_request(tmp_path: Path) -> None:
    root = tmp_path / "照片"
    root.mkdir()
    (root / "猫 1.jpg").write_bytes(b"1")
    (root / "猫 1.txt").write_text("一只猫", "utf-8")
    (root / "b.jpg").write_bytes(b"1")
    (root / "b.txt").write_bytes(b"\xff\xff")
    receipt, tables = _run(_part(root, "folder"), tmp_path / "out")
    assert receipt.drops == {"bad_encoding": 1}
    [row] = tables["candidates"]
    assert (row["url"], row["url_key"], row["supply"]) == ("照片/猫 1.jpg", "照片/猫 1.jpg", "file")
    assert row["supply_path"] == str(root / "猫 1.jpg")


def test_recorded_rows_give_the_same_outputs_with_other_rules(tmp_path: Path) -> None:
    _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS)), tmp_path / "a")
    same = ReextractPart(part_number=3, raw=str(tmp_path / "a/raw.parquet"), text=TEXT)
    receipt, tables = _run(same, tmp_path / "b")
    assert receipt.drops == {
        "bad_encoding": 1,
        "bad_url": 2,
        "no_han": 1,
        "no_text": 1,
        "scheme": 1,
    }
    assert [row["ordinal"] for row in tables["raw"]] == [(3 << 32) + n for n in range(9)]
    before = pq.read_table(tmp_path / "a/drops.parquet").to_pylist()
    assert [{**row, "ordinal": 0} for row in tables["drops"]] == [
        {**row, "ordinal": 0} for row in before
    ]
    receipt, tables = _run(replace(same, text=TextRules()), tmp_path / "c")
    assert receipt.drops == {"bad_encoding": 1, "bad_url": 2, "no_text": 1, "scheme": 1}
    assert [row["url"] for row in tables["candidates"]] == [
        "http://a.cn/1.jpg",
        "HTTP://A.cn:80/1.jpg#x",
        "http://a.cn/2.jpg",
        "http://a.cn/5.jpg",
    ]


def test_an_unreadable_row_is_recorded_as_a_drop(tmp_path: Path) -> None:
    _, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS)), tmp_path / "a")
    unreadable = [row for row in tables["raw"] if row["reason"]]
    assert [(row["ordinal"], row["reason"], row["detail"]) for row in unreadable] == [
        ((3 << 32) + 3, "bad_url", "empty"),
        ((3 << 32) + 4, "bad_url", "empty"),
        ((3 << 32) + 8, "bad_encoding", "a lone surrogate"),
    ]
    assert {(row["source"], row["url"], row["supply_path"]) for row in unreadable} == {
        ("table:t.jsonl", "", "")
    }


def test_rows_of_version_5_are_still_read(tmp_path: Path) -> None:
    """It recorded `reason: detail` of an unreadable row in `supply_path`, and texts without
    relation and confidence."""
    texts = pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))
    place = CANDIDATES.get_field_index("texts")
    schema = CANDIDATES.set(place, CANDIDATES.field("texts").with_type(texts))
    _, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS)), tmp_path / "a")
    rows = [
        {
            **row,
            "remarks": [],
            **(
                {"supply": "none", "supply_path": f"{row['reason']}: {row['detail']}"}
                if row["reason"]
                else {}
            ),
        }
        for row in tables["raw"]
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "raw.parquet")
    part = ReextractPart(part_number=3, raw=str(tmp_path / "raw.parquet"), text=TEXT)
    _, again = _run(part, tmp_path / "b")
    assert again == tables


def test_relation_and_confidence_survive_their_recording(tmp_path: Path) -> None:
    texts = (Text("alt", "湖边的塔", "attribute", 0.7), Text("title", "湖", "page", 1 / 3))
    row = CandidateRow(7, bytes(16), Candidate(url="http://a.cn/1.jpg", texts=texts), "a.cn/1.jpg")
    pq.write_table(pa.Table.from_batches([raw_batch([row])]), tmp_path / "raw.parquet")
    (read,) = read_raw(str(tmp_path / "raw.parquet"))
    assert read == row
    assert [(one.relation, one.confidence) for one in read.candidate.texts] == [
        ("attribute", 0.7),
        ("page", 0.33),
    ]


def test_an_unreadable_row_is_never_retried(tmp_path: Path) -> None:
    """Its reason may be transient; the row that is recorded, and read again, is not."""
    plugins.use_modules(["tests.extract.hanging_pages"])
    spec = SourceSpec(kind="hanging_pages")
    (part,) = spec.load().parts(source=0, max_rows=1000)
    first = ExtractPart(part_number=0, source=spec, part=part, text=TEXT)
    _, tables = _run(first, tmp_path / "first")
    raw = str(tmp_path / "first/raw.parquet")
    np.save(tmp_path / "ids.npy", np.array([tables["raw"][0]["candidate_id"]], dtype="S16"))
    retry = RetryPart(part_number=0, raws=(raw,), ids=str(tmp_path / "ids.npy"), text=TEXT)
    _, retried = _run(retry, tmp_path / "retry")
    _, again = _run(ReextractPart(part_number=0, raw=raw, text=TEXT), tmp_path / "again")
    for drops in (tables["drops"], retried["drops"], again["drops"]):
        (row,) = drops
        assert (row["reason"], row["detail"], row["retryable"]) == ("decoder_timeout", "7 s", False)


def test_only_the_rows_to_retry_are_taken_each_once(tmp_path: Path) -> None:
    _, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS)), tmp_path / "a")
    wanted = [bytes(row["candidate_id"]) for row in tables["candidates"]]  # type: ignore[call-overload]
    np.save(tmp_path / "ids.npy", np.array(sorted(wanted), dtype="S16"))
    raw = str(tmp_path / "a/raw.parquet")
    part = RetryPart(part_number=0, raws=(raw, raw), ids=str(tmp_path / "ids.npy"), text=TEXT)
    receipt, tables = _run(part, tmp_path / "b")
    assert [row["url"] for row in tables["candidates"]] == [
        "http://a.cn/1.jpg",
        "http://a.cn/5.jpg",
    ]
    assert [row["ordinal"] for row in tables["raw"]] == [0, 1]
    assert receipt.rows_in == 2


def test_a_part_of_many_batches_keeps_its_order(tmp_path: Path) -> None:
    rows = [{"url": f"http://a.cn/{n}.jpg", "text": f"第{n}幅画"} for n in range(9_000)]
    spec = SourceSpec.model_validate(
        {"kind": "table", "path": str(_jsonl(tmp_path / "t.jsonl", rows))}
    )
    [part] = spec.load().parts(source=0, max_rows=50_000)
    _, tables = _run(
        ExtractPart(part_number=0, source=spec, part=part, text=TextRules()), tmp_path / "out"
    )
    assert [row["ordinal"] for row in tables["raw"]] == list(range(9_000))
    assert pq.ParquetFile(tmp_path / "out/raw.parquet").num_row_groups == 2


@pytest.mark.parametrize("limit", [0, 1])
def test_files_are_written_even_if_they_are_empty(tmp_path: Path, limit: int) -> None:
    receipt, _ = _run(_part(_jsonl(tmp_path / "t.jsonl", ROWS), limit=limit), tmp_path / "out")
    assert receipt.rows_in == limit


LARGE: dict[str, tuple[dict[str, object], str]] = {
    "texts": ({"text": [str(n) for n in range(1001)]}, "1001 texts, more than 1000"),
    "page": (
        {"text": "一只猫", "page_url": "x" * 16_001},
        "a field of 16001 characters, more than",
    ),
    "url": ({"url": "http://a.cn/" + "x" * 20_000, "text": "一只猫"}, "20012 characters"),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_row_too_large_for_the_tables_is_a_drop(tmp_path: Path, case: str) -> None:
    fields, detail = LARGE[case]
    rows = [{"url": "http://a.cn/1.jpg", **fields}, {"url": "http://a.cn/2.jpg", "text": "湖边"}]
    receipt, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", rows)), tmp_path / "out")
    assert receipt.drops == {"url_too_long" if case == "url" else "bad_row": 1}
    assert str(tables["drops"][0]["detail"]).startswith(detail)
    assert [row["url"] for row in tables["candidates"]] == ["http://a.cn/2.jpg"]


@pytest.mark.parametrize("words", [["一只猫"] * 5000, ["猫" * 600_000] * 2])
def test_a_recorded_row_too_large_for_the_tables_is_a_drop(
    tmp_path: Path, words: list[str]
) -> None:
    """A version without limits recorded it."""
    texts = tuple(Text("caption", word) for word in words)
    candidate = Candidate(url="http://a.cn/1.jpg", texts=texts, source="s")
    row = CandidateRow(0, bytes(16), candidate, candidate.url)
    path = tmp_path / "raw.parquet"
    pq.write_table(pa.Table.from_batches([raw_batch([row])]), path)
    receipt, tables = _run(ReextractPart(part_number=0, raw=str(path), text=TEXT), tmp_path / "out")
    assert receipt.drops == {"bad_row": 1}
    assert (tables["drops"][0]["source"], tables["drops"][0]["texts"]) == ("s", [])


@pytest.mark.parametrize("column", ["ordinal", "candidate_id", "url", "texts", "reason"])
def test_a_recording_with_an_empty_cell_is_named(tmp_path: Path, column: str) -> None:
    candidate = Candidate(url="http://a.cn/1.jpg", texts=(Text("caption", "一只猫"),), source="s")
    table = pa.Table.from_batches([raw_batch([CandidateRow(0, bytes(16), candidate, "a")])])
    place = table.schema.get_field_index(column)
    empty = pa.nulls(1, RAW.field(column).type)
    path = tmp_path / "raw.parquet"
    pq.write_table(table.set_column(place, RAW.field(column), empty), path)
    with pytest.raises(DamageError, match=f"raw.parquet: .*column '{column}' holds empty cells"):
        _run(ReextractPart(part_number=0, raw=str(path), text=TEXT), tmp_path / "out")


def test_a_drop_has_the_first_characters_of_long_texts(tmp_path: Path) -> None:
    rows = [{"url": "http://a.cn/1.jpg", "text": ["a" * 9000, "b" * 9000, "c"]}]
    _, tables = _run(_part(_jsonl(tmp_path / "t.jsonl", rows)), tmp_path / "out")
    assert tables["drops"][0]["texts"] == [_given("a" * 9000), _given("b" * 7000)]
    assert tables["raw"][0]["texts"] == [_given("a" * 9000), _given("b" * 9000), _given("c")]
